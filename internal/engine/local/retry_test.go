package local

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// badIndex lets no table be made while it has an error.
type badIndex struct {
	pebblevfs.FS
	err   atomic.Pointer[syscall.Errno]
	tries atomic.Int64 // of one that was not made
}

func (f *badIndex) Create(name string, c pebblevfs.DiskWriteCategory) (pebblevfs.File, error) {
	if err := f.err.Load(); err != nil && c == "pebble-memtable-flush" {
		f.tries.Add(1)
		return nil, *err
	}
	return f.FS.Create(name, c)
}

// openBad opens an engine, puts the row "before" into its first space, and has its
// index fail from then on.
func openBad(t *testing.T, disk vfs.FS, o Options, failure syscall.Errno) (*Engine, *engineSpace, *badIndex) {
	t.Helper()
	index := &badIndex{FS: pebblevfs.NewMem()}
	o.IndexFS = index
	e := open(t, disk, o)
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	s.put(t, "before")
	index.err.Store(&failure)
	return e, s, index
}

func (s *engineSpace) put(t *testing.T, row string) {
	t.Helper()
	b := &engine.Batch{}
	b.Put([]byte(row), []byte("value"))
	s.commit(t, b)
}

// TestIndexFails: when the index cannot be written for some time, the store stops, can
// be closed, and has all that it acknowledged when it is opened again.
func TestIndexFails(t *testing.T) {
	var later atomic.Int64
	disk, o := vfs.NewMem(), options()
	stopped := make(chan error, 1)
	o.retryEvery, o.Events.Stopped = time.Millisecond, func(err error) { stopped <- err }
	o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	const failure = syscall.EIO
	e, s, _ := openBad(t, disk, o, failure)
	if err := e.flushIndex(); !errs.Is(err, errs.Temporary) {
		t.Fatalf("a flush that fails: %v", err)
	}
	s.put(t, "meanwhile") // for some seconds
	later.Store(int64(giveUpAfter))
	if err := <-stopped; !strings.Contains(err.Error(), "writing the index in") || !strings.Contains(err.Error(), failure.Error()) {
		t.Errorf("stopped since %v", err)
	}
	if _, err := s.space.Commit(t.Context(), s.version, &engine.Batch{}); !errs.Is(err, errs.Temporary) {
		t.Errorf("a commit afterwards: %v", err)
	}
	if err := e.Close(); !errs.Is(err, errs.Temporary) {
		t.Errorf("closing: %v", err)
	}
	o.IndexFS, o.Events.Stopped = pebblevfs.NewMem(), nil
	e = open(t, disk, o)
	defer e.Close()
	have := enginetest.Dump(t, e)
	for _, row := range []string{"before", "meanwhile"} {
		if !strings.Contains(have, row) {
			t.Errorf("%q is lost: %s", row, have)
		}
	}
}

// TestIndexHasNoRoom: a full disk is tried again in a while, commits go on meanwhile,
// and closing does not wait for it.
func TestIndexHasNoRoom(t *testing.T) {
	o := options()
	o.retryEvery = time.Hour
	e, s, index := openBad(t, vfs.NewMem(), o, syscall.ENOSPC)
	if err := e.flushIndex(); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("a flush without room: %v", err)
	}
	s.put(t, "meanwhile")
	if n := index.tries.Load(); n > 2 { // the second with what OnDiskFull makes room by
		t.Errorf("%d tries in less than an hour", n)
	}
	if err := e.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
}

// TestIndexRecovers: with room again, however late, everything is as before.
func TestIndexRecovers(t *testing.T) {
	var later atomic.Int64
	o := options()
	o.retryEvery = time.Millisecond
	o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	e, s, index := openBad(t, vfs.NewMem(), o, syscall.ENOSPC)
	defer e.Close()
	for range 4 {
		if err := e.flushIndex(); !errs.Is(err, errs.NoSpace) {
			t.Fatalf("a flush without room: %v", err)
		}
		later.Store(int64(giveUpAfter))
	}
	index.err.Store(nil)
	for e.flushIndex() != nil { // a try that began before
	}
	if e.pace.failure.Load() != nil {
		t.Error("the failure is remembered")
	}
	s.put(t, "afterwards")
}

// TestGiveUp: for want of room the store does not stop, for anything else it does
// after some time, or when commits would have to wait; and what was damaged before is
// none of that.
func TestGiveUp(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	stop := make(chan struct{})
	close(stop)
	for _, c := range []struct {
		err    error
		lasted time.Duration
		full   bool
		want   bool
	}{
		{syscall.EIO, 0, false, false},
		{syscall.EIO, giveUpAfter, false, true},
		{syscall.EIO, 0, true, true},
		{syscall.ENOSPC, giveUpAfter, true, false},
		{pebble.ErrCorruption, giveUpAfter, true, false},
	} {
		gaveUp, now := false, time.Now()
		o := e.opts
		o.Now = func() time.Time { return now }
		p := newPace(t.Context(), &o, stop, func(error) { gaveUp = true })
		p.index.Store(e.index)
		p.memtable = 1 << 40
		if c.full {
			p.memtable = 1
		}
		p.failed(c.err)
		now = now.Add(c.lasted)
		p.failed(c.err)
		p.awaitRetry()
		if gaveUp != c.want {
			t.Errorf("%v for %v, full %v: gave up %v", c.err, c.lasted, c.full, gaveUp)
		}
	}
}
