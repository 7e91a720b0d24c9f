package local

import (
	"syscall"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
)

// TestNote: a note is there once, after a close in order, and goes with the index.
func TestNote(t *testing.T) {
	fs, o := vfs.NewMem(), options()
	o.IndexDir = "index"
	reopen := func(e *Engine) *Engine {
		t.Helper()
		if e != nil {
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
		}
		return open(t, fs, o)
	}
	want := func(e *Engine, note string) {
		t.Helper()
		if got := string(e.Note()); got != note {
			t.Errorf("the note is %q, not %q", got, note)
		}
	}
	e := reopen(nil)
	want(e, "")
	note := []byte("first")
	e.SetNote(note)
	note[0] = 'F' // it was copied
	var b engine.Batch
	b.Put([]byte("k"), []byte("v"))
	if _, err := enginetest.Space(t, e, 16).Commit(t.Context(), 0, &b); err != nil {
		t.Fatal(err)
	}
	e = reopen(e)
	want(e, "first")
	e = reopen(e)
	want(e, "")
	e.SetNote([]byte("second"))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.IndexFS.RemoveAll("index"); err != nil {
		t.Fatal(err)
	}
	e = open(t, fs, o)
	want(e, "")
	e.SetNote([]byte("third"))
	e.fail(syscall.EIO) // some of the log is not durable
	e.Close()
	e = open(t, fs, o)
	want(e, "")
	e.Close()
}
