package store

import (
	"context"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// TestModSeq: each change of a message's flags raises its mod-sequence, and no
// other's.
func TestModSeq(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "one", mail.Flags{})
	deliver(t, s, a, "INBOX", "two", mail.Flags{})
	id := boxOf(t, a, "INBOX").ID
	modseqs := func() (all []mail.ModSeq) {
		_, l, err := a.Messages(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range l.Range(0, l.Len()) {
			all = append(all, m.ModSeq)
		}
		return all
	}
	before := modseqs()
	at := update(t, a, func(tx *Tx) error {
		_, err := tx.SetFlags(id, mail.NewUIDSet(1), FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
		return err
	})
	if after := modseqs(); after[0] != at || after[0] <= before[0] || after[1] != before[1] {
		t.Fatalf("%v, then %v with the update %d", before, after, at)
	}
}

// failing is an engine whose commits fail on demand.
type failing struct {
	engine.Engine
	fail error
}

type failingSpace struct {
	engine.Space
	e *failing
}

func (f *failing) Space(ctx context.Context, id engine.SpaceID) (engine.Space, error) {
	s, err := f.Engine.Space(ctx, id)
	return failingSpace{s, f}, err
}

func (s failingSpace) Commit(ctx context.Context, expect engine.Version, b *engine.Batch) (engine.Version, error) {
	if s.e.fail != nil {
		return 0, s.e.fail
	}
	return s.Space.Commit(ctx, expect, b)
}

// TestNotVisible: what did not become durable is never seen.
func TestNotVisible(t *testing.T) {
	e := &failing{Engine: mem.New()}
	s := openStore(t, e)
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "one", mail.Flags{})
	before := must(a.Snapshot())
	for _, kind := range []errs.Kind{errs.Temporary, errs.NoSpace} {
		e.fail = errs.New("test", kind, "")
		_, err := a.Update(ctx, func(tx *Tx) error {
			_, err := tx.Expunge(boxOf(t, a, "INBOX").ID, mail.NewUIDSet(1))
			return err
		})
		if !errs.Is(err, kind) || must(a.Snapshot()) != before {
			t.Fatalf("after a failed commit: %v; the account changed: %v", err, must(a.Snapshot()) != before)
		}
	}
	e.fail = nil
	deliver(t, s, a, "INBOX", "two", mail.Flags{})
	checkStore(t, s)
}

func TestWatch(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	woken, visible := 0, false
	stop := a.Watch(func() {
		woken++
		box, _ := a.state.Load().Mailbox("INBOX") // visible before the wake-up
		visible = box.Messages == uint32(woken)
	})
	for i := range 2 {
		deliver(t, s, a, "INBOX", "x", mail.Flags{})
		if woken != i+1 || !visible {
			t.Fatalf("after %d commits: woken %d times, visible %v", i+1, woken, visible)
		}
	}
	stop()
	deliver(t, s, a, "INBOX", "z", mail.Flags{})
	if woken != 2 {
		t.Fatal("woken after stop")
	}
}
