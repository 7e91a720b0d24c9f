package store

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
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

// TestEdits: a list that edits made is as one that is made anew of its chunks,
// and those before it stay as they were.
func TestEdits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l, next := newList(1, 1, nil), mail.UID(1)
	for step := range 400 {
		was, before := l, newList(l.mailbox, l.modseq, slices.Clone(l.chunks))
		e := editList(l)
		for range rng.IntN(4) {
			switch uid := mail.UID(1 + rng.IntN(int(next))); rng.IntN(8) {
			case 0:
				e.remove(mail.UIDSet{{First: uid, Last: uid + mail.UID(rng.IntN(100))}})
			case 1:
				if i, ok := e.chunk(uint32(uid) >> chunkBits); ok {
					e.mine(i).msgs[0].ModSeq++
				}
			default:
				for range rng.IntN(60) {
					e.add(Message{UID: next})
					next += mail.UID(1 + rng.IntN(5))
				}
			}
		}
		l = e.list(mail.ModSeq(step + 2))
		if want := newList(1, l.modseq, l.chunks); !reflect.DeepEqual(l, want) {
			t.Fatalf("step %d: starts %v and %d messages, want %v and %d", step, l.starts, l.length, want.starts, want.length)
		}
		if !reflect.DeepEqual(was, before) {
			t.Fatalf("step %d changed the list before", step)
		}
	}
}

// checkSets compares what is found by looking at chunks with what looking at each
// message finds, for a set of UIDs and for all.
func checkSets(t *testing.T, l *MessageList, some mail.UIDSet) {
	t.Helper()
	for _, uids := range []mail.UIDSet{some, {{First: 1, Last: mail.UIDMax}}} {
		var existing mail.UIDSet
		changed := map[mail.ModSeq]mail.UIDSet{0: nil}
		for _, m := range l.Range(0, l.Len()) {
			changed[m.ModSeq-1], changed[m.ModSeq] = nil, nil
		}
		for _, m := range l.Range(0, l.Len()) {
			if !uids.Contains(m.UID) {
				continue
			}
			existing = existing.Append(m.UID)
			for modseq := range changed {
				if m.ModSeq > modseq {
					changed[modseq] = changed[modseq].Append(m.UID)
				}
			}
		}
		if got := l.Existing(uids); !slices.Equal(got, existing) {
			t.Fatalf("Existing(%v) is %v, want %v", uids, got, existing)
		}
		for modseq, want := range changed {
			if got := l.ChangedSince(uids, modseq); !slices.Equal(got, want) {
				t.Fatalf("ChangedSince(%v, %d) is %v, want %v", uids, modseq, got, want)
			}
		}
	}
}

// TestCopyGrowsOnce: the list of a COPY's changes has room for what is written at the
// Update's end. To copy a list of two million stops everything for half a second.
func TestCopyGrowsOnce(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	for range 2 { // more could have room by chance
		deliver(t, s, a, "INBOX", "x", mail.Flags{})
	}
	inbox, sent := boxOf(t, a, "INBOX").ID, boxOf(t, a, "Sent").ID
	var made *Tx
	room := 0
	update(t, a, func(tx *Tx) error {
		_, err := tx.Copy(inbox, mail.NewUIDSet(1, 2), sent, ByOwner)
		made, room = tx, cap(tx.batch.Ops)
		return err
	})
	if now := cap(made.batch.Ops); now != room {
		t.Errorf("there was room for %d changes, and then for %d", room, now)
	}
}

