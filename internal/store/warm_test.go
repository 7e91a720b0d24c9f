package store

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/internal/warm"
)

// warmStore is a store on the disk.
type warmStore struct {
	*Store
	e *local.Engine
	f *warm.Folder
	a *Account
}

// openWarm opens the store in dir with one account, and waits for what its file has.
func openWarm(t *testing.T, dir string, version uint64) *warmStore {
	t.Helper()
	e, err := local.Open(ctx, vfs.Disk{}, filepath.Join(dir, "store"), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	f := warm.NewFolder(vfs.Disk{}, filepath.Join(dir, "warm"), e.TakeNote(), func(err error) { t.Error(err) })
	s, err := Open(ctx, e, Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1, Warm: f, FormsVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	s.wg.Wait()
	return &warmStore{Store: s, e: e, f: f, a: account(t, s, "a@b")}
}

// close stops in order.
func (s *warmStore) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(s.Store.Close(), s.e.SetNote(s.f.Note()), s.e.Close()); err != nil {
		t.Fatal(err)
	}
}

// fill delivers messages of which forms are kept.
func (s *warmStore) fill(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		deliver(t, s.Store, s.a, "INBOX", "Subject: "+text+"\r\n\r\n", mail.Flags{})
	}
	for m := range s.messages(t) {
		s.keep(t, m)
	}
}

// formsOf are those that a server makes of the message.
func (s *warmStore) formsOf(t *testing.T, m *Message) [FormsMax][]byte {
	t.Helper()
	subject := must(s.Summary(ctx, m)).Parts[0].Envelope.Subject
	return [FormsMax][]byte{[]byte("envelope of " + subject), nil, []byte(subject)}
}

func (s *warmStore) keep(t *testing.T, m *Message) {
	var k Known
	k.AddForms(s.formsOf(t, m))
	s.Keep(m, k)
}

func (s *warmStore) messages(t *testing.T) map[*Message]bool {
	t.Helper()
	_, l, err := s.a.Messages(ctx, boxOf(t, s.a, "INBOX").ID)
	if err != nil {
		t.Fatal(err)
	}
	all := map[*Message]bool{}
	for _, m := range l.Range(0, l.Len()) {
		all[m] = true
	}
	return all
}

// known counts the messages of which forms are kept, which must be theirs.
func (s *warmStore) known(t *testing.T) (n int) {
	t.Helper()
	for m := range s.messages(t) {
		k, _ := s.Known(m)
		if k.forms == nil {
			continue
		}
		n++
		for i, want := range s.formsOf(t, m) {
			if got := k.Form(i); string(got) != string(want) {
				t.Errorf("form %d of message %d is %q, not %q", i, m.UID, got, want)
			}
		}
	}
	return n
}

// TestWarm: what is kept of messages outlives a stop in order, once, and no other one.
func TestWarm(t *testing.T) {
	dir := t.TempDir()
	s := openWarm(t, dir, 0)
	s.fill(t, "one", "two", "three")
	s.close(t)
	s = openWarm(t, dir, 0)
	if n := s.known(t); n != 3 {
		t.Errorf("forms of %d messages outlived the stop", n)
	}
	if _, err := os.Stat(filepath.Join(dir, "warm", warmFile)); !os.IsNotExist(err) {
		t.Error("the file is still there:", err)
	}
	s.close(t)
	s = openWarm(t, dir, 1)
	if n := s.known(t); n != 0 {
		t.Errorf("%d forms of another version are served", n)
	}
	for m := range s.messages(t) {
		s.keep(t, m)
	}
	if err := s.Store.Close(); err != nil {
		t.Fatal(err)
	}
	killed := t.TempDir()
	if err := os.CopyFS(killed, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.e.SetNote(s.f.Note()), s.e.Close()); err != nil {
		t.Fatal(err)
	}
	s = openWarm(t, killed, 1)
	if n := s.known(t); n != 0 {
		t.Errorf("%d forms outlived that the process was killed", n)
	}
	s.close(t)
	s = openWarm(t, dir, 1)
	if n := s.known(t); n != 3 {
		t.Errorf("forms of %d messages outlived the third stop", n)
	}
	if err := s.Reclaim(ctx); err != nil {
		t.Fatal(err)
	}
	s.close(t)
	s = openWarm(t, dir, 1)
	if n := s.known(t); n != 0 {
		t.Errorf("%d forms outlived that erased messages were given back", n)
	}
	s.close(t)
}

