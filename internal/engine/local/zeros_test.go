package local

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/vfs"
)

// TestFillAhead: when nothing is to be done, as many octets as were written are
// filled with zeros; what comes then finds them there, and they are gone when the
// store is closed.
func TestFillAhead(t *testing.T) {
	const octets, segment = 300 << 10, 1 << 20
	disk := vfs.NewMem()
	files := syncedFS{disk, make(chan struct{}, 1)}
	o := options()
	o.SegmentOctets, o.quietAfter, o.quietStep = segment, 1, 64<<10
	e := open(t, files, o)
	size := func() int64 { return logSize(t, disk) }
	commitBlob(t, e, 0, octets)
	for size()-logEnd(e) <= octets-o.quietStep {
		<-files.synced
	}
	before := size()
	if before-logEnd(e) > octets+o.quietStep {
		t.Errorf("%d octets were written, %d zeros are ahead", logEnd(e), before-logEnd(e))
	}
	commitBlob(t, e, 1, octets)
	for size() < segment { // twice as much is wanted now, and there is room for less
		<-files.synced
	}
	commitBlob(t, e, 2, octets)
	if size() != segment {
		t.Errorf("a segment of %d octets, not %d", size(), segment)
	}
	last := logEnd(e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if size() > last+recordHeader {
		t.Errorf("%d octets, the log's end was at %d", size(), last)
	}
}

// TestGiveBack: a store to which nothing comes gives most of its zeros back.
func TestGiveBack(t *testing.T) {
	const octets = 300 << 10
	disk := vfs.NewMem()
	files := syncedFS{disk, make(chan struct{}, 1)}
	o := options()
	o.SegmentOctets, o.quietAfter, o.quietStep, o.idleAfter = 8<<20, 1, 16<<10, 1
	o.fillStep = 2*o.quietStep + 1 // so many are there only when others were taken away
	e := open(t, files, o)
	for version := range engine.Version(3) {
		commitBlob(t, e, version, octets)
		for logSize(t, disk)-logEnd(e) != o.fillStep {
			<-files.synced
		}
	}
}

// TestZerosDue: what was written counts until zeros are given back, and they are
// not given back while more are wanted.
func TestZerosDue(t *testing.T) {
	disk := vfs.NewMem()
	file, err := disk.Create("segment")
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{fs: disk, active: &openFile{File: file}}
	e.opts = options()
	e.opts.setDefaults("")
	e.opts.fillStep, e.opts.quietStep, e.opts.quietAfter, e.opts.idleAfter = 100, 1000, 1, 2
	for _, c := range []struct {
		what           string
		change         func()
		due            time.Duration
		filled, wanted int64
	}{
		{"nothing was written", func() {}, -1, 0, 0},
		{"a burst came", func() { e.activeEnd, e.zerosWanted = 2000, 2000 }, e.opts.quietAfter, 3000, 2000},
		{"it is quiet", func() { e.quiet = true }, 0, 4000, 2000},
		{"all are there", func() {}, e.opts.idleAfter, 2100, 0},
		{"most were given back", func() {}, -1, 2100, 0},
		{"small groups have used some", func() { e.activeEnd = 2050 }, -1, 2100, 0},
		{"the store has stopped", func() { e.filled = 9000; e.fail(syscall.EIO) }, -1, 9000, 0},
	} {
		c.change()
		if due := e.zerosDue(); due != c.due {
			t.Errorf("%s: due after %d, not %d", c.what, due, c.due)
		} else if due >= 0 {
			e.moveZeros()
		}
		if e.filled != c.filled || e.zerosWanted != c.wanted {
			t.Errorf("%s: filled to %d and %d wanted, not %d and %d", c.what, e.filled, e.zerosWanted, c.filled, c.wanted)
		}
		if size, err := file.Size(); e.stopped() == nil && (size != e.filled || err != nil) {
			t.Errorf("%s: a file of %d octets, %v", c.what, size, err)
		}
	}
}

// TestGiveBackFails: nothing is acknowledged when nobody knows what is in the file.
func TestGiveBackFails(t *testing.T) {
	for _, failing := range []vfs.Op{vfs.OpTruncate, vfs.OpSync} {
		fault := &vfs.Fault{FS: vfs.NewMem()}
		file, err := fault.Create("segment")
		if err != nil {
			t.Fatal(err)
		}
		fault.Fail = func(op vfs.Op, _ int64) error {
			if op == failing {
				return syscall.EIO
			}
			return nil
		}
		e := &Engine{fs: fault, active: &openFile{File: file}, filled: 4 << 20}
		e.opts = options()
		e.opts.setDefaults("")
		if e.giveBack(); !errors.Is(e.stopped(), syscall.EIO) {
			t.Errorf("%v failed: stopped by %v", failing, e.stopped())
		}
	}
}

// TestFillAheadFails: zeros are not worth the last room of the disk, and a failed
// sync of them stops the store like any other.
func TestFillAheadFails(t *testing.T) {
	for _, c := range []struct {
		name    string
		fail    vfs.Op
		err     error
		free    int64 // negative: nobody knows
		wanted  bool  // still
		stopped bool
	}{
		{name: "well", free: 4000, wanted: true},
		{name: "little room", free: 2000},
		{name: "who knows how much room", free: -1},
		{name: "no room", fail: vfs.OpWrite, err: syscall.ENOSPC, free: 4000},
		{name: "not written", fail: vfs.OpWrite, err: syscall.EIO, free: 4000, wanted: true, stopped: true},
		{name: "not synced", fail: vfs.OpSync, err: syscall.ENOSPC, free: 4000, wanted: true, stopped: true},
	} {
		fault := &vfs.Fault{FS: freeFS{vfs.NewMem(), c.free}}
		file, err := fault.Create("segment")
		if err != nil {
			t.Fatal(err)
		}
		e := &Engine{fs: fault, active: &openFile{File: file}, zerosWanted: 1 << 20}
		e.opts = options()
		e.opts.setDefaults("")
		e.opts.Reserve, e.opts.SegmentOctets = 1000, 1<<20
		fault.Fail = func(op vfs.Op, _ int64) error {
			if c.err != nil && op == c.fail {
				return c.err
			}
			return nil
		}
		e.fillAhead()
		if wanted := e.zerosWanted > 0; wanted != c.wanted {
			t.Errorf("%s: %d zeros are wanted", c.name, e.zerosWanted)
		}
		if err := e.stopped(); (err != nil) != c.stopped || c.stopped && !errors.Is(err, c.err) {
			t.Errorf("%s: stopped by %v", c.name, err)
		}
		if lacks := e.lacksZeros(); lacks != (c.wanted && !c.stopped) {
			t.Errorf("%s: more are lacking: %t", c.name, lacks)
		}
	}
}

// TestLacksZeros: steps are wanted until there are as many zeros as were written,
// or the segment ends.
func TestLacksZeros(t *testing.T) {
	const step, segment = 100, 1000
	for _, c := range []struct {
		end, filled, wanted int64
		lacks               bool
	}{
		{300, 300, 99, false},
		{300, 300, 100, true},
		{300, 0, 100, true}, // a large group needs no zeros of its own
		{300, 350, 149, false},
		{300, 350, 150, true},
		{300, 999, 1000, true},
		{300, 1000, 1000, false},
		{1100, 0, 1000, false}, // a large commit is alone in its segment
	} {
		e := &Engine{active: &openFile{}, activeEnd: c.end, filled: c.filled, zerosWanted: c.wanted}
		e.opts.quietStep, e.opts.SegmentOctets = step, segment
		if got := e.lacksZeros(); got != c.lacks {
			t.Errorf("end %d, filled to %d, %d wanted: %t", c.end, c.filled, c.wanted, got)
		}
	}
	if (&Engine{zerosWanted: step}).lacksZeros() {
		t.Error("zeros where no segment is begun")
	}
}

// freeFS is a disk with so many octets free, or nobody knows how many.
type freeFS struct {
	vfs.FS
	free int64
}

func (fs freeFS) Free(string) (int64, error) {
	if fs.free < 0 {
		return 0, syscall.EIO
	}
	return fs.free, nil
}
