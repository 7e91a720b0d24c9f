package store

import (
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
)

// await polls for what another goroutine does.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not after 10 seconds: " + what)
		}
	}
}

// TestUnload: lists that nobody watches are let go of, and read again.
func TestUnload(t *testing.T) {
	s, err := Open(ctx, mem.New(), Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1, LoadedMessagesMax: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a, b := account(t, s, "a@b"), account(t, s, "b@b")
	stop := b.Watch(func() {})
	defer stop()
	for range 4 {
		deliver(t, s, a, "INBOX", "x", mail.Flags{})
		deliver(t, s, b, "INBOX", "y", mail.Flags{})
	}
	id := boxOf(t, a, "INBOX").ID
	for _, x := range []*Account{a, b} {
		if _, _, err := x.Messages(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a's list is let go of", func() bool { return a.state.Load().lists[id] == nil })
	if b.state.Load().lists[id] == nil {
		t.Fatal("the list of a watched account was let go of")
	}
	if _, l, err := a.Messages(ctx, id); err != nil || l.Len() != 4 || l.Mailbox() != id {
		t.Fatal(l, err)
	}
}

// TestRecent: each message is recent for the first session that asks (RFC 3501
// §2.3.2).
func TestRecent(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	if from := a.ClaimRecent(boxOf(t, a, "INBOX")); from != 1 {
		t.Fatalf("recent from %d", from)
	}
	deliver(t, s, a, "INBOX", "y", mail.Flags{})
	if from := a.RecentFrom(boxOf(t, a, "INBOX")); from != 2 {
		t.Fatalf("recent from %d for the next session", from)
	}
	again := openStore(t, s.engine)
	if from := account(t, again, "a@b").ClaimRecent(boxOf(t, account(t, again, "a@b"), "INBOX")); from != 2 {
		t.Fatalf("recent from %d after a restart", from)
	}
}

// TestPurgeByItself: the store's own goroutine lets go of old expunged mail.
func TestPurgeByItself(t *testing.T) {
	e := mem.New()
	s, err := Open(ctx, e, Options{Now: time.Now, ExpungeRetention: time.Nanosecond, PurgeEvery: time.Millisecond, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	expunge(t, a, "INBOX", 1)
	await(t, "the octets are gone", func() bool { return e.BlobCount() == 0 })
}

// TestRevive: a name that only has children becomes a mailbox again, with
// another UIDVALIDITY (RFC 3501 §2.3.1.1).
func TestRevive(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("P/q", CreateOptions{}); return err })
	deliver(t, s, a, "P", "x", mail.Flags{})
	was := boxOf(t, a, "P")
	update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(was.ID) })
	if !boxOf(t, a, "P").NoSelect {
		t.Fatal("P can still be selected")
	}
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("P", CreateOptions{}); return err })
	if is := boxOf(t, a, "P"); is.NoSelect || is.UIDValidity <= was.UIDValidity || is.UIDNext != 1 {
		t.Fatalf("%+v", is)
	}
	checkStore(t, s)
}