// TestSets: what chunks tell of their messages stays true, whatever was done to
// lists of many chunks, of which some have gaps, in memory and read again.
func TestSets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	e := mem.New()
	s := openStore(t, e)
	a := account(t, s, "a@b")
	for range 4 {
		update(t, a, func(tx *Tx) error {
			box, err := tx.Snapshot().Mailbox("INBOX")
			if err != nil {
				return err
			}
			st, err := s.Stage(ctx)
			if err != nil {
				return err
			}
			defer st.Discard()
			staged := must(st.Seal())
			for range 200 {
				if _, err := tx.Append(box.ID, staged, AppendOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	inbox, sent := boxOf(t, a, "INBOX").ID, boxOf(t, a, "Sent").ID
	recent := mail.UIDSet{{First: 700, Last: 720}} // some of what was changed last
	for range 60 {
		var sets []mail.UIDSet
		for range 3 {
			first := mail.UID(1 + rng.IntN(900))
			sets = append(sets, mail.UIDSetOf(append(randomSet(rng, 900), mail.UIDRange{First: first, Last: first + mail.UID(rng.IntN(300))})...))
		}
		_, before, err := a.Messages(ctx, inbox)
		if err != nil {
			t.Fatal(err)
		}
		update(t, a, func(tx *Tx) (err error) {
			switch rng.IntN(4) {
			case 0:
				_, err = tx.Expunge(inbox, recent)
			case 1:
				_, err = tx.Copy(inbox, sets[0], sent, ByOwner)
			default:
				recent = sets[0].Slice(0, 5)
				_, err = tx.SetFlags(inbox, sets[0], FlagChange{Op: FlagOp(rng.IntN(3)), Flags: mail.NewFlags(mail.Seen)})
			}
			return err
		})
		if rng.IntN(4) == 0 {
			s = openStore(t, e)
			a = account(t, s, "a@b")
		}
		_, l, err := a.Messages(ctx, inbox)
		if err != nil {
			t.Fatal(err)
		}
		_, copies, err := a.Messages(ctx, sent)
		if err != nil {
			t.Fatal(err)
		}
		checkSets(t, l, sets[1])
		checkSets(t, before, sets[1]) // nothing was done to it
		checkSets(t, before.With(l, recent), sets[1])
		checkSets(t, copies, sets[2])
	}
}

// BenchmarkChangedSince is for a mailbox with nothing new, of which each third
// message is gone.
func BenchmarkChangedSince(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, a, box := bigList(b, n)
			update(b, a, func(tx *Tx) error {
				var third mail.UIDSet
				for u := 3; u <= n; u += 3 {
					third = third.Append(mail.UID(u))
				}
				_, err := tx.Expunge(box.ID, third)
				return err
			})
			_, l, err := a.Messages(ctx, box.ID)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if changed := l.ChangedSince(mail.UIDSet{{First: 1, Last: mail.UIDMax}}, l.ModSeq()); changed != nil {
					b.Fatal(changed)
				}
			}
		})
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

// TestFlagMerger: what is known of other messages, and of the one before, changes
// nothing for a message.
func TestFlagMerger(t *testing.T) {
	sets := []mail.Flags{{}, mail.NewFlags(0), mail.NewFlags(mail.Seen), mail.NewFlags(mail.Flagged, "a"), mail.NewFlags(mail.Seen, "a", "b")}
	for op := range FlagsRemove + 1 {
		c := FlagChange{Op: op, Flags: mail.NewFlags(mail.Seen, "b")}
		for _, first := range sets {
			merge := flagMerger{change: c, known: map[mail.Flags]mail.Flags{}}
			for _, second := range sets {
				for _, f := range []mail.Flags{first, second, second, first} {
					if got, err := merge.apply(f); err != nil || got != c.Apply(f) {
						t.Errorf("change %d makes %v, %v of %v, want %v", op, got, err, f, c.Apply(f))
					}
				}
			}
		}
	}
}

// TestAppendMany: what the appended messages of one Update cost does not depend
// on how many the mailbox has.
func TestAppendMany(t *testing.T) {
	const many = 1000
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	st, err := s.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	st.Write([]byte("x"))
	staged := must(st.Seal())
	grow := func(mailbox string, n int) uint64 {
		id := boxOf(t, a, mailbox).ID
		if _, _, err := a.Messages(ctx, id); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		update(t, a, func(tx *Tx) error {
			runtime.ReadMemStats(&before)
			defer runtime.ReadMemStats(&after)
			for range n {
				if _, err := tx.Append(id, staged, AppendOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
		return after.TotalAlloc - before.TotalAlloc
	}
	grow("INBOX", 50_000)
	small, large := grow("Sent", many), grow("INBOX", many)
	if large > 3*small/2 {
		t.Errorf("%d messages allocate %d octets in an empty mailbox, and %d in a large one", many, small, large)
	}
}

// TestAppendSeen: an Update sees what it appended, wherever its list is, and so
// does everybody afterwards.
func TestAppendSeen(t *testing.T) {
	e := mem.New()
	for _, loaded := range []bool{true, false} {
		t.Run(fmt.Sprint("loaded ", loaded), func(t *testing.T) {
			s := openStore(t, e)
			who := fmt.Sprint(loaded, "@b")
			a := account(t, s, who)
			deliver(t, s, a, "INBOX", "one", mail.Flags{})
			if !loaded {
				s = openStore(t, e)
				a = account(t, s, who)
			}
			id, sent := boxOf(t, a, "INBOX").ID, boxOf(t, a, "Sent").ID
			if loaded {
				a.Messages(ctx, id)
			}
			st, err := s.Stage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Discard()
			st.Write([]byte("more"))
			staged := must(st.Seal())
			update(t, a, func(tx *Tx) error {
				v := tx.Snapshot()
				for i := range 4 {
					for _, mb := range []MailboxID{id, sent} {
						if _, err := tx.Append(mb, staged, AppendOptions{}); err != nil {
							return err
						}
					}
					if l, err := v.Messages(ctx, id); i == 1 && (err != nil || l.Len() != 3) {
						t.Errorf("within the Update: %v, %v", l, err)
					}
				}
				_, err := tx.Expunge(id, mail.NewUIDSet(1, 3))
				return err
			})
			for mb, want := range map[MailboxID]string{id: "2,4:5", sent: "1:4"} {
				_, l, err := a.Messages(ctx, mb)
				if err != nil || l.Existing(mail.UIDSet{{First: 1, Last: mail.UIDMax}}).String() != want {
					t.Errorf("%v, %v; want %s", l, err, want)
				}
			}
			checkStore(t, s)
		})
	}
}