// TestWarmPutBack: in a store that was put back to an earlier time other messages get
// the BlobIDs of those that came afterwards; they are not taken for them.
func TestWarmPutBack(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	s := openWarm(t, dir, 0)
	s.fill(t, "before")
	s.close(t)
	if err := os.CopyFS(backup, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	s = openWarm(t, dir, 0)
	s.fill(t, "later")
	ids := map[any]bool{}
	for m := range s.messages(t) {
		ids[m.Blob] = true
	}
	s.close(t)
	later, err := os.ReadFile(filepath.Join(dir, "warm", warmFile))
	if err != nil {
		t.Fatal(err)
	}

	s = openWarm(t, backup, 0)
	deliver(t, s.Store, s.a, "INBOX", "Subject: other\r\n\r\n", mail.Flags{})
	for m := range s.messages(t) {
		if !ids[m.Blob] {
			t.Fatal("the test is of no use: the message has an id of its own")
		}
	}
	s.close(t)
	if err := os.WriteFile(filepath.Join(backup, "warm", warmFile), later, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openWarm(t, backup, 0)
	if n := s.known(t); n != 0 {
		t.Errorf("forms of %d messages come from another time", n)
	}
	s.close(t)
}

// FuzzWarm: what is read of a block is in it, and all that was written is.
func FuzzWarm(f *testing.F) {
	var k Known
	k.AddForms([FormsMax][]byte{[]byte("one"), nil, []byte("three")})
	two := appendWarm(appendWarm(nil, 7, &k), 8, &k)
	f.Add(two)
	f.Add(two[:len(two)-1])
	f.Add(make([]byte, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			id, k, rest := decodeWarm(b)
			if len(rest) >= len(b) {
				t.Fatal("nothing was read")
			}
			again := appendWarm(nil, id, &k)
			if id != 0 && len(again) == len(b)-len(rest) && !bytes.HasPrefix(b, again) {
				t.Fatalf("%q of %q", again, b)
			}
			b = rest
		}
	})
}

// TestWarmLarge: more than one block, and no more than there is room for.
func TestWarmLarge(t *testing.T) {
	c := &summaryCache{max: 3 << 20} // of which both generations are used
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[int]Known{}
	for id := range 2000 {
		var forms [FormsMax][]byte
		for i := range forms {
			forms[i] = make([]byte, rng.IntN(600))
			for j := range forms[i] {
				forms[i][j] = byte(rng.Uint32())
			}
		}
		var k Known
		k.AddForms(forms)
		c.put(engine.BlobID(1+id), k)
		want[id] = k
	}
	c.put(1, Known{}) // which is in both now
	entries := 0
	for b := range warmBlocks(c) {
		for ; len(b) > 0; entries++ {
			_, _, b = decodeWarm(b)
		}
	}
	if entries != len(want) {
		t.Errorf("%d entries of %d messages", entries, len(want))
	}
	for _, max := range []int64{8 << 20, 1 << 20} {
		fsys := vfs.NewMem()
		before := warm.NewFolder(fsys, "warm", nil, func(err error) { t.Error(err) })
		s := &Store{opts: Options{Warm: before}}
		s.summaries.young, s.summaries.old = c.young, c.old
		s.saveWarm()
		s = &Store{opts: Options{Warm: warm.NewFolder(fsys, "warm", before.Note(), nil)}}
		s.summaries.max = max
		s.loadWarm()
		have := 0
		for id, k := range want {
			got, ok := s.summaries.get(engine.BlobID(1 + id))
			if ok {
				have++
			}
			for i := range FormsMax {
				if ok && string(got.Form(i)) != string(k.Form(i)) {
					t.Fatalf("form %d of %d is another one", i, id)
				}
			}
		}
		if whole := max == 8<<20; whole != (have == len(want)) || have == 0 {
			t.Errorf("%d of %d have room in %d octets", have, len(want), max)
		}
	}
}
