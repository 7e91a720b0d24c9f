package store

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
)

func TestDiffAndWith(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	for i := range 600 {
		deliver(t, s, a, "INBOX", fmt.Sprint(i), mail.Flags{})
	}
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	old, err := v.Messages(ctx, box.ID)
	if err != nil {
		t.Fatal(err)
	}
	update(t, a, func(tx *Tx) error {
		tx.Expunge(box.ID, mail.UIDSet{{First: 10, Last: 300}})
		tx.SetFlags(box.ID, mail.UIDSet{{First: 400, Last: 401}}, FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
		return nil
	})
	deliver(t, s, a, "INBOX", "new", mail.Flags{})
	v, _ = a.Snapshot()
	now, _ := v.Messages(ctx, box.ID)
	d := Diff(old, now)
	if d.Gone.String() != "10:300" || d.Added.String() != "601" || d.Changed.String() != "400:401" {
		t.Fatalf("%+v", d)
	}
	if old.Len() != 600 || now.Len() != 310 {
		t.Fatalf("%d, then %d messages", old.Len(), now.Len())
	}
	both := old.With(now, d.Gone)
	if both.Len() != 601 || !reflect.DeepEqual(Diff(both, now), Changes{Gone: d.Gone}) {
		t.Fatalf("With: %d messages, %+v", both.Len(), Diff(both, now))
	}
}

func bigList(b *testing.B, n int) (*Store, *Account, *Mailbox) {
	e, err := local.Open(ctx, vfs.Disk{}, b.TempDir(), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	s := openStore(b, e)
	a := account(b, s, "big@example.org")
	st, _ := s.Stage(ctx)
	st.Write([]byte("Subject: x\r\n\r\n"))
	staged, err := st.Seal()
	if err != nil {
		b.Fatal(err)
	}
	defer st.Discard()
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	update(b, a, func(tx *Tx) error {
		for range n {
			if _, err := tx.Append(box.ID, staged, AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	return s, a, box
}

func BenchmarkLoad100k(b *testing.B) {
	_, a, box := bigList(b, 100_000)
	for b.Loop() {
		a.write.Lock()
		a.reloadLocked()
		a.write.Unlock()
		v, _ := a.Snapshot()
		if l, err := v.Messages(ctx, box.ID); err != nil || l.Len() != 100_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetFlags10k(b *testing.B) {
	_, a, box := bigList(b, 10_000)
	op := FlagsAdd
	for b.Loop() {
		update(b, a, func(tx *Tx) error {
			_, err := tx.SetFlags(box.ID, mail.UIDSet{{First: 1, Last: 10_000}}, FlagChange{Op: op, Flags: mail.NewFlags(mail.Seen)})
			return err
		})
		op = FlagsAdd + FlagsRemove - op
	}
}
