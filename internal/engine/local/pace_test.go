package local

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// TestRest: who writes tables rests for twice as long as he worked, but no longer
// than restMax, not while the engine opens or closes, and not when it is urgent.
func TestRest(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	for _, c := range []struct {
		name           string
		category       pebblevfs.DiskWriteCategory
		worked, rested time.Duration
		pace           func(p *pace, stop chan struct{})
	}{
		{name: "flush", category: "pebble-memtable-flush", worked: time.Millisecond, rested: 2 * time.Millisecond},
		{name: "compaction", category: "pebble-compaction", worked: time.Millisecond, rested: 2 * time.Millisecond},
		{name: "long", category: "pebble-compaction", worked: time.Second, rested: restMax},
		{name: "no table", category: "pebble-manifest", worked: time.Millisecond},
		{name: "opening", category: "pebble-compaction", worked: time.Millisecond, pace: func(p *pace, _ chan struct{}) { p.index.Store(nil) }},
		{name: "closing", category: "pebble-compaction", worked: time.Millisecond, pace: func(_ *pace, stop chan struct{}) { close(stop) }},
		{name: "urgent", category: "pebble-compaction", worked: time.Millisecond, pace: func(p *pace, _ chan struct{}) { p.looked.Store(p.now().UnixNano()); p.urgent.Store(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stop := make(chan struct{})
				p := newPace(&e.opts, stop)
				p.index.Store(e.index)
				if c.pace != nil {
					c.pace(p, stop)
				}
				f, err := pacedFS{pebblevfs.NewMem(), p}.Create("table", c.category)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 {
					time.Sleep(c.worked)
					begun := time.Now()
					if _, err := f.Write([]byte("octets")); err != nil {
						t.Fatal(err)
					}
					if rested := time.Since(begun); rested != c.rested {
						t.Fatalf("rested %v, want %v", rested, c.rested)
					}
				}
			})
		})
	}
}

// TestUrgent: with much that is to be flushed it is urgent, and then not any more.
func TestUrgent(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	p := newPace(&e.opts, e.stop)
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

// TestLargeWaitsForFlush: as long as a large commit is not flushed, the next one
// waits, and others do not. Close and the end of its context end the wait, too.
func TestLargeWaitsForFlush(t *testing.T) {
	index := &heldFS{FS: pebblevfs.NewMem(), held: make(chan struct{})}
	o := options()
	o.IndexFS, o.IndexCache = index, 4<<20
	e := open(t, vfs.NewMem(), o)
	large := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	other := &engineSpace{engine: e, space: enginetest.Space(t, e, 2)}
	ids := keptBlobs(t, large, 20_000)
	large.commit(t, copyOf(ids, 0)) // what the index does not flush yet holds up nobody
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	index.hold.Store(true)
	large.commit(t, copyOf(ids, 1)) // 5 MB
	// At once when ctx is done or the engine closed, and otherwise later.
	commit := func(ctx context.Context) chan error {
		ended := make(chan error, 1)
		go func() {
			_, err := large.space.Commit(ctx, large.version, copyOf(ids, 2))
			ended <- err
		}()
		return ended
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := <-commit(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("behind a large commit that is not flushed: %v", err)
	}
	small := &engine.Batch{}
	small.Put([]byte("row"), []byte("value"))
	other.commit(t, small)

	closed := make(chan error, 1)
	waits := commit(t.Context())
	go func() { closed <- e.Close() }()
	if err := <-waits; !errs.Is(err, errs.Temporary) {
		t.Fatalf("while the engine closes: %v", err)
	}
	close(index.held)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}
