package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// grant is SETACL.
func grant(t testing.TB, a *Account, mailbox, identifier, rights string) {
	t.Helper()
	c, err := mail.ParseRightsChange(rights)
	if err != nil {
		t.Fatal(err)
	}
	update(t, a, func(tx *Tx) error {
		box, err := tx.Snapshot().Mailbox(mailbox)
		if err != nil {
			return err
		}
		return tx.SetRights(box.ID, identifier, c)
	})
}

// TestRights: RFC 4314 §2. Positive entries of the user and of anyone add up,
// negative ones take away, and the owner keeps l and a.
func TestRights(t *testing.T) {
	const owner = "ada@example.org"
	for _, tc := range []struct {
		acl        []string // pairs
		user, want string
	}{
		{nil, owner, "lrswipkxtecdan"},
		{nil, "bob@example.org", ""},
		{[]string{"bob@example.org", "lr"}, "bob@example.org", "lr"},
		{[]string{"bob@example.org", "lr"}, owner, "lrswipkxtecdan"},
		{[]string{"bob@example.org", "lr", "anyone", "lp"}, "bob@example.org", "lrp"},
		{[]string{"bob@example.org", "lr", "anyone", "lp"}, "eve@example.org", "lp"},
		{[]string{"bob@example.org", "lr", "anyone", "lp"}, "eve@example.com", ""},
		{[]string{"eve@example.com", "lr", "anyone", "lp"}, "eve@example.com", "lr"},
		{[]string{"bob@example.org", "lrs", "-bob@example.org", "s"}, "bob@example.org", "lr"},
		{[]string{"bob@example.org", "lrs", "-anyone", "rs"}, "bob@example.org", "l"},
		{[]string{"-anyone", "lrswipkxtecdan"}, owner, "la"},
		{[]string{"", "-wdn"}, owner, "lrsipkxca"},
		{[]string{"", ""}, owner, "la"},
		{[]string{"", "", "anyone", "r"}, owner, "lra"},
		{[]string{"-", "r"}, owner, "lswipkxtecdan"},
	} {
		a := account(t, openStore(t, mem.New()), owner)
		for pair := range slices.Chunk(tc.acl, 2) {
			grant(t, a, "INBOX", pair[0], pair[1])
		}
		if got := boxOf(t, a, "INBOX").Rights(owner, tc.user).String(); got != tc.want {
			t.Errorf("%q: %s has %s, want %s", tc.acl, tc.user, got, tc.want)
		}
	}
}

