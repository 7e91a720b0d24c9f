package store

import (
	"context"
	"io"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// faulty is an engine one of whose calls fails.
type faulty struct {
	engine.Engine
	calls, at int
	kind      errs.Kind
}

func (f *faulty) fail() error {
	if f.calls++; f.calls == f.at {
		return errs.New("faulty", f.kind, "")
	}
	return nil
}

func (f *faulty) Space(ctx context.Context, id engine.SpaceID) (engine.Space, error) {
	if err := f.fail(); err != nil {
		return nil, err
	}
	s, err := f.Engine.Space(ctx, id)
	return faultySpace{s, f}, err
}

func (f *faulty) Blobs() engine.Blobs { return faultyBlobs{f.Engine.Blobs(), f} }

func (f *faulty) Reclaim(ctx context.Context) error {
	if err := f.fail(); err != nil {
		return err
	}
	return f.Engine.Reclaim(ctx)
}

func (f *faulty) Verify(ctx context.Context, pace func(int64) error) iter.Seq2[engine.Damage, error] {
	return func(yield func(engine.Damage, error) bool) {
		if err := f.fail(); err != nil {
			yield(engine.Damage{}, err)
			return
		}
		yield(engine.Damage{Where: "somewhere", What: "something", Space: 16}, nil)
	}
}

type faultySpace struct {
	engine.Space
	f *faulty
}

func (s faultySpace) Snapshot() (engine.Snapshot, error) {
	if err := s.f.fail(); err != nil {
		return nil, err
	}
	snap, err := s.Space.Snapshot()
	return faultySnapshot{snap, s.f}, err
}

func (s faultySpace) Commit(ctx context.Context, expect engine.Version, b *engine.Batch) (engine.Version, error) {
	if err := s.f.fail(); err != nil {
		return 0, err
	}
	return s.Space.Commit(ctx, expect, b)
}

type faultySnapshot struct {
	engine.Snapshot
	f *faulty
}

func (s faultySnapshot) Get(key []byte) ([]byte, error) {
	if err := s.f.fail(); err != nil {
		return nil, err
	}
	return s.Snapshot.Get(key)
}

func (s faultySnapshot) Scan(from, to []byte) iter.Seq2[engine.Pair, error] {
	return func(yield func(engine.Pair, error) bool) {
		for p, err := range s.Snapshot.Scan(from, to) {
			if ferr := s.f.fail(); ferr != nil {
				yield(engine.Pair{}, ferr)
				return
			}
			if !yield(p, err) {
				return
			}
		}
		if err := s.f.fail(); err != nil {
			yield(engine.Pair{}, err)
		}
	}
}

type faultyBlobs struct {
	engine.Blobs
	f *faulty
}

func (b faultyBlobs) Create(ctx context.Context) (engine.BlobWriter, error) {
	if err := b.f.fail(); err != nil {
		return nil, err
	}
	w, err := b.Blobs.Create(ctx)
	return faultyWriter{w, b.f}, err
}

func (b faultyBlobs) Open(ctx context.Context, id engine.BlobID, octets int64) (engine.Blob, error) {
	if err := b.f.fail(); err != nil {
		return nil, err
	}
	return b.Blobs.Open(ctx, id, octets)
}

func (b faultyBlobs) Summary(ctx context.Context, id engine.BlobID) ([]byte, error) {
	if err := b.f.fail(); err != nil {
		return nil, err
	}
	return b.Blobs.Summary(ctx, id)
}

func (b faultyBlobs) Summaries() engine.Summaries {
	return faultySummaries{b.Blobs.Summaries(), b.f}
}

type faultySummaries struct {
	engine.Summaries
	f *faulty
}

func (s faultySummaries) Read(ctx context.Context, id engine.BlobID) ([]byte, error) {
	if err := s.f.fail(); err != nil {
		return nil, err
	}
	return s.Summaries.Read(ctx, id)
}

func (b faultyBlobs) Verify(ctx context.Context, id engine.BlobID) (int64, error) {
	if err := b.f.fail(); err != nil {
		return 0, err
	}
	return b.Blobs.Verify(ctx, id)
}

type faultyWriter struct {
	engine.BlobWriter
	f *faulty
}

func (w faultyWriter) Write(p []byte) (int, error) {
	if err := w.f.fail(); err != nil {
		return 0, err
	}
	return w.BlobWriter.Write(p)
}

func (w faultyWriter) Seal(summary []byte) (engine.BlobID, int64, error) {
	if err := w.f.fail(); err != nil {
		return 0, 0, err
	}
	return w.BlobWriter.Seal(summary)
}

// useAll uses all that a store can do. What fails is left out, and the rest goes
// on.
func useAll(s, other *Store) {
	_, _ = s.CreateAccount(ctx, "a@b", "x")
	_, _ = s.CreateAccount(ctx, "c@d", "x")
	with := func(fn func(a *Account)) {
		if info, err := s.AccountInfo(ctx, "a@b"); err == nil {
			if a, err := s.Account(ctx, info.ID); err == nil {
				fn(a)
			}
		}
	}
	in := func(name string, fn func(tx *Tx, box *Mailbox) error) {
		with(func(a *Account) {
			_, _ = a.Update(ctx, func(tx *Tx) error {
				box, err := tx.Snapshot().Mailbox(name)
				if err != nil {
					return err
				}
				return fn(tx, box)
			})
		})
	}
	for range 3 {
		if st, err := s.Stage(ctx); err == nil {
			if _, err := io.WriteString(st, "Subject: x\r\nMessage-ID: <x@y>\r\n\r\nx"); err == nil {
				if staged, err := st.Seal(); err == nil {
					in("INBOX", func(tx *Tx, box *Mailbox) error {
						_, err := tx.Append(box.ID, staged, AppendOptions{Flags: mail.NewFlags(mail.Seen, "kw")})
						return err
					})
				}
			}
			st.Discard()
		}
	}
	all := mail.UIDSet{{First: 1, Last: mail.UIDMax}}
	in("INBOX", func(tx *Tx, box *Mailbox) error {
		_, err := tx.SetFlags(box.ID, all, FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Flagged)})
		return err
	})
	in("INBOX", func(tx *Tx, box *Mailbox) error {
		_, err := tx.SetAnnotations(box.ID, all, []AnnotationChange{{"/comment", true, []byte("x")}}, Condition{})
		return err
	})
	in("INBOX", func(tx *Tx, box *Mailbox) error {
		to, err := tx.CreateMailbox("P/q", CreateOptions{SpecialUse: mail.UseAll})
		if err != nil {
			return err
		}
		if _, err := tx.Copy(box.ID, mail.NewUIDSet(1, 2), to.ID, ByOwner); err != nil {
			return err
		}
		_, err = tx.Move(box.ID, mail.NewUIDSet(2), to.ID, ByOwner)
		return err
	})
	in("INBOX", func(tx *Tx, box *Mailbox) error { _, err := tx.Expunge(box.ID, mail.NewUIDSet(1)); return err })
	in("P/q", func(tx *Tx, box *Mailbox) error { return tx.RenameMailbox(box.ID, "R/s") })
	in("INBOX", func(tx *Tx, box *Mailbox) error { return tx.RenameMailbox(box.ID, "Old") })
	in("R", func(tx *Tx, box *Mailbox) error { return tx.SetSpecialUse(box.ID, mail.UseImportant) })
	in("R/s", func(tx *Tx, box *Mailbox) error { _, err := tx.AccessKey(box.ID); return err })
	in("R/s", func(tx *Tx, box *Mailbox) error { return tx.DeleteMailbox(box.ID) })
	in("R", func(tx *Tx, box *Mailbox) error {
		_ = tx.Unsubscribe("Junk")
		return tx.Subscribe("R")
	})
	with(func(a *Account) {
		_, _ = a.DeletedMailboxes()
		for range a.Expunged(ctx, Selection{}) {
		}
		if v, err := a.Snapshot(); err == nil {
			for box := range v.Mailboxes() {
				_, _ = a.Annotated(ctx, box.ID, all)
				if l, err := v.Messages(ctx, box.ID); err == nil {
					for _, m := range l.Range(0, l.Len()) {
						_, _ = s.Summary(ctx, m)
						scan(ctx, s, m)
						_, _ = a.Annotations(box.ID, m.UID)
						_, _ = s.ReadBody(ctx, m, 0, m.Size)
					}
				}
			}
		}
		_, _ = a.Restore(ctx, Selection{Mailbox: "R"})
		_, _ = a.Erase(ctx, Selection{})
		if info, err := other.AccountInfo(ctx, "from@x"); err == nil {
			_, _ = s.CopyFrom(ctx, other, info.ID, a.ID(), Transfer{})
			_, _ = s.CopyFrom(ctx, other, info.ID, a.ID(), Transfer{MessageID: "one@x", Into: "Found"})
		}
		_, _, _ = s.Usage(ctx, a.ID())
	})
	_ = s.SetPassword(ctx, "c@d", "y")
	_ = s.SetRetention(ctx, "c@d", time.Hour)
	_ = s.DeleteAccount(ctx, "c@d")
	_, _ = s.RestoreAccount(ctx, "c@d", "e@f")
	_ = s.DeleteAccount(ctx, "e@f")
	_ = s.EraseAccount(ctx, "e@f")
	for range s.Check(ctx, CheckOptions{}) {
	}
	for range s.Check(ctx, CheckOptions{Account: "a@b", Rows: true}) {
	}
	_ = s.scrub(ctx, s.loadScrub())
	_, _ = s.Repair(ctx, true, func(int, int) {})
	_ = s.Purge(ctx)
	_ = s.Reclaim(ctx)
}

// TestEveryEngineCallFails lets each single call of the engine fail once, in
// turn, in each way. Nothing panics, and what is left is consistent.
func TestEveryEngineCallFails(t *testing.T) {
	other := openStore(t, mem.New())
	from := account(t, other, "from@x")
	deliver(t, other, from, "INBOX", "Message-ID: <one@x>\r\n\r\none", mail.Flags{})
	deliver(t, other, from, "Archive", "two", mail.Flags{})
	calls := 0
	for at := 0; at <= calls; at++ {
		for _, kind := range []errs.Kind{errs.Temporary, errs.Corrupt} {
			f := &faulty{Engine: mem.New(), at: at, kind: kind}
			s, err := Open(ctx, f, Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
			if err != nil {
				continue
			}
			useAll(s, other)
			if at == 0 {
				calls = f.calls
			}
			s.Close()
			again := openStore(t, f.Engine)
			var found []string
			for x, err := range again.Check(ctx, CheckOptions{}) {
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, x.String())
			}
			if len(found) > 0 {
				t.Fatalf("call %d fails, %v: %v", at, kind, slices.Compact(found))
			}
		}
	}
	if calls < 300 {
		t.Fatalf("only %d calls", calls)
	}
}
