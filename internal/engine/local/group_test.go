package local

import (
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
)

// syncedFS tells of each sync of a file that was created in it.
type syncedFS struct {
	vfs.FS
	synced chan struct{}
}

func (fs syncedFS) Create(name string) (vfs.File, error) {
	f, err := fs.FS.Create(name)
	return syncedFile{f, fs.synced}, err
}

type syncedFile struct {
	vfs.File
	synced chan struct{}
}

func (f syncedFile) Sync() error {
	err := f.File.Sync()
	select {
	case f.synced <- struct{}{}:
	default:
	}
	return err
}

// TestLargeGroups: what is large is written before a commit needs it, and has no
// zeros behind it, which would be written in vain; what is small has.
func TestLargeGroups(t *testing.T) {
	files := syncedFS{vfs.NewMem(), make(chan struct{}, 1)}
	o := options()
	o.SegmentOctets = 64 << 20
	e := open(t, files, o)
	defer e.Close()
	commit := func(version engine.Version, octets int) (zeros int64) {
		t.Helper()
		commitBlob(t, e, version, octets)
		return logSize(t, files) - logEnd(e)
	}
	if zeros := commit(0, fillBelow+fillBelow/2); zeros > 0 {
		t.Errorf("%d zeros behind a large group", zeros)
	}
	if zeros := commit(1, 1000); zeros < fillStep/2 {
		t.Errorf("%d zeros behind a small group", zeros)
	}
	for len(files.synced) > 0 {
		<-files.synced
	}
	_, w := enginetest.MakeBlob(t, e, slices.Repeat([]byte{'x'}, fullGroup), nil)
	defer w.Release()
	select {
	case <-files.synced:
	case <-time.After(time.Minute):
		t.Error("half a mebibyte waits for a commit")
	}
}

// commitBlob makes a blob of so many octets and keeps it.
func commitBlob(t *testing.T, e *Engine, version engine.Version, octets int) {
	t.Helper()
	id, w := enginetest.MakeBlob(t, e, slices.Repeat([]byte{'x'}, octets), nil)
	defer w.Release()
	var b engine.Batch
	b.Keep(id)
	if _, err := enginetest.Space(t, e, 1).Commit(t.Context(), version, &b); err != nil {
		t.Fatal(err)
	}
}

// logSize is how many octets the log's only file has.
func logSize(t *testing.T, files vfs.FS) int64 {
	t.Helper()
	names, err := files.List(path.Join("store", logDir))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b, err := vfs.ReadWhole(files, path.Join("store", logDir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(b))
}

// logEnd is where the log ends in its last file.
func logEnd(e *Engine) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mu.offset
}

// TestHandOn: flush leaves a group to apply that would come before one which
// apply has (invariant 3), and one for which other commits would have to wait.
func TestHandOn(t *testing.T) {
	for name, set := range map[string]func(e *Engine, g *group){
		"behind another": func(e *Engine, _ *group) { e.unapplied.Add(1) },
		"others wait":    func(e *Engine, _ *group) { e.mu.waiters = []*waiter{{}} },
		"large":          func(_ *Engine, g *group) { g.waiters = []*waiter{{ops: make([]engine.Op, smallGroup+1)}} },
		"prepared":       func(_ *Engine, g *group) { g.waiters = []*waiter{{prepared: &preparation{}}} },
		"large moves":    func(_ *Engine, g *group) { g.waiters = []*waiter{{moves: make([]move, smallGroup+1)}} },
	} {
		e, g := &Engine{opts: options(), groups: make(chan *group, 1)}, &group{}
		set(e, g)
		before := e.unapplied.Load()
		if e.handOn(g); len(e.groups) != 1 || e.unapplied.Load() != before+1 {
			t.Errorf("%s: apply has not got the group", name)
		}
	}
}

// TestComeback: committers are measured from their answers until as many came again,
// and two halves of them take turns only where that takes longer than a sync.
func TestComeback(t *testing.T) {
	now := time.Unix(1, 0)
	o := options()
	o.Now = func() time.Time { return now }
	e := &Engine{opts: o, groups: make(chan *group, 1)}
	e.work = sync.NewCond(&e.mu)
	e.lastGroup, e.syncTime = 8, time.Millisecond/2
	generation := func(takes time.Duration) (expected int) {
		e.unapplied.Store(1) // apply has them
		e.handOn(&group{waiters: slices.Repeat([]*waiter{{}}, e.lastGroup)})
		<-e.groups
		for range e.lastGroup - 1 {
			e.addWaiterLocked(&waiter{})
		}
		now = now.Add(takes)
		e.addWaiterLocked(&waiter{})
		e.addWaiterLocked(&waiter{}) // somebody else's
		e.mu.waiters = make([]*waiter, 3)
		return e.expectedLocked()
	}
	if got := e.expectedLocked(); got != 8 {
		t.Errorf("nothing is known: %d commits are expected, not 8", got)
	}
	for i := range 50 {
		if got := generation(time.Millisecond); i > 10 && got != 6 {
			t.Fatalf("they come back later than a sync takes: %d commits are expected, not 6", got)
		}
	}
	for i := range 50 {
		if got := generation(time.Millisecond / 4); i > 20 && got != 11 {
			t.Fatalf("they come back sooner: %d commits are expected, not 11", got)
		}
	}
	generation(time.Hour)
	if e.mu.comeback.takes > syncTimeMax {
		t.Errorf("an hour counts as %v", e.mu.comeback.takes)
	}
}

// TestSyncTime: it is the syncs of a group that are measured, not its writing.
func TestSyncTime(t *testing.T) {
	var now atomic.Int64
	files := clockedFS{vfs.NewMem(), &now}
	o := options()
	o.Now = func() time.Time { return time.Unix(1, now.Load()) }
	e := open(t, files, o)
	defer e.Close()
	for version := range engine.Version(50) {
		commitBlob(t, e, version, 1000)
	}
	if e.syncTime < time.Millisecond/2 || e.syncTime > time.Millisecond {
		t.Errorf("a sync of a millisecond takes %v", e.syncTime)
	}
}

// clockedFS is a file system on which, by the clock now, a write takes an hour and a
// sync a millisecond.
type clockedFS struct {
	vfs.FS
	now *atomic.Int64
}

func (fs clockedFS) Create(name string) (vfs.File, error) {
	f, err := fs.FS.Create(name)
	return clockedFile{f, fs.now}, err
}

type clockedFile struct {
	vfs.File
	now *atomic.Int64
}

func (f clockedFile) WriteAt(p []byte, off int64) (int, error) {
	f.now.Add(int64(time.Hour))
	return f.File.WriteAt(p, off)
}

func (f clockedFile) Sync() error {
	f.now.Add(int64(time.Millisecond))
	return f.File.Sync()
}
