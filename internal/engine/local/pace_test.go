package local

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// TestTablePauses: who writes tables makes pauses, not while the engine opens or closes,
// and not when it is urgent, and its turn ends with the table.
func TestTablePauses(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	turn, o := &pauses{by: map[string]int{}}, e.opts
	o.Turn = func() Turn { return turn }
	for _, c := range []struct {
		name     string
		category pebblevfs.DiskWriteCategory
		pauses   int
		pace     func(p *pace, stop chan struct{})
	}{
		{name: "flush", category: "pebble-memtable-flush", pauses: 2},
		{name: "compaction", category: "pebble-compaction", pauses: 2},
		{name: "no table", category: "pebble-manifest"},
		{name: "opening", category: "pebble-compaction", pace: func(p *pace, _ chan struct{}) { p.index.Store(nil) }},
		{name: "closing", category: "pebble-compaction", pace: func(_ *pace, stop chan struct{}) { close(stop) }},
		{name: "urgent", category: "pebble-compaction", pace: func(p *pace, _ chan struct{}) { p.looked.Store(p.now().UnixNano()); p.urgent.Store(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			stop := make(chan struct{})
			p := newPace(t.Context(), &o, stop, nil)
			p.index.Store(e.index)
			if c.pace != nil {
				c.pace(p, stop)
			}
			turn.left, turn.ended = 100, false
			f, err := pacedFS{pebblevfs.NewMem(), p}.Create("table", c.category)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := f.Write([]byte("octets")); err != nil {
					t.Fatal(err)
				}
			}
			if turn.ended {
				t.Fatal("the turn ended before the table was written")
			}
			f.Close()
			if paused := 100 - turn.left; paused != c.pauses || turn.ended != (c.category != "pebble-manifest") {
				t.Fatalf("%d pauses, want %d; the turn ended: %v", paused, c.pauses, turn.ended)
			}
		})
	}
}

// TestUrgent: with much that is to be flushed it is urgent, and then not any more.
func TestUrgent(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	p := newPace(t.Context(), &e.opts, e.stop, nil)
	for _, c := range []struct {
		memtable uint64
		urgent   bool
	}{{0, true}, {1 << 40, false}} {
		p.memtable = c.memtable
		p.looked.Store(0)
		if got := p.isUrgent(e.index); got != c.urgent {
			t.Errorf("with memtables of %d octets: urgent is %v", c.memtable, got)
		}
	}
}

// heldFS holds up flushes when it is told to, until held is closed.
type heldFS struct {
	pebblevfs.FS
	hold atomic.Bool
	held chan struct{}
}

func (f *heldFS) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	if c == "pebble-memtable-flush" && f.hold.Load() {
		<-f.held
	}
	return f.FS.Create(name, c)
}

// heldFlush is an engine with a large commit that is not flushed as long as its
// index is held, another space, and a function that begins one more large commit.
func heldFlush(t *testing.T) (e *Engine, other *engineSpace, index *heldFS, commit func(context.Context) chan error) {
	t.Helper()
	index = &heldFS{FS: pebblevfs.NewMem(), held: make(chan struct{})}
	o := options()
	o.IndexFS, o.IndexCache = index, 4<<20
	e = open(t, vfs.NewMem(), o)
	large := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	other = &engineSpace{engine: e, space: enginetest.Space(t, e, 2)}
	ids := keptBlobs(t, large, 20_000)
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	index.hold.Store(true)
	first := copyOf(ids, 1) // 5 MB
	first.DeleteRange([]byte("x"), []byte("y"))
	large.commit(t, first) // no tables are made of it
	return e, other, index, func(ctx context.Context) chan error {
		ended, copied := make(chan error, 1), copyOf(ids, 2)
		go func() {
			_, err := large.space.Commit(ctx, large.version, copied)
			ended <- err
		}()
		return ended
	}
}

// commitMany makes so many small commits that a large one which began before waits
// by then.
func (s *engineSpace) commitMany(t *testing.T) {
	t.Helper()
	for range 100 {
		small := &engine.Batch{}
		small.Put([]byte("row"), []byte("value"))
		s.commit(t, small)
	}
}

// TestLargeWaitsForFlush: as long as a large commit is not flushed, the next one
// waits, and others do not.
func TestLargeWaitsForFlush(t *testing.T) {
	e, other, index, commit := heldFlush(t)
	defer e.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := <-commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		close(index.held)
		t.Fatalf("behind a large commit that is not flushed: %v", err)
	}
	waits := commit(t.Context())
	other.commitMany(t)
	close(index.held)
	if err := <-waits; err != nil {
		t.Fatal(err)
	}
}

// TestTablesWaitForRoom: as long as too many memtables and tables are to be flushed, a
// commit whose tables would have to wait for that in its turn does not begin.
func TestTablesWaitForRoom(t *testing.T) {
	index := &heldFS{FS: pebblevfs.NewMem(), held: make(chan struct{})}
	o := options()
	o.IndexFS, o.IndexCache = index, 0 // the default: the first memtables are small
	o.aloneMin, o.aheadMin = 1<<10, 1<<10
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	ids := keptBlobs(t, s, 100)
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	index.hold.Store(true)
	for i := range byte(2) {
		small := &engine.Batch{}
		small.Put([]byte("row"), nil)
		s.commit(t, small)
		s.commit(t, copyOf(ids, i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := s.space.Commit(ctx, s.version, copyOf(ids, 3))
	close(index.held)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("where there is no room: %v", err)
	}
	s.commit(t, copyOf(ids, 3))
}

// TestManyMemtables: memtables that nothing flushes by itself hold up no tables.
func TestManyMemtables(t *testing.T) {
	o := options()
	o.IndexCache = 0
	o.aloneMin, o.aheadMin = 1<<10, 1<<10
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	ids := keptBlobs(t, s, 100)
	for e.index.Metrics().MemTable.Count < memtables {
		small := &engine.Batch{}
		small.Put(fmt.Appendf(nil, "%d", s.version), make([]byte, 900))
		s.commit(t, small)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := s.space.Commit(ctx, s.version, copyOf(ids, 3)); err != nil {
		t.Fatal(err)
	}
}

// TestCloseEndsWait: when the engine closes, nobody waits for a flush any more.
func TestCloseEndsWait(t *testing.T) {
	e, other, index, commit := heldFlush(t)
	waits, closed := commit(t.Context()), make(chan error, 1)
	other.commitMany(t)
	go func() { closed <- e.Close() }()
	if err := <-waits; !errs.Is(err, errs.Temporary) {
		t.Errorf("while the engine closes: %v", err)
	}
	close(index.held)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

// TestSmallMemtables: memtables so small that the index does not flush them hold up
// no large commit.
func TestSmallMemtables(t *testing.T) {
	o := options()
	o.IndexCache = 0 // the default
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	large := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	ids := keptBlobs(t, large, 20_000)
	if n := e.index.Metrics().MemTable.Count; n < 2 {
		t.Fatalf("there are %d memtables", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := large.space.Commit(ctx, large.version, copyOf(ids, 1)); err != nil {
		t.Fatal(err)
	}
}
