package store

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// TestOpen: the list that Open promises is that of Messages, whatever is asked of
// it before it is there.
func TestOpen(t *testing.T) {
	for name, e := range engines(t) {
		s := openStore(t, e)
		a := account(t, s, "a@x")
		deliver(t, s, a, mail.Inbox, "Subject: x\r\n\r\n", mail.Flags{})
		v, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		box, err := v.Mailbox(mail.Inbox)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, openAtOnce + 2, 2*openAtOnce + 4} {
			for _, l, err := a.Messages(ctx, box.ID); l.Len() < n; _, l, err = a.Messages(ctx, box.ID) {
				if err != nil {
					t.Fatal(err)
				}
				first := mail.UIDSetOf(mail.UIDRange{First: 1, Last: mail.UID(n - l.Len())})
				update(t, a, func(tx *Tx) error {
					_, err := tx.Copy(box.ID, first, box.ID, ByOwner)
					return err
				})
			}
			for _, from := range []mail.UID{1, mail.UID(n), mail.UID(n) + 1} {
				for _, spared := range []bool{true, false} {
					if spared {
						s.Spare()
					}
					now, o, err := a.Open(ctx, box.ID)
					if err != nil {
						t.Fatal(err)
					}
					count, err := o.CountFrom(from)
					if want := n + 1 - int(from); err != nil || count != want {
						t.Errorf("%s: %d from %d on, %v, want %d", name, count, from, err, want)
					}
					l, err := o.Wait()
					if err != nil {
						t.Fatal(err)
					}
					_, want, err := a.Messages(ctx, box.ID)
					if err != nil || int(now.Messages) != n || !slices.Equal(listUIDs(l), listUIDs(want)) || o.ModSeq() != want.ModSeq() || !o.Ready() {
						t.Errorf("%s: %d messages at %d, not %d at %d, %v", name, l.Len(), o.ModSeq(), want.Len(), want.ModSeq(), err)
					}
				}
			}
		}
		if _, _, err := a.Open(ctx, box.ID+1000); !errs.Is(err, errs.NotFound) {
			t.Errorf("%s: no such mailbox: %v", name, err)
		}
	}
}

func listUIDs(l *MessageList) (uids []mail.UID) {
	for _, m := range l.Range(0, l.Len()) {
		uids = append(uids, m.UID)
	}
	return uids
}

// TestOpenMiscounted: a mailbox that has another number of messages than it says
// is not opened with a number that is wrong.
func TestOpenMiscounted(t *testing.T) {
	e := mem.New()
	s := openStore(t, e)
	a := account(t, s, "a@x")
	id := a.ID()
	var box *Mailbox
	st, err := s.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	staged, err := st.Seal()
	if err != nil {
		t.Fatal(err)
	}
	version := update(t, a, func(tx *Tx) error {
		if box, err = tx.Snapshot().Mailbox(mail.Inbox); err != nil {
			return err
		}
		for range openAtOnce + 2 {
			if _, err := tx.Append(box.ID, staged, AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	var lost engine.Batch
	lost.Delete(messageKey(rowMessage, box.ID, 7))
	space, err := e.Space(ctx, engine.SpaceID(id))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := space.Commit(ctx, engine.Version(version), &lost); err != nil {
		t.Fatal(err)
	}
	a = account(t, openStore(t, e), "a@x")
	_, o, err := a.Open(ctx, box.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.Wait(); !errs.Is(err, errs.Corrupt) {
		t.Errorf("the list: %v", err)
	}
	if _, o, err = a.Open(ctx, box.ID); err != nil {
		t.Fatal(err)
	}
	if l, err := o.Wait(); err != nil || l.Len() != openAtOnce+1 {
		t.Errorf("the list that is known: %d, %v", l.Len(), err)
	}
	a = account(t, openStore(t, poisoned{e}), "a@x")
	if _, o, err = a.Open(ctx, box.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Wait(); !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), "poison") {
		t.Errorf("the list whose reading panics: %v", err)
	}
}

// poisoned is an engine that panics where the rows of messages are read.
type poisoned struct{ engine.Engine }

type poisonedSpace struct{ engine.Space }

type poisonedSnapshot struct{ engine.Snapshot }

func (e poisoned) Space(ctx context.Context, id engine.SpaceID) (engine.Space, error) {
	s, err := e.Engine.Space(ctx, id)
	return poisonedSpace{s}, err
}

func (s poisonedSpace) Snapshot() (engine.Snapshot, error) {
	snap, err := s.Space.Snapshot()
	return poisonedSnapshot{snap}, err
}

func (s poisonedSnapshot) Scan(from, to []byte) iter.Seq2[engine.Pair, error] {
	if from[0] == rowMessage {
		panic("poison")
	}
	return s.Snapshot.Scan(from, to)
}
