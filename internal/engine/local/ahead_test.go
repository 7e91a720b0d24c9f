package local

import (
	"math/rand/v2"
	"path"
	"slices"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// TestAhead: a commit that was written ahead begins a segment; one that comes to
// nothing leaves none, and one that was overtaken goes the usual way.
func TestAhead(t *testing.T) {
	disk := vfs.NewMem()
	o := options()
	o.aloneMin, o.aheadMin = 100, 100
	e := open(t, disk, o)
	segments := func() []string {
		t.Helper()
		names, err := disk.List(path.Join("store", logDir))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	var small, large engine.Batch
	small.Put([]byte("small"), []byte("value"))
	large.Put([]byte("large"), make([]byte, 1000))
	s.commit(t, &small)
	first := segments()
	s.commit(t, &large)
	s.commit(t, &small)
	second := segments()
	if len(second) != len(first)+1 {
		t.Errorf("the segments were %q and are %q", first, second)
	}

	if _, err := s.space.Commit(t.Context(), 77, &large); !errs.Is(err, errs.Conflict) {
		t.Fatal(err)
	}
	if now := segments(); !slices.Equal(now, second) {
		t.Errorf("a conflict made of the segments %q %q", second, now)
	}

	w := &waiter{space: 1, version: s.version + 1, ops: large.Ops, done: make(chan error, 1)}
	if err := e.prepare(t.Context(), w, lengthOf(w)); err != nil {
		t.Fatal(err)
	}
	defer w.prepared.end()
	length := lengthOf(w)
	a := encodeAlone(t, w)
	if err := e.writeAhead(a); err != nil {
		t.Fatal(err)
	}
	cut := disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 1)
	if err := e.endActive(); err != nil {
		t.Fatal(err)
	}
	third := segments()
	if err := e.enqueue(w, s.version, length, a); err != nil {
		t.Fatal(err)
	}
	if err := <-w.done; err != nil {
		t.Fatal(err)
	}
	s.version++
	e.dropAhead(a)
	if now := segments(); len(now) != len(third)-1 {
		t.Errorf("a commit that was overtaken made of the segments %q %q", third, now)
	}
	checkIndex(t, e, disk)

	o = options()
	o.Events.Finding = func(f Finding) { t.Errorf("what was written ahead when the power went is damage: %v", f) }
	again := open(t, cut, o)
	defer again.Close()
	if snap, err := enginetest.Space(t, again, 1).Snapshot(); err != nil || snap.Version() != s.version-1 {
		t.Error(err)
	} else {
		snap.Close()
	}
	if now, err := cut.List(path.Join("store", logDir)); err != nil || !slices.Equal(now, second) {
		t.Errorf("what was written ahead when the power went is there still: %q, %v", now, err)
	}
}
