package local

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
)

// gateFS is a file system of which a sync waits at a gate, where one is closed.
type gateFS struct {
	vfs.FS
	mu      *sync.Mutex
	gate    *chan struct{} // nil: open
	arrived chan struct{}
}

func (fs gateFS) Create(name string) (vfs.File, error) {
	f, err := fs.FS.Create(name)
	return gateFile{f, fs}, err
}

type gateFile struct {
	vfs.File
	fs gateFS
}

func (f gateFile) Sync() error {
	f.fs.mu.Lock()
	gate := *f.fs.gate
	f.fs.mu.Unlock()
	if gate != nil {
		f.fs.arrived <- struct{}{}
		<-gate
	}
	return f.File.Sync()
}

func (fs gateFS) close() (open func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	gate := make(chan struct{})
	*fs.gate = gate
	return func() {
		fs.mu.Lock()
		if *fs.gate == gate {
			*fs.gate = nil
		}
		fs.mu.Unlock()
		close(gate)
	}
}

// TestLead: who commits alone does flush's work; those who come meanwhile wait for
// flush, which goes on when he has done, and looks again when it was woken meanwhile.
func TestLead(t *testing.T) {
	files := gateFS{vfs.NewMem(), new(sync.Mutex), new(chan struct{}), make(chan struct{}, 1)}
	e := open(t, files, options())
	commit := func(id engine.SpaceID, times engine.Version) {
		s := &space{e, id}
		for v := range times {
			b := &engine.Batch{}
			b.Put([]byte("key"), []byte("value"))
			if _, err := s.Commit(t.Context(), v, b); err != nil {
				t.Error(err)
			}
		}
	}
	state := func() (idle, leads, led bool) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.mu.idle, e.mu.leads, e.mu.led
	}
	await := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !is(); runtime.Gosched() {
			if time.Now().After(end) {
				t.Fatal("never: ", what)
			}
		}
	}
	idle := func() bool { idle, leads, _ := state(); return idle && !leads }
	await("flush waits", idle)
	syncs := e.stats.syncs.Load()
	e.mu.Lock()
	e.quiet = true
	e.mu.Unlock()
	if commit(1, 2); e.stats.syncs.Load() != syncs+2 {
		t.Errorf("%d syncs of two commits", e.stats.syncs.Load()-syncs)
	}
	if _, leads, led := state(); leads || !led {
		t.Error("nobody led")
	}
	e.mu.Lock()
	if e.quiet {
		t.Error("it is quiet though something came")
	}
	e.mu.Unlock()

	await("flush waits again", idle)
	open := files.close()
	var wg sync.WaitGroup
	wg.Go(func() { commit(2, 2) })
	<-files.arrived
	if _, leads, _ := state(); !leads {
		t.Error("flush syncs the commit of one who is alone")
	}
	for id := range engine.SpaceID(5) {
		wg.Go(func() { commit(3+id, 2) })
	}
	await("five wait", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return len(e.mu.waiters) == 5 })
	openNext := files.close()
	open()
	<-files.arrived
	e.mu.Lock()
	if e.mu.expected < 3 {
		t.Errorf("one leads, five wait: the next sync is for %d", e.mu.expected)
	}
	e.mu.Unlock()
	openNext()
	wg.Wait()

	commit(100, 2) // the last sync was for one again
	await("flush waits after them", idle)
	open = files.close()
	wg.Go(func() { commit(200, 1) })
	<-files.arrived
	e.work.Signal() // as a timer does
	await("flush is awake", func() bool { idle, leads, _ := state(); return leads && !idle })
	open()
	wg.Wait()
	await("flush looked again", idle)

	// Flush cannot see that it is quiet while a blob waits, and looks again at the commit.
	_, w := enginetest.MakeBlob(t, e, []byte("octets"), nil)
	defer w.Release()
	e.work.Signal()
	await("flush waits for what it has not looked at", func() bool { return !idle() })
	commit(201, 1)
	await("flush looked at last", idle)
}

// TestLeads: only where flush waits for a first commit, and nobody else is known.
func TestLeads(t *testing.T) {
	for _, c := range []struct {
		what    string
		willing bool
		change  func(e *Engine)
		leads   bool
	}{
		{"alone", true, func(e *Engine) {}, true},
		{"alone, behind another", true, func(e *Engine) { e.lastGroup = 1 }, true},
		{"one of several", true, func(e *Engine) { e.lastGroup = 2 }, false},
		{"not willing", false, func(e *Engine) {}, false},
		{"flush is at work", true, func(e *Engine) { e.mu.idle = false }, false},
		{"another leads", true, func(e *Engine) { e.mu.leads = true }, false},
		{"another waits", true, func(e *Engine) { e.mu.waiters = make([]*waiter, 1) }, false},
	} {
		e, w := &Engine{}, &waiter{willing: c.willing}
		e.mu.idle = true
		c.change(e)
		before := e.mu.leads
		if got := e.leadsLocked(w); got != c.leads || w.leads != c.leads || e.mu.leads != (before || c.leads) {
			t.Errorf("%s: leads %t", c.what, got)
		}
	}
}

// TestQuietness: nothing came for as long as zerosDue says only if nobody led meanwhile.
func TestQuietness(t *testing.T) {
	e := &Engine{active: &openFile{}, activeEnd: 1000, zerosWanted: 1000}
	e.work = sync.NewCond(&e.mu)
	e.opts.SegmentOctets, e.opts.quietStep, e.opts.quietAfter = 1<<20, 100, time.Hour
	q := quietness{e: e}
	defer q.stop()
	for i, c := range []struct {
		change func()
		lasted bool
	}{
		{func() {}, false},
		{func() { *q.lasted = true }, true},
		{func() { e.mu.led = true }, false},
		{func() {}, false},
		{func() { *q.lasted = true }, true},
		{func() { e.zerosWanted = 0 }, false}, // nothing is due
		{func() { e.zerosWanted = 1000 }, false},
	} {
		c.change()
		if got := q.lastedLocked(); got != c.lasted || (q.timer != nil) != (e.zerosWanted > 0) {
			t.Errorf("step %d: %t", i, got)
		}
	}
}
