package store

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

func setQuota(t testing.TB, s *Store, name string, octets, messages int64) {
	t.Helper()
	if err := s.EditQuota(ctx, name, func(q *Quota) { q.Set(Storage, octets); q.Set(MessageCount, messages) }); err != nil {
		t.Fatal(err)
	}
}

// TestQuota: what holds exactly as much as it may is not full of less, and what
// is refused changes nothing (RFC 9208 §3.1.2, §5).
func TestQuota(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, e)
			a := account(t, s, "a@b")
			held := func(octets, messages int64) {
				t.Helper()
				v, err := a.Snapshot()
				if err != nil {
					t.Fatal(err)
				}
				if want := (Amounts{octets, messages}); v.Held() != want {
					t.Errorf("held %v, want %v", v.Held(), want)
				}
				checkStore(t, s)
			}
			full := func(mailbox, text string) {
				t.Helper()
				if _, err := tryDeliver(t, s, a, mailbox, text, mail.Flags{}); !errs.Is(err, errs.OverQuota) {
					t.Errorf("%q: %v", text, err)
				}
			}
			deliver(t, s, a, "INBOX", "12345", mail.Flags{})
			var d Quota
			d.Set(Storage, 10)
			s.SetDefaultQuota(d)
			full("INBOX", "123456")
			deliver(t, s, a, "Sent", "12345", mail.Flags{})
			full("Archive", "1")
			held(10, 2)
			// Its own limit holds instead of the default, both ways.
			setQuota(t, s, "a@b", 11, 3)
			deliver(t, s, a, "INBOX", "1", mail.Flags{})
			setQuota(t, s, "a@b", -1, 3)
			full("INBOX", "1")
			setQuota(t, s, "a@b", 3, 0)
			full("INBOX", "1")
			held(11, 3)
			// One that holds too much may do all that adds nothing.
			update(t, a, func(tx *Tx) error {
				inbox, err := tx.Snapshot().Mailbox("INBOX")
				if err != nil {
					return err
				}
				sent, err := tx.Snapshot().Mailbox("Sent")
				if err != nil {
					return err
				}
				if _, err := tx.Move(sent.ID, mail.NewUIDSet(1), inbox.ID, ByOwner); err != nil {
					return err
				}
				_, err = tx.SetFlags(inbox.ID, mail.NewUIDSet(1, 2), FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
				return err
			})
			held(11, 3)
			expunge(t, a, "INBOX", 1, 2, 3)
			held(0, 0)
			// What is kept does not count; who restores it wants it back.
			if done := restore(t, a, Selection{}); done.Messages != 3 {
				t.Errorf("%+v", done)
			}
			held(11, 3)
			if err := s.EditQuota(ctx, "a@b", func(q *Quota) { q.Clear(Storage); q.Clear(MessageCount) }); err != nil {
				t.Fatal(err)
			}
			full("INBOX", "1")
			s.SetDefaultQuota(Quota{})
			deliver(t, s, a, "INBOX", "1", mail.Flags{})
			held(12, 4)
			if err := s.EditQuota(ctx, "x@b", func(*Quota) {}); !errs.Is(err, errs.NotFound) {
				t.Error(err)
			}
		})
	}
}

// TestQuotaTogether: sessions at the same time cannot exceed a limit.
func TestQuotaTogether(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	setQuota(t, s, "a@b", -1, 10)
	var wg sync.WaitGroup
	results := make([]error, 40)
	for i := range results {
		wg.Go(func() { _, results[i] = tryDeliver(t, s, a, "INBOX", strings.Repeat("x", i+1), mail.Flags{}) })
	}
	wg.Wait()
	done := 0
	for _, err := range results {
		if err == nil {
			done++
		} else if !errs.Is(err, errs.OverQuota) {
			t.Error(err)
		}
	}
	if v, err := a.Snapshot(); err != nil || done != 10 || v.Held()[MessageCount] != 10 {
		t.Errorf("%d were added: %v, %v", done, v.Held(), err)
	}
	checkStore(t, s)
}

// TestQuotaKept: limits survive a restart, and come back with a deleted account.
func TestQuotaKept(t *testing.T) {
	files, index := vfs.NewMem(), pebblevfs.NewMem()
	open := func() (*Store, func()) {
		e, err := local.Open(ctx, files, "store", local.Options{Now: time.Now, IndexFS: index, CompactEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(ctx, e, Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1, ExpungeRetention: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return s, func() { s.Close(); e.Close() }
	}
	s, end := open()
	account(t, s, "a@b")
	setQuota(t, s, "a@b", NoLimit-1, -1)
	if err := s.DeleteAccount(ctx, "a@b"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.RestoreAccount(ctx, "a@b", "c@d"); err != nil {
		t.Fatal(err)
	}
	end()
	s, end = open()
	defer end()
	info, err := s.AccountInfo(ctx, "c@d")
	q := info.Quota
	if err != nil || q.Limit(Storage) != NoLimit-1 || q.Limit(MessageCount) != NoLimit || !q.Says(MessageCount) {
		t.Errorf("%v, %v", q, err)
	}
}
