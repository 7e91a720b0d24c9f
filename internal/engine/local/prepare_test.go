package local

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/cockroachdb/pebble/v2"
)

// indexOf is all that an index holds but the mark.
func indexOf(t *testing.T, e *Engine) map[string]string {
	t.Helper()
	rows := map[string]string{}
	it, err := e.index.NewIter(&pebble.IterOptions{LowerBound: []byte{keyMark + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		rows[string(it.Key())] = string(it.Value())
	}
	return rows
}

// checkIndex compares an engine's index with the one that is made from its log, in
// which every commit is applied as it comes.
func checkIndex(t *testing.T, e *Engine, disk *vfs.Mem) {
	t.Helper()
	again := open(t, disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 1), options())
	defer again.Close()
	got, want := indexOf(t, e), indexOf(t, again)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("key %x is %x, in a new index %x", key, got[key], value)
		}
		delete(got, key)
	}
	for key, value := range got {
		t.Errorf("key %x is %x, and not in a new index", key, value)
	}
	if got, want := e.Stats().Live, again.Stats().Live; got != want {
		t.Errorf("%d octets are live, by a new index %d", got, want)
	}
}

// TestPrepared changes the references and places of blobs between the preparation
// of a commit that is about them and its turn.
func TestPrepared(t *testing.T) {
	keep := func(b *engine.Batch, ids []engine.BlobID) { b.Keep(ids[0]) }
	drop := func(b *engine.Batch, ids []engine.BlobID) { b.Drop(ids[0]) }
	compact := func(t *testing.T, e *Engine) {
		if err := e.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		prepared  func(*engine.Batch, []engine.BlobID)
		meanwhile func(*engine.Batch, []engine.BlobID)
		moved     bool
	}{
		"nothing":                           {keep, func(*engine.Batch, []engine.BlobID) {}, false},
		"another is kept":                   {keep, func(b *engine.Batch, ids []engine.BlobID) { b.Keep(ids[1]) }, false},
		"kept, kept":                        {keep, keep, false},
		"the last reference goes":           {keep, drop, false},
		"dropped, kept":                     {drop, keep, false},
		"dropped twice":                     {drop, drop, false},
		"moved and kept":                    {keep, func(b *engine.Batch, ids []engine.BlobID) { b.Drop(ids[1]) }, true},
		"moved and dropped":                 {drop, func(b *engine.Batch, ids []engine.BlobID) { b.Drop(ids[1]) }, true},
		"dropped, kept and dropped at once": {func(b *engine.Batch, ids []engine.BlobID) { b.Drop(ids[0]); b.Keep(ids[0]); b.Drop(ids[0]) }, keep, false},
	} {
		run := func(t *testing.T, tables bool) {
			disk, o := vfs.NewMem(), options()
			if tables {
				o.aheadMin = 1
			}
			e := open(t, disk, o)
			defer e.Close()
			one := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
			two := &engineSpace{engine: e, space: enginetest.Space(t, e, 2)}
			ids := keptBlobs(t, one, 3)

			var b, other engine.Batch
			b.Put([]byte("z"), []byte("first"))
			test.prepared(&b, ids)
			b.Put([]byte("a"), []byte("x"))
			if !tables {
				b.DeleteRange([]byte("a"), []byte("b"))
			}
			b.Delete([]byte("y"))
			b.Put([]byte("z"), []byte("last"))
			w := &waiter{space: 1, version: one.version + 1, ops: b.Ops, done: make(chan error, 1)}
			if err := e.prepare(t.Context(), w, lengthOf(w)); err != nil {
				t.Fatal(err)
			}
			defer w.prepared.end()
			if made := w.prepared.tables != nil; made != tables {
				t.Fatalf("there are tables: %v", made)
			}
			test.meanwhile(&other, ids)
			two.commit(t, &other)
			if test.moved {
				compact(t, e)
			}
			if err := e.enqueue(w, one.version, lengthOf(w), encodeAlone(t, w)); err != nil {
				t.Fatal(err)
			}
			if err := <-w.done; err != nil {
				t.Fatal(err)
			}
			checkIndex(t, e, disk)
		}
		t.Run(name, func(t *testing.T) { run(t, false) })
		t.Run(name+", tables", func(t *testing.T) { run(t, true) })
	}
}

// lengthOf is commitLength for a commit whose Pace does not end it.
func lengthOf(w *waiter) int64 {
	length, _ := commitLength(w.ops, letOthersRun)
	return length
}

