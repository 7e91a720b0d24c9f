package store

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// timed is a store whose clock a test sets.
type timed struct {
	*Store
	now time.Time
}

func openTimed(t *testing.T) *timed {
	c := &timed{now: time.Unix(1_800_000_000, 0)}
	s, err := Open(ctx, mem.New(), Options{Now: func() time.Time { return c.now }, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	c.Store = s
	return c
}

func (c *timed) pass(d time.Duration) { c.now = c.now.Add(d) }

func boxOf(t *testing.T, a *Account, name string) *Mailbox {
	t.Helper()
	v, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	box, err := v.Mailbox(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return box
}

// contents lists a mailbox: UID, flags, internal date and octets of each.
func contents(t *testing.T, s *Store, a *Account, name string) (all []string) {
	t.Helper()
	_, l, err := a.Messages(ctx, boxOf(t, a, name).ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.Range(0, l.Len()) {
		text, err := s.ReadBody(ctx, m, 0, m.Size)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%d %s %d %s", m.UID, m.Flags, m.InternalDate, text))
	}
	return all
}

func wantContents(t *testing.T, s *Store, a *Account, name string, want ...string) {
	t.Helper()
	if got := contents(t, s, a, name); !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", name, got, want)
	}
	checkStore(t, s)
}

func expunge(t *testing.T, a *Account, name string, uids ...mail.UID) {
	t.Helper()
	id := boxOf(t, a, name).ID
	update(t, a, func(tx *Tx) error { _, err := tx.Expunge(id, mail.NewUIDSet(uids...)); return err })
}

func restore(t *testing.T, a *Account, sel Selection) Restored {
	t.Helper()
	done, err := a.Restore(ctx, sel)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func TestUndelete(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	deliver(t, s.Store, a, "INBOX", "one", mail.NewFlags(mail.Seen|mail.Deleted, "kw"))
	deliver(t, s.Store, a, "INBOX", "two", mail.NewFlags(mail.Flagged))
	deliver(t, s.Store, a, "INBOX", "three", mail.Flags{})
	s.pass(time.Hour)
	expunge(t, a, "INBOX", 1, 3)
	s.pass(time.Hour)
	expunge(t, a, "INBOX", 2)
	if m, o := must(a.Snapshot()).Usage(); m != 0 || o != 0 {
		t.Fatalf("expunged mail counts: %d messages, %d octets", m, o)
	}
	s.pass(time.Hour)
	done := restore(t, a, Selection{Until: s.now.Add(-90 * time.Minute)})
	if done.Messages != 2 || done.Octets != 8 || len(done.Mailboxes) != 0 {
		t.Fatalf("%+v", done)
	}
	// Under new UIDs, with flags, keywords and dates, but without \Deleted.
	wantContents(t, s.Store, a, "INBOX", `4 \Seen kw 1800000000 one`, "5  1800000000 three")
	if done := restore(t, a, Selection{Mailbox: "INBOX", Into: "Back/here"}); done.Messages != 1 || !slices.Equal(done.Mailboxes, []string{"Back/here"}) {
		t.Fatalf("%+v", done)
	}
	wantContents(t, s.Store, a, "Back/here", `1 \Flagged 1800000000 two`)
	if done := restore(t, a, Selection{}); done.Messages != 0 || len(done.Mailboxes) != 0 {
		t.Fatalf("a second restore: %+v", done)
	}
	// The references moved with them.
	expunge(t, a, "INBOX", 4)
	s.pass(15 * 24 * time.Hour)
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	wantContents(t, s.Store, a, "INBOX", "5  1800000000 three")
	if done := restore(t, a, Selection{}); done.Messages != 0 {
		t.Fatalf("after the retention time: %+v", done)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestUndeleteMailboxes(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	update(t, a, func(tx *Tx) error {
		for _, name := range []string{"P/q/r", "P/empty", "Q"} {
			if _, err := tx.CreateMailbox(name, CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	for _, name := range []string{"P", "P/q/r", "Q", "Sent"} {
		deliver(t, s.Store, a, name, "in "+name, mail.NewFlags(mail.Answered))
	}
	for _, name := range []string{"P/q/r", "P/q", "P/empty", "P", "Q", "Sent"} {
		id := boxOf(t, a, name).ID
		s.pass(time.Minute)
		update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(id) })
	}
	gone := must(a.DeletedMailboxes())
	if len(gone) != 6 || gone[0].Name != "P" || gone[5].Name != "Sent" {
		t.Fatalf("%+v", gone)
	}
	done := restore(t, a, Selection{Mailbox: "P"})
	slices.Sort(done.Mailboxes)
	if done.Messages != 2 || !slices.Equal(done.Mailboxes, []string{"P", "P/empty", "P/q", "P/q/r"}) {
		t.Fatalf("%+v", done)
	}
	wantContents(t, s.Store, a, "P", `1 \Answered 1800000000 in P`)
	wantContents(t, s.Store, a, "P/q/r", `1 \Answered 1800000000 in P/q/r`)
	wantContents(t, s.Store, a, "P/q")
	restore(t, a, Selection{})
	if use := boxOf(t, a, "Sent").SpecialUse; use != mail.UseSent {
		t.Fatalf("Sent came back with the uses %v", use.Names())
	}
	if gone := must(a.DeletedMailboxes()); len(gone) != 0 {
		t.Fatalf("still there to restore: %+v", gone)
	}
}

func TestUndeleteMany(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	const n = restoreMax + 10
	for range n {
		deliver(t, s.Store, a, "INBOX", "x", mail.Flags{})
	}
	expunge(t, a, "INBOX", 1)
	id := boxOf(t, a, "INBOX").ID
	update(t, a, func(tx *Tx) error {
		_, err := tx.Expunge(id, mail.UIDSet{{First: 2, Last: n}})
		return err
	})
	if done := restore(t, a, Selection{UIDs: mail.UIDSet{{First: 2, Last: 5}}}); done.Messages != 4 {
		t.Fatalf("%+v", done)
	}
	if done := restore(t, a, Selection{}); done.Messages != n-4 {
		t.Fatalf("%+v", done)
	}
	if got := len(contents(t, s.Store, a, "INBOX")); got != n {
		t.Fatalf("%d messages", got)
	}
	checkStore(t, s.Store)
}

func TestErase(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	for range 3 {
		deliver(t, s.Store, a, "INBOX", "x", mail.Flags{})
	}
	expunge(t, a, "INBOX", 1, 2)
	if done, err := a.Erase(ctx, Selection{UIDs: mail.NewUIDSet(2)}); err != nil || done.Messages != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if done := restore(t, a, Selection{}); done.Messages != 1 {
		t.Fatalf("%+v", done)
	}
	wantContents(t, s.Store, a, "INBOX", "3  1800000000 x", "4  1800000000 x")
}

func TestRestoreAccount(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	deliver(t, s.Store, a, "INBOX", "mail", mail.Flags{})
	if err := s.SetPassword(ctx, "a@b", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteAccount(ctx, "a@b"); err != nil {
		t.Fatal(err)
	}
	checkStore(t, s.Store)
	account(t, s.Store, "a@b") // somebody new
	if _, err := s.RestoreAccount(ctx, "a@b", "a@b"); !errs.Is(err, errs.Exists) {
		t.Fatalf("onto an account that exists: %v", err)
	}
	info, err := s.RestoreAccount(ctx, "a@b", "Old@b")
	if err != nil || info.Password != "secret" || info.ID != a.ID() {
		t.Fatalf("%+v, %v", info, err)
	}
	wantContents(t, s.Store, account(t, s.Store, "old@b"), "INBOX", "1  1800000000 mail")
	if _, err := s.RestoreAccount(ctx, "a@b", "again@b"); !errs.Is(err, errs.NotFound) {
		t.Fatalf("twice: %v", err)
	}
	if err := s.DeleteAccount(ctx, "old@b"); err != nil {
		t.Fatal(err)
	}
	s.pass(15 * 24 * time.Hour)
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if gone := must(s.GoneAccounts()); len(gone) != 0 {
		t.Fatalf("after the retention time: %+v", gone)
	}
}

func TestRetentionOfAccount(t *testing.T) {
	s := openTimed(t)
	left := func(name string) (n int) {
		for _, err := range account(t, s.Store, name).Expunged(ctx, Selection{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	for name, d := range map[string]time.Duration{"none@b": -1 * time.Second, "short@b": time.Hour, "default@b": 0, "long@b": 30 * 24 * time.Hour} {
		a := account(t, s.Store, name)
		if err := s.SetRetention(ctx, name, d); err != nil {
			t.Fatal(err)
		}
		deliver(t, s.Store, a, "INBOX", "x", mail.Flags{})
		expunge(t, a, "INBOX", 1)
	}
	for _, c := range []struct {
		pass                      time.Duration
		none, short, normal, long int
	}{{0, 0, 1, 1, 1}, {2 * time.Hour, 0, 0, 1, 1}, {15 * 24 * time.Hour, 0, 0, 0, 1}, {16 * 24 * time.Hour, 0, 0, 0, 0}} {
		s.pass(c.pass)
		if err := s.Purge(ctx); err != nil {
			t.Fatal(err)
		}
		got := []int{left("none@b"), left("short@b"), left("default@b"), left("long@b")}
		if want := []int{c.none, c.short, c.normal, c.long}; !slices.Equal(got, want) {
			t.Fatalf("after %v more: %v, want %v", c.pass, got, want)
		}
	}
}

// TestScrub: a pass finds damage, is not begun again before its time, and goes
// on where it was.
func TestScrub(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	deliver(t, s.Store, a, "INBOX", "x", mail.Flags{})
	b := account(t, s.Store, "b@b")
	var found []Finding
	s.opts.Finding = func(f Finding) { found = append(found, f) }
	if err := s.scrub(ctx, s.loadScrub()); err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	if st := s.loadScrub(); st.began != 0 || st.ended != s.now.Unix() {
		t.Fatalf("%+v", st)
	}
	l, _ := must(a.Snapshot()).Messages(ctx, boxOf(t, a, "INBOX").ID)
	update(t, a, func(tx *Tx) error { tx.batch.Drop(l.At(0).Blob); tx.changed = true; return nil })
	if err := s.scrub(ctx, scrubState{began: 1, next: b.ID()}); err != nil || len(found) != 0 {
		t.Fatal("an account that was done is read again", found, err)
	}
	if err := s.scrub(ctx, s.loadScrub()); err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	if got, want := found[0].String(), `a@b, mailbox "INBOX", UID 1: mem.Verify: not found`; got != want {
		t.Fatalf("%q, want %q", got, want)
	}
}

// TestReferences: a copy keeps its octets when the original is gone for ever,
// and a moved message too.
func TestReferences(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	deliver(t, s.Store, a, "INBOX", "copied", mail.Flags{})
	deliver(t, s.Store, a, "INBOX", "moved", mail.Flags{})
	inbox, archive := boxOf(t, a, "INBOX").ID, boxOf(t, a, "Archive").ID
	update(t, a, func(tx *Tx) error {
		if _, err := tx.Copy(inbox, mail.NewUIDSet(1), archive, ByOwner); err != nil {
			return err
		}
		_, err := tx.Move(inbox, mail.NewUIDSet(2), archive, ByOwner)
		return err
	})
	expunge(t, a, "INBOX", 1)
	if _, err := a.Erase(ctx, Selection{}); err != nil {
		t.Fatal(err)
	}
	wantContents(t, s.Store, a, "Archive", "1  1800000000 copied", "2  1800000000 moved")
	expunge(t, a, "Archive", 1, 2)
	if done, err := a.Erase(ctx, Selection{}); err != nil || done.Messages != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	if n := s.engine.(*mem.Engine).BlobCount(); n != 0 {
		t.Fatalf("%d blobs are left of an empty account", n)
	}
}

// TestScrubPace: many short records are read between two sleeps, which take as
// long as what was read may take.
func TestScrubPace(t *testing.T) {
	var slept []time.Duration
	p := scrubPace{rate: 2 * scrubStep, sleep: func(_ context.Context, d time.Duration) bool {
		slept = append(slept, d)
		return len(slept) < 4
	}}
	for range 3 * 1024 {
		if err := p.take(ctx, scrubStep/1024); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.take(ctx, 10*scrubStep); err != nil {
		t.Fatal(err)
	}
	if want := []time.Duration{time.Second / 2, time.Second / 2, time.Second / 2, 5 * time.Second}; !slices.Equal(slept, want) {
		t.Errorf("slept %v, want %v", slept, want)
	}
	ended, end := context.WithCancel(ctx)
	end()
	if p.take(ended, 1) == nil || p.take(ended, scrubStep) == nil {
		t.Error("the scrub goes on after its end")
	}
}
