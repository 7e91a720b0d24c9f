package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// pushStore is a store whose clock the test holds, over an engine.
func pushStore(t *testing.T, e engine.Engine, now *time.Time) *Store {
	t.Helper()
	s, err := Open(ctx, e, Options{Now: func() time.Time { return *now }, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// register registers a device with the password "x" of the account.
func register(t *testing.T, a *Account, device, accountID string, mailboxes ...MailboxID) {
	t.Helper()
	update(t, a, func(tx *Tx) error {
		return tx.RegisterPush(Push{Device: device, AccountID: accountID, Version: 2, Credential: CredentialOf("x"), Mailboxes: mailboxes})
	})
}

// pushes names the registrations that hold, with their mailboxes.
func pushes(t *testing.T, a *Account) string {
	t.Helper()
	var names []string
	for _, p := range must(a.Snapshot()).Pushes() {
		names = append(names, fmt.Sprint(p.Device, "/", p.AccountID, p.Mailboxes))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// TestPushes: registrations are replaced, stay over a restart, and go with their
// mailboxes.
func TestPushes(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			a := account(t, pushStore(t, e, &now), "a@b")
			inbox, sent, trash := boxOf(t, a, "INBOX").ID, boxOf(t, a, "Sent").ID, boxOf(t, a, "Trash").ID
			expect := func(format string, args ...any) {
				t.Helper()
				for _, when := range []string{"", "after a restart "} {
					if got, want := pushes(t, a), fmt.Sprintf(format, args...); got != want {
						t.Fatalf("%s%q, want %q", when, got, want)
					}
					a = account(t, pushStore(t, e, &now), "a@b")
				}
				checkStore(t, a.s)
			}
			expect("")
			register(t, a, "\x00phone", "1", sent, inbox, sent)
			register(t, a, "tablet", "2", inbox)
			expect("\x00phone/1[%v %v] tablet/2[%v]", inbox, sent, inbox)
			register(t, a, "\x00phone", "1", trash, inbox)
			register(t, a, "\x00phone", "2", sent)
			expect("\x00phone/1[%v %v] \x00phone/2[%v] tablet/2[%v]", inbox, trash, sent, inbox)
			update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("Name/below", CreateOptions{}); return err })
			update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(boxOf(t, a, "Name").ID) })
			for want, ids := range map[errs.Kind][]MailboxID{errs.NotFound: {inbox, 999}, errs.Invalid: {boxOf(t, a, "Name").ID}, errs.Limit: wide()} {
				if _, err := a.Update(ctx, func(tx *Tx) error { return tx.RegisterPush(Push{Device: "d", Mailboxes: ids}) }); !errs.Is(err, want) {
					t.Errorf("%v: %v", ids, err)
				}
			}
			if _, err := a.Update(ctx, func(tx *Tx) error { return tx.RegisterPush(Push{Device: "d"}) }); !errs.Is(err, errs.Invalid) {
				t.Errorf("without mailboxes: %v", err)
			}
			update(t, a, func(tx *Tx) error { return tx.RenameMailbox(trash, "Bin") })
			expect("\x00phone/1[%v %v] \x00phone/2[%v] tablet/2[%v]", inbox, trash, sent, inbox)
			deleteAndMake(t, a, "Bin")
			deleteAndMake(t, a, "Sent")
			expect("\x00phone/1[%v] tablet/2[%v]", inbox, inbox)
			update(t, a, func(tx *Tx) error { tx.DropPush("tablet", "2", now.Add(-time.Second)); return nil })
			expect("\x00phone/1[%v] tablet/2[%v]", inbox, inbox)
			update(t, a, func(tx *Tx) error { tx.DropPush("tablet", "2", now); return nil })
			expect("\x00phone/1[%v]", inbox)
		})
	}
}

// wide returns more ids than a registration may have.
func wide() (ids []MailboxID) {
	for i := range PushMailboxesMax + 1 {
		ids = append(ids, MailboxID(i))
	}
	return ids
}

