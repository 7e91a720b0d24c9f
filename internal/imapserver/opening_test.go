package imapserver

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// errPanic makes who reads a list panic.
var errPanic = errors.New("panic")

// heldEngine lets nobody read a list while it holds, and then fails if it is told
// to.
type heldEngine struct {
	engine.Engine
	held atomic.Pointer[chan error]
}

func (e *heldEngine) Space(ctx context.Context, id engine.SpaceID) (engine.Space, error) {
	s, err := e.Engine.Space(ctx, id)
	return heldSpace{s, e}, err
}

type heldSpace struct {
	engine.Space
	e *heldEngine
}

func (s heldSpace) Snapshot() (engine.Snapshot, error) {
	snap, err := s.Space.Snapshot()
	return heldSnapshot{snap, s.e}, err
}

type heldSnapshot struct {
	engine.Snapshot
	e *heldEngine
}

// Scan holds the scan of all messages of a mailbox.
func (s heldSnapshot) Scan(from, to []byte) iter.Seq2[engine.Pair, error] {
	return func(yield func(engine.Pair, error) bool) {
		if held := s.e.held.Load(); held != nil && from[0] == 'M' && len(from) == 9 {
			if err := <-*held; err == errPanic {
				panic(err)
			} else if err != nil {
				yield(engine.Pair{}, err)
				return
			}
		}
		for p, err := range s.Snapshot.Scan(from, to) {
			if !yield(p, err) {
				return
			}
		}
	}
}

// heldServer has an INBOX of ada with 5,001 messages, of which all or only the last
// one are recent, and whose list is not in memory: who sends to the channel lets it
// be read, or fail.
func heldServer(t *testing.T, allRecent bool) (*testServer, *store.Account, chan error) {
	t.Helper()
	e := &heldEngine{Engine: mem.New()}
	s := serve(t, servertest.NewOn(t, e), Options{})
	acct, id := fill(t, s, 5000)
	v, err := acct.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	box, err := v.MailboxByID(id)
	if err != nil {
		t.Fatal(err)
	}
	if !allRecent {
		acct.ClaimRecent(box)
	}
	fill(t, s, 1)
	held := make(chan error)
	e.held.Store(&held)
	return s, acct, held
}

