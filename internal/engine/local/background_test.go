package local

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
)

// TestHousekeeping: compaction comes by itself.
func TestHousekeeping(t *testing.T) {
	o := options()
	o.SegmentOctets, o.CompactEvery = 4<<10, time.Millisecond
	compacted := make(chan Compacted, 1000)
	o.Events.Compact = func(c Compacted) { compacted <- c }
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	h := newHistory()
	h.run(t, e, 1, 40, 1)
	select {
	case c := <-compacted:
		if c.Err != nil || c.Segments == 0 {
			t.Fatalf("%+v", c)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no compaction in 10 seconds")
	}
	h.check(t, e)
}

// TestManySegments: more segments than are kept open.
func TestManySegments(t *testing.T) {
	o := options()
	o.SegmentOctets = 256
	disk := vfs.NewMem()
	e := open(t, disk, o)
	h := newHistory()
	h.run(t, e, 1, 2*openFilesMax, 1)
	h.check(t, e)
	if n := len(e.files.m); n > openFilesMax {
		t.Fatalf("%d segments are open", n)
	}
	before := enginetest.Dump(t, e)
	spaces := 0
	for _, err := range e.Spaces(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		spaces++
	}
	e.Close()
	e = open(t, disk, o)
	defer e.Close()
	h.check(t, e)
	if after := enginetest.Dump(t, e); after != before || spaces != 1 {
		t.Fatalf("%d spaces; reopened:\n%s\nbefore:\n%s", spaces, after, before)
	}
}

// TestActiveStaysOpen: the log's end is written while more segments are read than
// may be open, also when it is not in the newest segment.
func TestActiveStaysOpen(t *testing.T) {
	o := options()
	o.SegmentOctets = 1 << 10
	e, err := Open(t.Context(), vfs.Disk{}, t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	var ids []engine.BlobID
	for i := range openFilesMax + 10 {
		size := 1 << 10
		if i == openFilesMax+9 {
			size = blobInlineMax + 1 // has a segment of its own, newer than the log's
		}
		id, w := enginetest.MakeBlob(t, e, make([]byte, size), nil)
		var b engine.Batch
		b.Keep(id)
		s.commit(t, &b)
		w.Release()
		ids = append(ids, id)
	}
	for _, id := range ids {
		if _, err := enginetest.ReadBlob(e, id); err != nil {
			t.Fatal(err)
		}
	}
	s.commit(t, &engine.Batch{})
}

// pauses counts a turn's pauses by the function that makes them, and ends the work
// at one of them.
type pauses struct {
	by    map[string]int
	left  int // before the one that ends the work
	ended bool
}

var errEnough = errors.New("enough")

func (p *pauses) Pause(context.Context) error {
	pc, _, _, _ := runtime.Caller(1)
	_, name, _ := strings.Cut(runtime.FuncForPC(pc).Name(), "local.(*")
	name, _, _ = strings.Cut(name, ".func")
	p.by[name]++
	if p.left--; p.left < 0 {
		return errEnough
	}
	return nil
}

func (p *pauses) End() { p.ended = true }

// TestPauses: rewriting makes pauses while it copies, reads back and writes a
// checkpoint, and may be ended at each of them without harm.
func TestPauses(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	turn := &pauses{by: map[string]int{}}
	e.opts.Turn = func() Turn { return turn } // not of who writes the index's tables
	rows := &engineSpace{engine: e, space: enginetest.Space(t, e, 2)}
	long := &engine.Batch{}
	for i := range 16 {
		long.Put([]byte{byte(i)}, make([]byte, 2*checkRowsOctets/16))
	}
	rows.commit(t, long)
	h := newHistory()
	h.run(t, e, 1, 20, 1)
	for enough := 0; ; enough++ {
		turn.left, turn.ended = enough, false
		err := e.Reclaim(t.Context())
		if !turn.ended {
			t.Fatal("the turn does not end")
		}
		h.check(t, e)
		if err == nil {
			break
		}
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	}
	if got, want := slices.Sorted(maps.Keys(turn.by)), []string{"Engine).checkpoint", "denser).end", "denser).move"}; !slices.Equal(got, want) {
		t.Fatalf("pauses are made by %v", got)
	}
}
