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
// commands. Who writes them rests for three times as long as it worked, and for each
// table that is being written, so that a flush and a compaction together take a
// quarter of a processor. And a large commit,
// which becomes a table of its own, waits before it is prepared until the ones
// before are flushed: otherwise all commits would wait for room in the end. While
// much is to be flushed or compacted nonetheless, nobody rests (decision 0016).
type pace struct {
	index    atomic.Pointer[pebble.DB]     // nil while the engine opens: no rests
	stop     <-chan struct{}               // closed when it closes: likewise
	flushed  atomic.Pointer[chan struct{}] // closed when something was flushed
	memtable uint64                        // octets at most

	writers atomic.Int32 // tables that are being written

	now    func() time.Time
	looked atomic.Int64 // whether it is urgent; nanoseconds since 1970
	urgent atomic.Bool
}

const (
	memtables       = 4 // when there are so many, commits wait
	memtablesUrgent = 3

	restShare = 3                      // of the time worked
	restMax   = 10 * time.Millisecond  // at once, for each table
	lookEvery = 100 * time.Millisecond // whether it is urgent
	// When the first level has four sublevels it is compacted, and with twelve
	// commits wait.
	sublevelsUrgent = 6
)

func newPace(o *Options, stop <-chan struct{}) *pace {
	p := &pace{stop: stop, memtable: uint64(o.memtable()), now: o.Now}
	p.flushEnd(pebble.FlushInfo{})
	return p
}

// flushEnd hears of the end of a flush.
func (p *pace) flushEnd(pebble.FlushInfo) {
	next := make(chan struct{})
	if last := p.flushed.Swap(&next); last != nil {
		close(*last)
	}
}

// rest waits in proportion to how long was worked.
func (p *pace) rest(worked time.Duration) {
	index := p.index.Load()
	if index == nil || p.isUrgent(index) {
		return
	}
	writers := time.Duration(p.writers.Load())
	t := time.NewTimer(min(restShare*worked, restMax) * writers)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.stop:
	}
}

// isUrgent reports whether commits would have to wait if there were rests.
func (p *pace) isUrgent(index *pebble.DB) bool {
	now, last := p.now().UnixNano(), p.looked.Load()
	if (now < last || now-last >= int64(lookEvery)) && p.looked.CompareAndSwap(last, now) {
		m := index.Metrics()
		p.urgent.Store(m.MemTable.Size > memtablesUrgent*p.memtable || m.Levels[0].Sublevels >= sublevelsUrgent)
	}
	return p.urgent.Load()
}

// pacedFS lets who writes tables rest.
type pacedFS struct {
	pebblevfs.FS
	pace *pace
}

func (f pacedFS) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	file, err := f.FS.Create(name, c)
	if err != nil || (c != "pebble-memtable-flush" && c != "pebble-compaction") {
		return file, err
	}
	f.pace.writers.Add(1)
	return &pacedFile{File: file, pace: f.pace, since: f.pace.now()}, nil
}

// pacedFile is a table that is being written.
type pacedFile struct {
	pebblevfs.File
	pace  *pace
	since time.Time // it is worked on
}

func (f *pacedFile) Close() error {
	f.pace.writers.Add(-1)
	return f.File.Close()
}

func (f *pacedFile) Write(b []byte) (int, error) {
	f.pace.rest(f.pace.now().Sub(f.since))
	f.since = f.pace.now()
	return f.File.Write(b)
}

// waitFlushed waits until no large commit is to be flushed. There is always the
// memtable that is being filled, and smaller ones are not flushed until they are
// half a large one together. Errors: those of ctx and of openLocked.
func (e *Engine) waitFlushed(ctx context.Context) error {
	e.mu.Lock()
	err := e.openLocked()
	if err == nil {
		e.wg.Add(1) // Close leaves the index open until then
		defer e.wg.Done()
	}
	e.mu.Unlock()
	for err == nil {
		flushed := *e.pace.flushed.Load()
		if e.index.Metrics().MemTable.Size <= e.pace.memtable*3/2 {
			return nil
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
