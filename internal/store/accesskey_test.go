package store

import (
	"bytes"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// TestAccessKey: RFC 4467 §2.2. A key is made once, stays over a restart, and
// goes with its mailbox, by reset and with all others.
func TestAccessKey(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			a := account(t, openStore(t, e), "a@b")
			token := func(mailbox string) string {
				t.Helper()
				k := must(a.Snapshot()).AccessKey(boxOf(t, a, mailbox).ID)
				first, second := k.Token("imap://x"), k.Token("imap://x")
				if len(first) < 16 || bytes.Equal(first, second) != k.plausible() {
					t.Fatalf("%s: %x, then %x", mailbox, first, second)
				}
				return string(first)
			}
			need := func(mailbox string) string {
				t.Helper()
				id := boxOf(t, a, mailbox).ID
				update(t, a, func(tx *Tx) error { _, err := tx.AccessKey(id); return err })
				return token(mailbox)
			}
			if first, second := token("INBOX"), token("INBOX"); first == second {
				t.Fatal("no key, and always the same token")
			}
			inbox, sent := need("INBOX"), need("Sent")
			if inbox == sent || need("INBOX") != inbox {
				t.Fatal("a key is not of its mailbox")
			}
			a = account(t, openStore(t, e), "a@b")
			if token("INBOX") != inbox || token("Sent") != sent {
				t.Fatal("a key was lost by a restart")
			}
			update(t, a, func(tx *Tx) error { _, err := tx.ResetAccessKey(boxOf(t, a, "INBOX").ID); return err })
			if token("INBOX") == inbox || token("Sent") != sent {
				t.Fatal("not the key that was reset is another")
			}
			inbox = token("INBOX")
			update(t, a, func(tx *Tx) error { return tx.RenameMailbox(boxOf(t, a, "Sent").ID, "Gone") })
			if token("Gone") != sent {
				t.Fatal("a renamed mailbox has another key")
			}
			deleteAndMake(t, a, "Gone")
			if k := must(a.Snapshot()).AccessKey(boxOf(t, a, "Gone").ID); k.plausible() {
				t.Fatal("a new mailbox has the key of an old one")
			}
			update(t, a, func(tx *Tx) error { tx.DropAccessKeys(); return nil })
			a = account(t, openStore(t, e), "a@b")
			if token("INBOX") == inbox || need("INBOX") == inbox {
				t.Fatal("a key came back")
			}
			checkStore(t, a.s)
		})
	}
}

func deleteAndMake(t *testing.T, a *Account, mailbox string) {
	t.Helper()
	update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(boxOf(t, a, mailbox).ID) })
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox(mailbox, CreateOptions{}); return err })
}

// TestAccessKeyOfName: a mailbox that is deleted and lives on as a name above
// others has the same id afterwards (RFC 3501 §6.3.4), but not its key.
func TestAccessKeyOfName(t *testing.T) {
	a := account(t, openStore(t, engines(t)["mem"]), "a@b")
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("P/q", CreateOptions{}); return err })
	id := boxOf(t, a, "P").ID
	update(t, a, func(tx *Tx) error { _, err := tx.AccessKey(id); return err })
	update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(id) })
	_, err := a.Update(ctx, func(tx *Tx) error { _, err := tx.AccessKey(id); return err })
	if !errs.Is(err, errs.Invalid) {
		t.Fatalf("a key for a name: %v", err)
	}
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("P", CreateOptions{}); return err })
	if boxOf(t, a, "P").ID != id || must(a.Snapshot()).AccessKey(id).plausible() {
		t.Fatal("a key came back with the name")
	}
}

// TestRevokes: which changes of a key revoke URLs.
func TestRevokes(t *testing.T) {
	none, needed := AccessKey{}, AccessKey{secret: accessSecret{1}}
	reset, again := AccessKey{secret: accessSecret{2}, reset: true}, AccessKey{secret: accessSecret{3}}
	for _, tc := range []struct {
		older, now AccessKey
		want       bool
	}{
		{none, none, false}, {none, needed, false}, {needed, needed, false},
		{none, reset, true}, {needed, reset, true}, {needed, none, true}, {needed, again, true},
	} {
		if got := tc.now.Revokes(tc.older); got != tc.want {
			t.Errorf("from %v to %v: %v", tc.older, tc.now, got)
		}
	}
}

// TestAccessKeyFindings: Check knows the rows.
func TestAccessKeyFindings(t *testing.T) {
	for name, break_ := range map[string]func(b *engine.Batch){
		"unread":     func(b *engine.Batch) { b.Put(key8(rowAccessKey, 1), []byte{rowVersion, 0, 1}) },
		"no mailbox": func(b *engine.Batch) { b.Put(key8(rowAccessKey, 999), AccessKey{secret: accessSecret{1}}.encode()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, engines(t)["mem"])
			a := account(t, s, "a@b")
			var b engine.Batch
			break_(&b)
			if _, err := a.space.Commit(ctx, must(a.Snapshot()).version, &b); err != nil {
				t.Fatal(err)
			}
			oneFinding(t, s)
		})
	}
}

// oneFinding checks a store of which one thing of a@b is damaged.
func oneFinding(t *testing.T, s *Store) {
	t.Helper()
	n := 0
	for f, err := range s.Check(t.Context(), CheckOptions{}) {
		if err != nil || f.Account != "a@b" {
			t.Error(f, err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d findings", n)
	}
}