// TestPushLimits: PushesMax, the oldest of which goes, PushMailboxesMax and
// PushTime.
func TestPushLimits(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	a := account(t, pushStore(t, mem.New(), &now), "a@b")
	inbox := boxOf(t, a, "INBOX").ID
	for i := range PushesMax {
		register(t, a, fmt.Sprint(i), "", inbox)
		now = now.Add(time.Second)
	}
	register(t, a, "0", "", inbox) // renewed
	if n := len(must(a.Snapshot()).Pushes()); n != PushesMax {
		t.Errorf("%d registrations", n)
	}
	now = now.Add(time.Second)
	register(t, a, "new", "", inbox)
	if got := pushes(t, a); len(must(a.Snapshot()).pushes) != PushesMax || strings.Contains(" "+got, " 1/[") || !strings.Contains(" "+got, " 0/[") {
		t.Errorf("beyond the limit: %s", got)
	}
	var many []MailboxID
	for i := range PushMailboxesMax + 1 {
		update(t, a, func(tx *Tx) error {
			box, err := tx.CreateMailbox(fmt.Sprint("M", i), CreateOptions{})
			if err == nil {
				many = append(many, box.ID)
			}
			return err
		})
	}
	now = now.Add(PushTime - time.Second)
	register(t, a, "many", "", many[1:]...)
	if got := must(a.Snapshot()).Pushes(); len(got) != 2 || len(got[1].Mailboxes) != PushMailboxesMax { // with "new", which is a second younger
		t.Errorf("%+v", got)
	}
	now = now.Add(PushTime)
	if got := pushes(t, a); got != "" {
		t.Errorf("not renewed in time: %s", got)
	}
	register(t, a, "next", "", inbox)
	if n := len(must(a.Snapshot()).pushes); n != 1 {
		t.Errorf("%d rows stay", n)
	}
}

// TestPushRevoked (A29): a device is told nothing once its login would fail.
func TestPushRevoked(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := pushStore(t, mem.New(), &now)
	a := account(t, s, "a@b")
	register(t, a, "phone", "", boxOf(t, a, "INBOX").ID)
	v := must(a.Snapshot())
	if len(v.Pushes()) != 1 {
		t.Fatal("not registered")
	}
	if err := s.SetPassword(ctx, "a@b", "y"); err != nil {
		t.Fatal(err)
	}
	if got := v.Pushes(); len(got) != 0 {
		t.Errorf("with another password: %v", got)
	}
	if err := s.SetPassword(ctx, "a@b", "x"); err != nil {
		t.Fatal(err)
	}
	if len(v.Pushes()) != 1 {
		t.Error("the password is right again")
	}
	if err := s.edit(ctx, "a@b", func(i *AccountInfo) { i.Disabled = true }); err != nil {
		t.Fatal(err)
	}
	if got := v.Pushes(); len(got) != 0 {
		t.Errorf("disabled: %v", got)
	}
	if err := s.edit(ctx, "a@b", func(i *AccountInfo) { i.Disabled = false }); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAccount(ctx, "a@b"); err != nil {
		t.Fatal(err)
	}
	if got := v.Pushes(); len(got) != 0 {
		t.Errorf("deleted: %v", got)
	}
}

// TestWatchPushes: only commits to accounts with registrations wake, with what
// was before.
func TestWatchPushes(t *testing.T) {
	s := openStore(t, mem.New())
	a, b := account(t, s, "a@b"), account(t, s, "b@b")
	var woken []string
	s.WatchPushes(func(of *Account, before *Snapshot) {
		woken = append(woken, fmt.Sprintf("%d from %d", of.ID()-a.ID(), before.ModSeq()))
	})
	deliver(t, s, a, "INBOX", "text", mail.Flags{})
	deliver(t, s, b, "INBOX", "text", mail.Flags{})
	if len(woken) > 0 {
		t.Fatal(woken)
	}
	register(t, b, "phone", "", boxOf(t, b, "INBOX").ID)
	deliver(t, s, a, "INBOX", "text", mail.Flags{})
	deliver(t, s, b, "INBOX", "text", mail.Flags{})
	at := must(b.Snapshot()).ModSeq()
	if got, want := strings.Join(woken, ", "), fmt.Sprintf("1 from %d, 1 from %d", at-2, at-1); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	s.WatchPushes(nil)
	deliver(t, s, b, "INBOX", "text", mail.Flags{})
	if len(woken) != 2 {
		t.Error("woken after the end")
	}
}

// TestPushFindings: Check knows the rows.
func TestPushFindings(t *testing.T) {
	for name, row := range map[string][]byte{
		"unread":      {rowVersion, 2},
		"none":        (&Push{}).encode(),
		"no mailbox":  (&Push{Mailboxes: []MailboxID{1, 999}}).encode(),
		"not sorted":  (&Push{Mailboxes: []MailboxID{2, 1}}).encode(),
		"too many":    (&Push{Mailboxes: make([]MailboxID, PushMailboxesMax+1)}).encode(),
		"future kind": {rowVersion + 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, mem.New())
			a := account(t, s, "a@b")
			var b engine.Batch
			b.Put(pushKey("phone", "1"), row)
			if _, err := a.space.Commit(ctx, must(a.Snapshot()).version, &b); err != nil {
				t.Fatal(err)
			}
			oneFinding(t, s)
		})
	}
}