// TestSelectMeanwhile: SELECT of a large mailbox is answered while its list is
// still being read, with what was true then (RFC 3501 §6.3.1). The next command
// waits.
func TestSelectMeanwhile(t *testing.T) {
	s, acct, held := heldServer(t, false)
	c := s.loggedIn(t)
	got, tagged := fetched(t, c, "SELECT INBOX")
	for _, want := range []string{"* 5001 EXISTS\n", "* 1 RECENT\n", "[UIDNEXT 5002]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	if strings.Contains(got, "[UNSEEN") || !strings.HasPrefix(tagged, "f OK [READ-WRITE]") {
		t.Errorf("%s%s", got, tagged)
	}
	added := make(chan error, 1)
	go func() {
		_, err := acct.Update(t.Context(), func(tx *store.Tx) error { // behind the list
			box, err := tx.Snapshot().Mailbox(mail.Inbox)
			if err != nil {
				return err
			}
			_, err = tx.Expunge(box.ID, mail.UIDSetOf(mail.UIDRange{First: 1, Last: 1}))
			return err
		})
		added <- err
	}()
	c.Send(t, "a FETCH 5001 (UID)\r\n")
	held <- nil
	expect(t, c, "* 5001 FETCH (UID 5001)")
	expect(t, c, "a OK ")
	if err := <-added; err != nil {
		t.Fatal(err)
	}
	if got, _ := fetched(t, c, "NOOP"); !strings.Contains(got, "* 1 EXPUNGE\n") {
		t.Errorf("after an expunge: %s", got)
	}
	if got, _ := fetched(t, c, "EXAMINE INBOX"); !strings.Contains(got, "* OK [UNSEEN 1]") {
		t.Errorf("with the list in memory: %s", got)
	}
}

// TestRecentMeanwhile: nor does it wait when all messages are recent.
func TestRecentMeanwhile(t *testing.T) {
	s, _, held := heldServer(t, true)
	c := s.loggedIn(t)
	if got, _ := fetched(t, c, "SELECT INBOX"); !strings.Contains(got, "* 5001 EXISTS\n") || !strings.Contains(got, "* 5001 RECENT\n") {
		t.Error(got)
	}
	go func() { held <- nil }()
	if got, _ := fetched(t, c, "FETCH 1,5001 (FLAGS)"); strings.Count(got, `\Recent`) != 2 {
		t.Error(got)
	}
}

// TestResyncMeanwhile: what needs the list waits for it in SELECT, too, and where it
// cannot be read nothing is selected.
func TestResyncMeanwhile(t *testing.T) {
	s, _, held := heldServer(t, false)
	c := s.loggedIn(t)
	fetched(t, c, "ENABLE QRESYNC")
	v, tagged := fetched(t, c, "STATUS INBOX (UIDVALIDITY)")
	_, validity, found := strings.Cut(v, "(UIDVALIDITY ")
	if !found {
		t.Fatal(v, tagged)
	}
	validity, _, _ = strings.Cut(validity, ")")
	resync := "SELECT INBOX (QRESYNC (" + validity + " 1 5001))"
	go func() { held <- errs.New("held", errs.Corrupt, "the list cannot be read") }()
	if _, tagged := fetched(t, c, resync); !strings.HasPrefix(tagged, "f NO [CORRUPTION] ") {
		t.Error(tagged)
	}
	if _, tagged := fetched(t, c, "FETCH 1 (UID)"); !strings.HasPrefix(tagged, "f BAD ") {
		t.Error(tagged)
	}
	go func() { held <- nil }()
	got, tagged := fetched(t, c, resync)
	if !strings.Contains(got, "* 5001 FETCH (UID 5001 ") || !strings.HasPrefix(tagged, "f OK ") {
		t.Errorf("%.300s%s", got, tagged)
	}
}

// TestNotifyMeanwhile: what happens between SELECT and the next command is told of
// (RFC 5465 §5).
func TestNotifyMeanwhile(t *testing.T) {
	s, _, held := heldServer(t, false)
	c := s.loggedIn(t)
	if _, tagged := fetched(t, c, "NOTIFY SET (SELECTED (MessageNew MessageExpunge))"); !strings.HasPrefix(tagged, "f OK ") {
		t.Fatal(tagged)
	}
	fetched(t, c, "SELECT INBOX")
	held <- nil
	fill(t, s, 1)
	expect(t, c, "* 5002 EXISTS")
}

// TestSelectThenUnreadable: a mailbox whose list turns out to be unreadable is not
// selected any more, and others may be.
func TestSelectThenUnreadable(t *testing.T) {
	t.Run("corrupt", func(t *testing.T) { selectUnreadable(t, errs.New("held", errs.Corrupt, "the list cannot be read")) })
	t.Run("panic", func(t *testing.T) { selectUnreadable(t, errPanic) })
}

func selectUnreadable(t *testing.T, failure error) {
	s, _, held := heldServer(t, false)
	c := s.loggedIn(t)
	if _, tagged := fetched(t, c, "SELECT INBOX"); !strings.HasPrefix(tagged, "f OK ") {
		t.Fatal(tagged)
	}
	c.Send(t, "a FETCH 1 (UID)\r\n")
	held <- failure
	expect(t, c, "* OK [CLOSED] ")
	expect(t, c, "a NO ")
	if _, tagged := fetched(t, c, "FETCH 1 (UID)"); !strings.HasPrefix(tagged, "f BAD ") {
		t.Error(tagged)
	}
	if _, tagged := fetched(t, c, "CREATE other"); !strings.HasPrefix(tagged, "f OK ") {
		t.Error(tagged)
	}
	if _, tagged := fetched(t, c, "SELECT INBOX"); !strings.HasPrefix(tagged, "f OK ") {
		t.Error(tagged)
	}
	go func() { held <- failure }()
	if got, tagged := fetched(t, c, "SELECT other"); !strings.Contains(got, "* OK [CLOSED] ") || !strings.HasPrefix(tagged, "f OK ") {
		t.Errorf("%s%s", got, tagged)
	}
}
