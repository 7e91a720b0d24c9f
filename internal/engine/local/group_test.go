package local

import (
	"path"
	"slices"
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
		e, g := &Engine{groups: make(chan *group, 1)}, &group{}
		set(e, g)
		before := e.unapplied.Load()
		if e.handOn(g); len(e.groups) != 1 || e.unapplied.Load() != before+1 {
			t.Errorf("%s: apply has not got the group", name)
		}
	}
}
