package store

import (
	"context"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

var ctx = context.Background()

func openStore(t testing.TB, e engine.Engine) *Store {
	t.Helper()
	s, err := Open(ctx, e, Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func engines(t *testing.T) map[string]engine.Engine {
	l, err := local.Open(ctx, vfs.NewMem(), "store", local.Options{Now: time.Now, IndexFS: pebblevfs.NewMem(), CompactEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return map[string]engine.Engine{"mem": mem.New(), "local": l}
}

func account(t testing.TB, s *Store, name string) *Account {
	t.Helper()
	info, err := s.AccountInfo(ctx, name)
	if errs.Is(err, errs.NotFound) {
		info, err = s.CreateAccount(ctx, name, "x")
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, info.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func update(t testing.TB, a *Account, fn func(*Tx) error) mail.ModSeq {
	t.Helper()
	m, err := a.Update(ctx, fn)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func deliver(t testing.TB, s *Store, a *Account, mailbox, text string, flags mail.Flags) mail.UID {
	t.Helper()
	uid, err := tryDeliver(t, s, a, mailbox, text, flags)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// tryDeliver is deliver that returns what Update says.
func tryDeliver(t testing.TB, s *Store, a *Account, mailbox, text string, flags mail.Flags) (uid mail.UID, err error) {
	t.Helper()
	st, err := s.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	st.Write([]byte(text))
	staged, err := st.Seal()
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Update(ctx, func(tx *Tx) error {
		box, err := tx.Snapshot().Mailbox(mailbox)
		if err != nil {
			return err
		}
		uid, err = tx.Append(box.ID, staged, AppendOptions{Flags: flags})
		return err
	})
	return uid, err
}

// checkStore fails for everything that Check finds.
func checkStore(t testing.TB, s *Store) {
	t.Helper()
	for f, err := range s.Check(ctx, CheckOptions{}) {
		t.Fatal(f, err)
	}
}

func TestExpungePurge(t *testing.T) {
	e := mem.New()
	now := time.Unix(1_800_000_000, 0)
	s, err := Open(ctx, e, Options{Now: func() time.Time { return now }, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "text", mail.NewFlags(0, "kw"))
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	l, _ := v.Messages(ctx, box.ID)
	m := l.At(0)
	update(t, a, func(tx *Tx) error { _, err := tx.Expunge(box.ID, mail.NewUIDSet(1)); return err })
	readable := func() bool { b, err := s.ReadBody(ctx, m, 0, 4); return err == nil && string(b) == "text" }
	if now = now.Add(13 * 24 * time.Hour); s.Purge(ctx) != nil || !readable() {
		t.Fatal("gone before the retention time")
	}
	if now = now.Add(2 * 24 * time.Hour); s.Purge(ctx) != nil || readable() {
		t.Fatal("still there after the retention time")
	}
}

func TestDeleteAccount(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "A@B.example")
	first := a.ID()
	if err := s.DeleteAccount(ctx, "a@b.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Snapshot(); !errs.Is(err, errs.NotFound) {
		t.Fatalf("an open account after its deletion: %v", err)
	}
	if again := account(t, s, "a@b.example"); again.ID() == first {
		t.Fatal("the id was used again")
	}
}

// BenchmarkAccountInfo is what sessions ask before each command.
func BenchmarkAccountInfo(b *testing.B) {
	s := openStore(b, mem.New())
	account(b, s, "ada@example.org")
	for b.Loop() {
		if _, err := s.AccountInfo(ctx, "ada@example.org"); err != nil {
			b.Fatal(err)
		}
	}
}
