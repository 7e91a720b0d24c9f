package local

import (
	"testing"

	"github.com/angarium/angarium/internal/vfs"
)

// TestNote: a note is taken once, and goes with the index.
func TestNote(t *testing.T) {
	fs, o := vfs.NewMem(), options()
	o.IndexDir = "index"
	e := open(t, fs, o)
	reopen := func() {
		t.Helper()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = open(t, fs, o)
	}
	set := func(note string) {
		t.Helper()
		if err := e.SetNote([]byte(note)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(note string) {
		t.Helper()
		if got := string(e.TakeNote()); got != note {
			t.Errorf("the note is %q, not %q", got, note)
		}
	}
	want("")
	set("first")
	reopen()
	want("first")
	want("")
	reopen()
	want("")
	set("second")
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := o.IndexFS.RemoveAll("index"); err != nil {
		t.Fatal(err)
	}
	e = open(t, fs, o)
	want("")
	e.Close()
}