// encodeAlone is commitAlone for a commit whose Pace does not end it.
func encodeAlone(t testing.TB, w *waiter) *alone {
	t.Helper()
	a, err := commitAlone(w, lengthOf(w))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestPace: a large commit can be ended while it is made ready, wherever it has
// come, and then nothing of it is there and nothing is left behind.
func TestPace(t *testing.T) {
	t.Run("batch", func(t *testing.T) { testPace(t, aheadMin) })
	t.Run("tables", func(t *testing.T) { testPace(t, 1) })
}

func testPace(t *testing.T, aheadMin int64) {
	disk, o := vfs.NewMem(), options()
	o.aloneMin, o.aheadMin, o.SegmentOctets = 1, aheadMin, 1<<20
	e := open(t, disk, o)
	defer e.Close()
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	ids := keptBlobs(t, s, 2*yieldEvery)
	var large engine.Batch
	for i, id := range ids {
		large.Keep(id)
		large.Put(fmt.Appendf(nil, "%x", i*7919%1000), []byte("row"))
		if i%2 == 0 {
			large.Drop(id)
			large.Drop(id)
		}
	}
	large.Put([]byte("long"), make([]byte, yieldEvery<<10))
	ended := errors.New("ended")
	calls, last, from := 0, 0, map[string]bool{}
	large.Pace = func() error {
		from[linesHere()] = true
		if calls++; calls == last {
			return ended
		}
		return nil
	}
	for last = 1; ; last++ {
		calls = 0
		version, err := s.space.Commit(t.Context(), s.version, &large)
		if err == nil {
			s.version = version
			break
		}
		if !errors.Is(err, ended) || calls != last {
			t.Fatalf("ended by call %d of %d: %v", last, calls, err)
		}
		checkNoTables(t, e)
		var small engine.Batch
		small.Put([]byte("small"), nil)
		s.commit(t, &small)
	}
	// The length, two of listing, sorting twice, references, places, and in the batch these,
	// the rows and the places again, the record and its checksum.
	if len(from) != 12 {
		t.Errorf("pauses are made in %d places: %q", len(from), slices.Sorted(maps.Keys(from)))
	}
	checkIndex(t, e, disk)
}

// linesHere are the lines of this package that called the caller.
func linesHere() string {
	pcs := make([]uintptr, 50)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var lines []string
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "engine/local.") {
			lines = append(lines, fmt.Sprintf("%s:%d", path.Base(f.Function), f.Line))
		}
		if !more {
			return strings.Join(lines, " ")
		}
	}
}

// TestPreparedBesideOthers lets large and small commits and compactions change the
// references of the same blobs at once.
func TestPreparedBesideOthers(t *testing.T) {
	for seed := range uint64(10) {
		disk := vfs.NewMem()
		o := options()
		o.SegmentOctets, o.aloneMin = 8<<10, 600
		e := open(t, disk, o)
		one := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
		moved := keptBlobs(t, one, 50) // by compaction; they never lose the first reference
		var claimed []engine.BlobID    // by their writers, so that they may lose it
		for range moved {
			id, w := enginetest.MakeBlob(t, e, []byte("octets"), nil)
			defer w.Release()
			claimed = append(claimed, id)
		}
		var wg sync.WaitGroup
		for n := range engine.SpaceID(4) {
			wg.Go(func() {
				s := &engineSpace{engine: e, space: enginetest.Space(t, e, n+2)}
				changeAtRandom(t, s, rand.New(rand.NewPCG(seed, uint64(n))), moved, claimed)
			})
		}
		for range 5 {
			if _, err := e.Compact(t.Context()); err != nil {
				t.Error(err)
			}
		}
		wg.Wait()
		checkIndex(t, e, disk)
		e.Close()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// changeAtRandom makes small and large commits, which drop of some blobs only what
// they kept.
func changeAtRandom(t *testing.T, s *engineSpace, rng *rand.Rand, balanced, others []engine.BlobID) {
	var mine []engine.BlobID
	for i := range 100 {
		var b engine.Batch
		for range 1 + 30*(i%2)*rng.IntN(2) {
			n := rng.IntN(len(others))
			b.Put(fmt.Appendf(nil, "%d", n), fmt.Appendf(nil, "%d", i))
			switch rng.IntN(5) {
			case 0:
				b.Keep(others[n])
			case 1:
				b.Drop(others[n])
			case 2, 3:
				b.Keep(balanced[n])
				mine = append(mine, balanced[n])
			case 4:
				if len(mine) > 0 {
					b.Drop(mine[0])
					mine = mine[1:]
				}
			}
		}
		s.commit(t, &b)
	}
}

// TestPreparedEnds: what comes to nothing leaves nothing behind.
func TestPreparedEnds(t *testing.T) {
	o := options()
	o.aloneMin = 1
	e := open(t, vfs.NewMem(), o)
	s := enginetest.Space(t, e, 1)
	var b engine.Batch
	b.Put([]byte("key"), nil)
	for range 2 * preparations {
		if _, err := s.Commit(t.Context(), 7, &b); !errs.Is(err, errs.Conflict) {
			t.Fatal(err)
		}
	}
	e.Close()
	for range 2 * preparations {
		if _, err := s.Commit(t.Context(), 0, &b); !errs.Is(err, errs.Temporary) {
			t.Fatal(err)
		}
	}
	if len(e.slots) > 0 || len(e.preparing.all) > 0 {
		t.Errorf("%d slots are taken, %d preparations registered", len(e.slots), len(e.preparing.all))
	}
}