// TestIdentifier: RFC 4314 §2 and §3.
func TestIdentifier(t *testing.T) {
	const owner = "ada@example.org"
	for _, tc := range []struct{ text, want, back string }{
		{"bob", "bob@example.org", "bob@example.org"},
		{"-Bob@Example.COM", "-bob@example.com", "-bob@example.com"},
		{"ada", Owner, owner}, {"-ada@example.org", "-", "-" + owner},
		{"anyone", Anyone, "anyone"}, {"-ANYONE", "-anyone", "-anyone"},
	} {
		got, err := ParseIdentifier(tc.text, owner)
		if err != nil || got != tc.want || IdentifierText(got, owner) != tc.back {
			t.Errorf("%s: %q, %q, %v", tc.text, got, IdentifierText(got, owner), err)
		}
	}
	for text, kind := range map[string]errs.Kind{"": errs.Invalid, "-": errs.Invalid, "a b": errs.Invalid, "a@b@c": errs.Invalid, "\x00": errs.Invalid,
		"$team": errs.Denied, "group:team": errs.Denied, "-group=team": errs.Denied, "anonymous": errs.Denied, "owner": errs.Denied} {
		if _, err := ParseIdentifier(text, owner); !errs.Is(err, kind) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestACLKept: an ACL is inherited by new mailboxes, goes along with RENAME, is
// dropped by DELETE, comes back with undelete, is there after a restart, and is
// copied to another store.
func TestACLKept(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, e)
			a := account(t, s, "ada@b")
			rights := func(mailbox string) string {
				t.Helper()
				return boxOf(t, a, mailbox).Rights("ada@b", "bob@b").String()
			}
			shared := func(want bool) {
				t.Helper()
				if id, ok := s.MayShare("ada@b", "bob@b"); ok != want || id != a.id || (len(s.Sharers("bob@b", 9)) == 1) != want {
					t.Fatalf("shared: %v", ok)
				}
				checkStore(t, s)
			}
			shared(false)
			make := func(name string) {
				t.Helper()
				update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox(name, CreateOptions{}); return err })
			}
			make("Work")
			grant(t, a, "Work", "bob@b", "lr")
			make("Work/deep/deeper")
			if rights("Work/deep") != "lr" || rights("Work/deep/deeper") != "lr" || rights("INBOX") != "" {
				t.Fatal("not inherited")
			}
			shared(true)
			grant(t, a, "Work/deep/deeper", "bob@b", "")
			update(t, a, func(tx *Tx) error { return tx.RenameMailbox(boxOf(t, a, "Work").ID, "Play") })
			if rights("Play") != "lr" || rights("Play/deep") != "lr" || rights("Play/deep/deeper") != "" {
				t.Fatal("RENAME changed it")
			}
			a = account(t, openStore(t, e), "ada@b")
			s = a.s
			if rights("Play") != "lr" || rights("Play/deep/deeper") != "" {
				t.Fatal("lost by a restart")
			}
			shared(true)
			other := openStore(t, mem.New())
			copied := account(t, other, "ada@b")
			if _, err := other.CopyFrom(ctx, s, a.id, copied.id, Transfer{}); err != nil {
				t.Fatal(err)
			}
			if got := boxOf(t, copied, "Play").Rights("ada@b", "bob@b").String(); got != "lr" {
				t.Fatal("CopyFrom: " + got)
			}
			if len(other.Sharers("bob@b", 9)) != 1 {
				t.Fatal("the other store does not know")
			}
			remove := func(name string) {
				t.Helper()
				update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(boxOf(t, a, name).ID) })
			}
			deliver(t, s, a, "Play/deep/deeper", "text", mail.Flags{})
			remove("Play/deep/deeper")
			remove("Play/deep")
			remove("Play")
			shared(false)
			make("Play")
			if rights("Play") != "" {
				t.Fatal("a new mailbox has the rights of an old one")
			}
			remove("Play")
			if _, err := a.Restore(ctx, Selection{Mailbox: "Play"}); err != nil {
				t.Fatal(err)
			}
			if rights("Play/deep") != "lr" || rights("Play/deep/deeper") != "" {
				t.Fatal("undelete: " + rights("Play/deep") + ", " + rights("Play/deep/deeper"))
			}
			shared(true)
			if err := s.DeleteAccount(ctx, "ada@b"); err != nil {
				t.Fatal(err)
			}
			if _, ok := s.MayShare("ada@b", "bob@b"); ok || len(s.Sharers("bob@b", 9)) != 0 {
				t.Fatal("a deleted account shares")
			}
			if _, err := s.RestoreAccount(ctx, "ada@b", "ada@b"); err != nil || len(s.Sharers("bob@b", 9)) != 1 {
				t.Fatal(err)
			}
			if err := errors.Join(s.DeleteAccount(ctx, "ada@b"), s.EraseAccount(ctx, "ada@b")); err != nil || len(s.registry.sharees(a.id)) != 0 {
				t.Fatal(err)
			}
		})
	}
}

// TestSharersAnyone: anyone is everybody of the same domain.
func TestSharersAnyone(t *testing.T) {
	s := openStore(t, mem.New())
	grant(t, account(t, s, "ada@b"), "INBOX", Anyone, "lr")
	grant(t, account(t, s, "bob@b"), "INBOX", "eve@c", "lr")
	for user, want := range map[string]string{"ada@b": "", "bob@b": "ada@b", "eve@c": "bob@b", "joe@c": "", "zoe@b": "ada@b"} {
		got := ""
		for _, a := range s.Sharers(user, 9) {
			got += a.Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", user, got, want)
		}
	}
}

// TestSharesBeforeCommit: wherever the power fails, nobody has a right to a
// mailbox that is not shown.
func TestSharesBeforeCommit(t *testing.T) {
	for at := 1; ; at++ {
		f := &faulty{Engine: mem.New(), kind: errs.Temporary}
		s := openStore(t, f)
		a := account(t, s, "ada@b")
		f.calls, f.at = 0, at
		_, err := a.Update(ctx, func(tx *Tx) error {
			return tx.SetRights(boxOf(t, a, "INBOX").ID, "bob@b", mail.RightsChange{Rights: mail.AllRights})
		})
		reached := f.calls >= at
		fresh := account(t, openStore(t, f.Engine), "ada@b")
		has := boxOf(t, fresh, "INBOX").Rights("ada@b", "bob@b") != 0
		if _, shown := fresh.s.MayShare("ada@b", "bob@b"); has && !shown || has && err != nil {
			t.Fatalf("call %d failed: has rights: %v, shown: %v, %v", at, has, shown, err)
		}
		checkStore(t, fresh.s)
		if !reached {
			return
		}
	}
}

