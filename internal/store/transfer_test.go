package store

import (
	"slices"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/mail"
)

func TestCopyFrom(t *testing.T) {
	old, s := openTimed(t), openTimed(t)
	a := account(t, old.Store, "a@b")
	update(t, a, func(tx *Tx) error {
		_, err := tx.CreateMailbox("P/q", CreateOptions{})
		tx.Subscribe("P/q")
		return err
	})
	deliver(t, old.Store, a, "INBOX", "Message-ID: <one@x>\r\n\r\none", mail.NewFlags(mail.Seen, "kw"))
	deliver(t, old.Store, a, "INBOX", "Message-ID: <two@x>\r\n\r\ntwo", mail.Flags{})
	old.pass(time.Hour)
	deliver(t, old.Store, a, "P/q", "three", mail.Flags{})
	deliver(t, old.Store, a, "P/q", "three", mail.Flags{}) // twice the same
	b := account(t, s.Store, "b@b")
	copyAll := func(tr Transfer) Transferred {
		t.Helper()
		done, err := s.CopyFrom(ctx, old.Store, a.ID(), b.ID(), tr)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if done := copyAll(Transfer{DryRun: true}); done.Messages != 4 || !slices.Equal(done.Mailboxes, []string{"P", "P/q"}) {
		t.Fatalf("%+v", done)
	}
	if done := copyAll(Transfer{MessageID: "two@x", Into: "Found"}); done.Messages != 1 {
		t.Fatalf("%+v", done)
	}
	wantContents(t, s.Store, b, "Found", "1  1800000000 Message-ID: <two@x>\r\n\r\ntwo")
	if done := copyAll(Transfer{Since: old.now}); done.Messages != 2 {
		t.Fatalf("%+v", done)
	}
	wantContents(t, s.Store, b, "INBOX")
	if done := copyAll(Transfer{}); done.Messages != 2 || done.Present != 2 {
		t.Fatalf("%+v", done)
	}
	wantContents(t, s.Store, b, "INBOX", "1 \\Seen kw 1800000000 Message-ID: <one@x>\r\n\r\none", "2  1800000000 Message-ID: <two@x>\r\n\r\ntwo")
	wantContents(t, s.Store, b, "P/q", "1  1800003600 three", "2  1800003600 three")
	if !must(b.Snapshot()).IsSubscribed("P/q") {
		t.Fatal("the subscription was not copied")
	}
	if done := copyAll(Transfer{}); done.Messages != 0 || done.Present != 4 {
		t.Fatalf("a second time: %+v", done)
	}
	// One damaged message does not stop the others.
	l, _ := must(a.Snapshot()).Messages(ctx, boxOf(t, a, "P/q").ID)
	update(t, a, func(tx *Tx) error { tx.batch.Drop(l.At(0).Blob); tx.changed = true; return nil })
	if done := copyAll(Transfer{Mailbox: "P", Into: "Again"}); done.Messages != 1 || len(done.Damaged) != 1 || done.Damaged[0].UID != 1 {
		t.Fatalf("%+v", done)
	}
}
