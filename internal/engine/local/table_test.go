package local

import (
	"errors"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// indexDisk is where an index lives of which clones are made while it is in use.
// MemFS takes its lock twice in Link, and would hang when one is made in between.
type indexDisk struct {
	*pebblevfs.MemFS
	linking sync.Mutex
}

func newIndexDisk() *indexDisk { return &indexDisk{MemFS: pebblevfs.NewCrashableMem()} }

func (d *indexDisk) Link(from, to string) error {
	d.linking.Lock()
	defer d.linking.Unlock()
	return d.MemFS.Link(from, to)
}

func (d *indexDisk) CrashClone(c pebblevfs.CrashCloneCfg) *indexDisk {
	d.linking.Lock()
	defer d.linking.Unlock()
	return &indexDisk{MemFS: d.MemFS.CrashClone(c)}
}

// checkNoTables: nothing is left of tables that were not taken in, nor of the names that
// those had which were.
func checkNoTables(t *testing.T, e *Engine) {
	t.Helper()
	names, err := e.opts.IndexFS.List(e.opts.IndexDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, tableSuffix) {
			t.Errorf("%s is left", name)
		}
	}
}

// tablesHook is called before each call that changes an index. Its error is that of the call.
type tablesHook func(index *indexDisk, op errorfs.Op) error

// commitTables makes an engine of which large commits become tables, and commits and
// flushes one. Meanwhile there is the hook.
func commitTables(t *testing.T, hook tablesHook) (*Engine, *vfs.Mem) {
	t.Helper()
	disk, index := vfs.NewMem(), newIndexDisk()
	var armed atomic.Bool
	o := options()
	o.aloneMin, o.aheadMin, o.tableOctets, o.SegmentOctets = 1<<10, 1<<10, 4<<10, 1<<20
	o.IndexFS = errorfs.Wrap(index, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !armed.Load() || op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		return hook(index, op)
	}))
	e := open(t, disk, o)
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	ids := keptBlobs(t, s, 100)
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	var small engine.Batch // not flushed before
	small.Put([]byte("small"), nil)
	small.Keep(ids[0])
	s.commit(t, &small)
	armed.Store(true)
	s.commit(t, copyOf(ids, 1))
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	armed.Store(false)
	return e, disk
}

// TestTables: a large commit becomes several tables.
func TestTables(t *testing.T) {
	made := 0
	e, disk := commitTables(t, func(_ *indexDisk, op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, tableSuffix) {
			made++
		}
		return nil
	})
	defer e.Close()
	if made < 5 { // references, rows of 20 kB in 4 KiB, the version, the mark
		t.Errorf("there were %d tables", made)
	}
	if n := e.index.Metrics().Ingest.Count; n == 0 {
		t.Error("the index has taken in nothing")
	}
	checkNoTables(t, e)
	checkIndex(t, e, disk)
}

// TestTablesCrash cuts the power before each of the calls by which tables are made and
// taken in. What is left of the index has all of the commit or nothing, so that what is
// replayed counts no reference twice.
func TestTablesCrash(t *testing.T) {
	for cut := int64(1); ; cut++ {
		var calls atomic.Int64
		o := options()
		o.Events.Opened = func(r Recovery) {
			if r.Rebuilt {
				t.Error("the index could not be used")
			}
		}
		var left *indexDisk
		e, disk := commitTables(t, func(index *indexDisk, _ errorfs.Op) error {
			if calls.Add(1) == cut {
				left = index.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(uint64(cut), 1))})
			}
			return nil
		})
		e.Close()
		if left == nil {
			if cut < 50 {
				t.Errorf("there were %d calls", cut-1)
			}
			return
		}
		o.IndexFS = left
		e = open(t, disk, o)
		checkIndex(t, e, disk)
		checkNoTables(t, e)
		e.Close()
		if t.Failed() {
			t.Fatalf("cut before call %d", cut)
		}
	}
}

// TestTablesFail: where a table cannot be made or taken in, the commit goes into the index
// as a batch.
func TestTablesFail(t *testing.T) {
	for n := int64(1); ; n++ {
		var calls atomic.Int64
		e, disk := commitTables(t, func(_ *indexDisk, op errorfs.Op) error {
			if strings.HasSuffix(op.Path, tableSuffix) && op.Kind != errorfs.OpRemove && calls.Add(1) == n {
				return errors.New("the disk does not want to")
			}
			return nil
		})
		checkNoTables(t, e)
		checkIndex(t, e, disk)
		e.Close()
		if calls.Load() < n {
			if n < 30 {
				t.Errorf("there were %d calls", n-1)
			}
			return
		}
	}
}

// TestTablesAfterOpen: tables are not on the disk before what opening has put into the
// index, even when no commit came in between.
func TestTablesAfterOpen(t *testing.T) {
	index, o := newIndexDisk(), options()
	o.IndexFS, o.aloneMin, o.aheadMin = index, 1, 1
	e := open(t, vfs.NewMem(), o)
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	var b engine.Batch
	b.Put([]byte("row"), nil)
	s.commit(t, &b)
	left := index.CrashClone(pebblevfs.CrashCloneCfg{})
	e.Close()
	db, err := pebble.Open("store/index", &pebble.Options{FS: left, DisableWAL: true, Logger: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	has := func(key byte) bool {
		_, c, err := db.Get([]byte{key})
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if has(keyMark) && !has(keyStore) {
		t.Error("the index has a commit, and not what was before it")
	}
}

// TestTablesLeft: what a crash has left of tables is removed.
func TestTablesLeft(t *testing.T) {
	o := options()
	disk := vfs.NewMem()
	open(t, disk, o).Close()
	f, err := o.IndexFS.Create(path.Join("store/index", "7-1"+tableSuffix), pebblevfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	e := open(t, disk, o)
	defer e.Close()
	checkNoTables(t, e)
}