// TestACLLimits: at the limits and beyond.
func TestACLLimits(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "ada@b")
	set := func(mailbox, user string) error {
		_, err := a.Update(ctx, func(tx *Tx) error {
			return tx.SetRights(boxOf(t, a, mailbox).ID, user, mail.RightsChange{Rights: mail.RightRead})
		})
		return err
	}
	boxes := []string{"INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"}
	full := ACL{{Owner, mail.AllRights}}
	for i := 1; i < ACLEntriesMax; i++ {
		full = append(full, Grant{fmt.Sprintf("u%03d@b", i), mail.RightRead})
	}
	update(t, a, func(tx *Tx) error { return tx.setACL(boxOf(t, a, "INBOX").ID, full) })
	if err := set("INBOX", "more@b"); !errs.Is(err, errs.Limit) {
		t.Fatal(err)
	}
	n := ACLEntriesMax - 1
	for _, box := range boxes[1:] {
		acl := ACL{{Owner, mail.AllRights}}
		for ; n < ShareesMax && len(acl) < ACLEntriesMax; n++ {
			acl = append(acl, Grant{fmt.Sprintf("x%04d@b", n), mail.RightRead})
		}
		update(t, a, func(tx *Tx) error { return tx.setACL(boxOf(t, a, box).ID, acl) })
	}
	if err := set("Trash", "more@b"); !errs.Is(err, errs.Limit) {
		t.Fatal(err)
	}
	if err := set("Trash", "x0999@b"); err != nil {
		t.Fatal(err)
	}
}

// TestACLDamage: rights that cannot be read are nobody's; Check says so and
// Repair sets them aside; of what the registry does not know it is told again.
func TestACLDamage(t *testing.T) {
	for name, damage := range map[string]func(b *engine.Batch, inbox MailboxID){
		"unread": func(b *engine.Batch, inbox MailboxID) { b.Put(key8(rowACL, uint64(inbox)), []byte{99}) },
		"cut":    func(b *engine.Batch, inbox MailboxID) { b.Put(key8(rowACL, uint64(inbox)), []byte{rowVersion, 3, 1}) },
		"not sorted": func(b *engine.Batch, inbox MailboxID) {
			b.Put(key8(rowACL, uint64(inbox)), ACL{{"b", 1}, {"a", 1}}.encode())
		},
		"of no mailbox": func(b *engine.Batch, _ MailboxID) { b.Put(key8(rowACL, 999), ACL{{"b@b", 1}}.encode()) },
		"not shown":     func(b *engine.Batch, inbox MailboxID) { b.Put(key8(rowACL, uint64(inbox)), ACL{{"b@b", 1}}.encode()) },
	} {
		s := openStore(t, mem.New())
		a := account(t, s, "ada@b")
		var b engine.Batch
		damage(&b, boxOf(t, a, "INBOX").ID)
		if _, err := a.space.Commit(ctx, must(a.Snapshot()).version, &b); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		delete(s.mu.accounts, a.id)
		s.mu.Unlock()
		found := 0
		for f, err := range s.Check(ctx, CheckOptions{}) {
			if found++; err != nil {
				t.Fatalf("%s: %v, %v", name, f, err)
			}
		}
		if found != 1 {
			t.Errorf("%s: %d findings", name, found)
		}
		if fixes, err := s.Repair(ctx, false, func(int, int) {}); err != nil || len(fixes) != 1 {
			t.Errorf("%s: %v, %v", name, fixes, err)
		}
		checkStore(t, s)
		a = account(t, s, "ada@b")
		has := boxOf(t, a, "INBOX").Rights("ada@b", "b@b") != 0
		if _, shown := s.MayShare("ada@b", "b@b"); has != (name == "not shown") || shown != has {
			t.Errorf("%s: has %v, shown %v", name, has, shown)
		}
	}
}
