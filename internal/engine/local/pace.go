package local

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// pace keeps the index's tables from being made at the expense of everybody's
// commands. Who writes them makes the pauses of long work (Options.Turn). And a large
// commit, which becomes a table of its own, waits before it is prepared until the ones
// before are flushed: otherwise all commits would wait for room in the end. While
// much is to be flushed or compacted nonetheless, nobody pauses (decision 0016).
type pace struct {
	ctx      context.Context // of pauses
	turn     func() Turn
	index    atomic.Pointer[pebble.DB]     // nil while the engine opens: no pauses
	stop     <-chan struct{}               // closed when it closes: likewise
	flushed  atomic.Pointer[chan struct{}] // closed when something was flushed, or could not be
	failure  atomic.Pointer[tableFailure]  // nil: tables can be written
	giveUp   func(err error)               // when they cannot for long
	memtable uint64                        // octets at most

	retryEvery time.Duration

	now    func() time.Time
	looked atomic.Int64 // whether it is urgent; nanoseconds since 1970
	urgent atomic.Bool
}

const (
	memtables       = 4 // when there are so many, commits wait
	memtablesUrgent = 3

	lookEvery = 100 * time.Millisecond // whether it is urgent
	// When the first level has four sublevels it is compacted, and with twelve
	// commits wait.
	sublevelsUrgent = 6
)

func newPace(ctx context.Context, o *Options, stop <-chan struct{}, giveUp func(error)) *pace {
	p := &pace{ctx: ctx, turn: o.Turn, stop: stop, memtable: uint64(o.memtable()), now: o.Now, retryEvery: o.retryEvery, giveUp: giveUp}
	p.wake()
	return p
}

// flushEnd hears of the end of a flush.
func (p *pace) flushEnd(info pebble.FlushInfo) {
	if info.Err == nil {
		p.failure.Store(nil)
	}
	p.wake()
}

// wake wakes who waits for a flush.
func (p *pace) wake() {
	next := make(chan struct{})
	if last := p.flushed.Swap(&next); last != nil {
		close(*last)
	}
}

// mayPause reports whether who writes tables makes pauses.
func (p *pace) mayPause() bool {
	index := p.index.Load()
	if index == nil || p.isUrgent(index) {
		return false
	}
	select {
	case <-p.stop:
		return false
	default:
		return true
	}
}

// isUrgent reports whether commits would have to wait if there were rests.
func (p *pace) isUrgent(index *pebble.DB) bool {
	now, last := p.now().UnixNano(), p.looked.Load()
	if (now < last || now-last >= int64(lookEvery)) && p.looked.CompareAndSwap(last, now) {
		m := index.Metrics()
		p.urgent.Store(p.isFull(m) || m.Levels[0].Sublevels >= sublevelsUrgent)
	}
	return p.urgent.Load()
}

// isFull reports whether commits will soon have to wait for a flush.
func (p *pace) isFull(m *pebble.Metrics) bool { return m.MemTable.Size > memtablesUrgent*p.memtable }

// pacedFS lets who writes tables make pauses, and longer ones when that fails.
type pacedFS struct {
	pebblevfs.FS
	pace *pace
}

func (f pacedFS) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	table := c == "pebble-memtable-flush" || c == "pebble-compaction"
	if table {
		f.pace.awaitRetry()
	}
	file, err := f.FS.Create(name, c)
	if err != nil || !table {
		return file, err
	}
	return &pacedFile{file, f.pace, f.pace.turn()}, nil
}

// pacedFile is a table that is being written.
type pacedFile struct {
	pebblevfs.File
	pace *pace
	turn Turn
}

func (f *pacedFile) Write(b []byte) (int, error) {
	if f.pace.mayPause() {
		_ = f.turn.Pause(f.pace.ctx)
	}
	return f.File.Write(b)
}

func (f *pacedFile) Close() error {
	f.turn.End()
	return f.File.Close()
}

// waitFlushed waits until no large commit is to be flushed, and there is room for
// tables: they have to wait for a flush in the commit's turn when there are too many
// memtables. There is always the one that is being filled, and smaller ones are not
// flushed until they are half a large one together, or unless one asks for it.
// Errors: those of ctx and of openLocked.
func (e *Engine) waitFlushed(ctx context.Context) error {
	e.mu.Lock()
	err := e.openLocked()
	if err == nil {
		e.wg.Add(1) // Close leaves the index open until then
		defer e.wg.Done()
	}
	e.mu.Unlock()
	for asked := false; err == nil; {
		flushed := *e.pace.flushed.Load()
		m := e.index.Metrics().MemTable
		if m.Size <= e.pace.memtable*3/2 && m.Count < memtables {
			return nil
		}
		if m.Count >= memtables && !asked {
			asked = true
			if _, err := e.index.AsyncFlush(); err != nil {
				return indexError("local.Commit", err)
			}
		}
		select {
		case <-flushed:
			err = e.stopped()
		case <-ctx.Done():
			err = errs.Wrap("local.Commit", ctx.Err())
		case <-e.stop:
			e.mu.Lock()
			err = e.openLocked()
			e.mu.Unlock()
		}
	}
	return err
}
