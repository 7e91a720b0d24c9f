package local

import (
	"bytes"
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

func TestRebuild(t *testing.T) {
	disk := vfs.NewMem()
	o := options()
	e := open(t, disk, o)
	h := newHistory()
	for id := range engine.SpaceID(3) {
		h.run(t, e, id+1, 80, 1)
	}
	if done, err := e.Compact(context.Background()); err != nil || done.Segments == 0 {
		t.Fatalf("compaction: %+v, %v", done, err)
	}
	h.check(t, e)
	h.run(t, e, 1, 20, 2)
	before := enginetest.Dump(t, e)
	stats := e.Stats()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var r Recovery
	o.Events.Opened = func(x Recovery) { r = x }
	o.IndexFS = pebblevfs.NewMem() // the index is gone
	e = open(t, disk, o)
	defer e.Close()
	if !r.Rebuilt {
		t.Fatalf("%+v", r)
	}
	if after := enginetest.Dump(t, e); after != before {
		t.Fatalf("the rebuilt index differs:\n%s\n%s", before, after)
	}
	h.check(t, e)
	if after := e.Stats(); after.Live != stats.Live {
		t.Fatalf("%d octets live, rebuilt %d", stats.Live, after.Live)
	}
	for id, octets := range h.blobs {
		if got, err := enginetest.ReadBlob(e, id); err != nil || !bytes.Equal(got, octets) {
			t.Fatal(err)
		}
	}
}

// TestOldIndex opens a store with an index from before a compaction, which
// needs commits that are compacted away.
func TestOldIndex(t *testing.T) {
	disk, h, o := vfs.NewMem(), newHistory(), options()
	e := open(t, disk, o)
	h.run(t, e, 1, 40, 1)
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	index := pebblevfs.NewCrashableMem()
	if _, err := pebblevfs.Clone(o.IndexFS, index, "store/index", "store/index"); err != nil {
		t.Fatal(err)
	}
	h.run(t, e, 2, 40, 1)
	for range 2 {
		if err := e.Reclaim(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	want := enginetest.Dump(t, e)
	e.Close()
	o.IndexFS = index
	e = open(t, disk, o)
	defer e.Close()
	if got := enginetest.Dump(t, e); got != want {
		t.Fatalf("with an old index:\n%s\nwant\n%s", got, want)
	}
	h.check(t, e)
}

// TestCheckpointIsDurable: when compaction returns, what it deleted is needed
// by nobody, even if the power goes now and the index is lost.
func TestCheckpointIsDurable(t *testing.T) {
	disk, h := vfs.NewMem(), newHistory()
	e := open(t, disk, options())
	h.run(t, e, 1, 40, 1)
	if err := e.Reclaim(context.Background()); err != nil {
		t.Fatal(err)
	}
	want := enginetest.Dump(t, e)
	disk.SyncDir("store/log") // the deletions, whatever else
	cut := disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	e.Close()
	e = open(t, cut, options())
	defer e.Close()
	if got := enginetest.Dump(t, e); got != want {
		t.Fatalf("after the power cut:\n%s\nwant\n%s", got, want)
	}
	h.check(t, e)
}

// TestRemovalIsLost: the power goes after a compaction, and the segments that
// it deleted are there again, beside those that hold what was moved.
func TestRemovalIsLost(t *testing.T) {
	disk, h, o := vfs.NewMem(), newHistory(), options()
	o.IndexFS = pebblevfs.NewMem()
	e := open(t, disk, o)
	h.run(t, e, 1, 40, 1)
	if err := e.Reclaim(context.Background()); err != nil {
		t.Fatal(err)
	}
	disk = disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	e.Close()
	for range 3 {
		e = open(t, disk, o)
		h.check(t, e)
		live := e.Stats().Live
		if err := e.Reclaim(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := e.Stats().Live; got != live {
			t.Fatalf("%d octets are kept, %d before the compaction", got, live)
		}
		h.check(t, e)
		e.Close()
	}
}

// TestNumbersAreUsedOnce: a blob's number is not given to another after it is
// gone, nor a segment's, which backups know it by.
func TestNumbersAreUsedOnce(t *testing.T) {
	ctx := context.Background()
	disk, o := vfs.NewMem(), options()
	e := open(t, disk, o)
	large := bytes.Repeat([]byte("x"), blobInlineMax+1)
	first, w := enginetest.MakeBlob(t, e, large, nil)
	w.Release()
	for range 2 { // the second start has nothing to do but to remove it
		if _, err := e.Compact(ctx); err != nil {
			t.Fatal(err)
		}
		e.Close()
		e = open(t, disk, o)
	}
	defer e.Close()
	second, w := enginetest.MakeBlob(t, e, large, nil)
	defer w.Release()
	if second <= first {
		t.Fatalf("blob %x was made after %x", second, first)
	}
}

// TestUnfinishedSegment: the power goes while a large blob is written, and its
// segment's first sector is lost. That is no damage, and it goes.
func TestUnfinishedSegment(t *testing.T) {
	disk := vfs.NewMem()
	e := open(t, disk, options())
	newHistory().run(t, e, 1, 5, 1)
	e.mu.Lock()
	name := e.segmentName(e.nextSegmentLocked())
	e.mu.Unlock()
	e.Close()
	f, err := disk.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte("x"), 4096), 512); err != nil {
		t.Fatal(err)
	}
	f.Close()
	verify := func(o Options) {
		t.Helper()
		e := open(t, disk, o)
		defer e.Close()
		for d, err := range e.Verify(context.Background(), noPace) {
			t.Fatal(d, err)
		}
	}
	readOnly := options()
	readOnly.ReadOnly = true
	verify(readOnly) // as a check does, which changes nothing
	verify(options())
	if f, err := disk.Open(name); err == nil {
		f.Close()
		t.Fatal("the segment is still there")
	}
}

// TestReplayedOnce: a commit that the index has is not applied to it again, so
// that one drop takes back one keep.
func TestReplayedOnce(t *testing.T) {
	t.Run("small", func(t *testing.T) { testReplayedOnce(t, aloneMin, aheadMin) })
	t.Run("prepared", func(t *testing.T) { testReplayedOnce(t, 1, aheadMin) })
	t.Run("tables", func(t *testing.T) { testReplayedOnce(t, 1, 1) })
}

func testReplayedOnce(t *testing.T, aloneMin, aheadMin int64) {
	ctx := context.Background()
	disk, index := vfs.NewMem(), pebblevfs.NewCrashableMem()
	o := options()
	o.IndexFS, o.aloneMin, o.aheadMin = index, aloneMin, aheadMin
	e := open(t, disk, o)
	id, w := enginetest.MakeBlob(t, e, []byte("octets"), nil)
	var b engine.Batch
	b.Keep(id)
	if _, err := enginetest.Space(t, e, 1).Commit(ctx, 0, &b); err != nil {
		t.Fatal(err)
	}
	w.Release()
	if err := e.index.Flush(); err != nil {
		t.Fatal(err)
	}
	cut := disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	o.IndexFS = index.CrashClone(pebblevfs.CrashCloneCfg{})
	e.Close()
	e = open(t, cut, o)
	defer e.Close()
	if e.Stats().Live == 0 {
		t.Fatal("the blob is not kept")
	}
	b = engine.Batch{}
	b.Drop(id)
	if _, err := enginetest.Space(t, e, 1).Commit(ctx, 1, &b); err != nil {
		t.Fatal(err)
	}
	if live := e.Stats().Live; live != 0 {
		t.Fatalf("%d octets are still kept", live)
	}
}

// TestIndexedBeforeCompacted: a segment is left alone while a commit in it is durable
// and not yet in the index, from which the checkpoint is made.
func TestIndexedBeforeCompacted(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	var b engine.Batch
	b.Put([]byte("key"), make([]byte, 1000))
	w := &waiter{space: 1, version: 1, ops: b.Ops, done: make(chan error, 1)}
	if err := e.prepare(t.Context(), w, lengthOf(w)); err != nil {
		t.Fatal(err)
	}
	defer w.prepared.end()
	e.preparing.Lock() // apply waits for it
	length := lengthOf(w)
	if err := e.enqueue(w, 0, length, encodeAlone(t, w)); err != nil {
		t.Fatal(err)
	}
	e.mu.Lock()
	e.rotateLocked(e.nextSegmentLocked())
	e.mu.Unlock()
	behind := &waiter{space: 2, version: 1, ops: b.Ops, done: make(chan error, 1)}
	if err := e.enqueue(behind, 0, length, nil); err != nil {
		t.Fatal(err)
	}
	for durable := position(0); durable.segment() <= w.at.segment(); runtime.Gosched() {
		e.mu.Lock()
		durable = e.mu.durable
		e.mu.Unlock()
	}
	has := func(victims []segment) bool {
		return slices.ContainsFunc(victims, func(s segment) bool { return s.info.number == w.at.segment() })
	}
	if has(e.victims(0)) {
		t.Error("a segment is to be compacted before the index has all of it")
	}
	e.preparing.Unlock()
	for _, w := range []*waiter{w, behind} {
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
	}
	if !has(e.victims(0)) {
		t.Error("a segment is not to be compacted when the index has all of it")
	}
}

// TestClaimed: compaction leaves the blobs alone that a writer may still hand to
// a commit.
func TestClaimed(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	for space, size := range []int{100, 2 << 20} { // in the log, and in a segment of its own
		octets := bytes.Repeat([]byte("x"), size)
		id, w := enginetest.MakeBlob(t, e, octets, nil)
		for range 2 {
			if err := e.Reclaim(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		var b engine.Batch
		b.Keep(id)
		if _, err := enginetest.Space(t, e, engine.SpaceID(space+1)).Commit(context.Background(), 0, &b); err != nil {
			t.Fatal(err)
		}
		w.Release()
		if got, err := enginetest.ReadBlob(e, id); err != nil || !bytes.Equal(got, octets) {
			t.Fatalf("%d octets, %v", len(got), err)
		}
	}
}

// TestReclaim: what was dropped is on no part of the disk.
func TestReclaim(t *testing.T) {
	ctx := context.Background()
	disk := vfs.NewMem()
	e := open(t, disk, options())
	defer e.Close()
	version := engine.Version(0)
	keep := func(text string) engine.BlobID {
		id, w := enginetest.MakeBlob(t, e, []byte(text), nil)
		defer w.Release()
		var b engine.Batch
		b.Keep(id)
		var err error
		if version, err = enginetest.Space(t, e, 1).Commit(ctx, version, &b); err != nil {
			t.Fatal(err)
		}
		return id
	}
	here := func(text string) bool {
		names, _ := disk.List("store/log")
		for _, name := range names {
			f, err := disk.Open("store/log/" + name)
			if err != nil {
				t.Fatal(err)
			}
			size, _ := f.Size()
			b := make([]byte, size)
			f.ReadAt(b, 0)
			if bytes.Contains(b, []byte(text)) {
				return true
			}
		}
		return false
	}
	kept, dropped := keep("this one is kept"), keep("this one is dropped")
	for range 2 { // the second time they are in a dense segment
		if err := e.Reclaim(ctx); err != nil || !here("this one is dropped") {
			t.Fatal(err)
		}
	}
	var b engine.Batch
	b.Drop(dropped)
	if _, err := enginetest.Space(t, e, 1).Commit(ctx, version, &b); err != nil {
		t.Fatal(err)
	}
	if err := e.Reclaim(ctx); err != nil || here("this one is dropped") {
		t.Fatalf("the octets are still there; %v", err)
	}
	if got, err := enginetest.ReadBlob(e, kept); err != nil || string(got) != "this one is kept" {
		t.Fatalf("%q, %v", got, err)
	}
}

// A blob that two spaces keep lives until both dropped it.
func TestKeptTwice(t *testing.T) {
	ctx := context.Background()
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	id, w := enginetest.MakeBlob(t, e, []byte("octets"), nil)
	defer w.Release()
	for space := range engine.SpaceID(2) {
		var b engine.Batch
		b.Keep(id)
		if _, err := enginetest.Space(t, e, space+1).Commit(ctx, 0, &b); err != nil {
			t.Fatal(err)
		}
	}
	for space := range engine.SpaceID(2) {
		before := e.Stats().Live
		var b engine.Batch
		b.Drop(id)
		if _, err := enginetest.Space(t, e, space+1).Commit(ctx, 1, &b); err != nil {
			t.Fatal(err)
		}
		if after := e.Stats().Live; (after == before) != (space == 0) {
			t.Fatalf("drop %d: %d octets were live, now %d", space+1, before, after)
		}
	}
}

// TestDenseAfter: what is old enough is kept compressed, once, and is read as
// before.
func TestDenseAfter(t *testing.T) {
	for _, c := range []struct {
		after, age time.Duration
		dense      bool
	}{{0, 23 * time.Hour, false}, {0, 25 * time.Hour, true}, {time.Hour, 2 * time.Hour, true}, {-1, 1000 * time.Hour, false}} {
		now := time.Now()
		o := options()
		o.Now, o.DenseAfter, o.DeadShare = func() time.Time { return now }, c.after, 1
		o.SegmentOctets = 16 << 10
		e := open(t, vfs.NewMem(), o)
		h := newHistory()
		h.run(t, e, 1, 60, 1)
		now = now.Add(c.age)
		// The second time there is what the first time was written to.
		for n := range 3 {
			done, err := e.Compact(t.Context())
			if err != nil || done.After > done.Before/2 {
				t.Errorf("%+v: %+v, %v", c, done, err)
			}
			if n != 1 && (done.Segments > 0) != (c.dense && n == 0) {
				t.Errorf("%+v: the %dth time %d segments were rewritten", c, n+1, done.Segments)
			}
		}
		h.check(t, e)
		for id, octets := range h.blobs {
			if got, err := enginetest.ReadBlob(e, id); err != nil || !bytes.Equal(got, octets) {
				t.Fatal(err)
			}
		}
		e.Close()
	}
}

// TestCheckpointPays: all rows are written into the log again only for twice as
// many octets of it, and not because the last checkpoint fills segments itself.
func TestCheckpointPays(t *testing.T) {
	o := options()
	o.SegmentOctets, o.DenseAfter = 64<<10, -1
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	s := enginetest.Space(t, e, 1)
	version := engine.Version(0)
	write := func(rows int) { // each of 4 KiB, the same 100 over and over
		t.Helper()
		for range rows {
			b := &engine.Batch{}
			b.Put([]byte{byte(version % 100)}, make([]byte, 4<<10))
			if _, err := s.Commit(t.Context(), version, b); err != nil {
				t.Fatal(err)
			}
			version++
		}
	}
	compacted := func() bool {
		t.Helper()
		done, err := e.Compact(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return done.Segments > 0
	}
	write(150)
	if !compacted() {
		t.Error("the first segments stay")
	}
	for i := range 3 {
		if compacted() {
			t.Errorf("with nothing new, the rows are written again, time %d", i+2)
		}
	}
	write(70) // beside the 100 of the checkpoint
	if compacted() {
		t.Error("all rows are written again for fewer octets")
	}
	write(60)
	if !compacted() {
		t.Error("the log only grows")
	}
	write(30)
	if err := e.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := e.Stats().Octets; n > 480<<10 {
		t.Errorf("%d octets are left when all were to go that nobody needs", n)
	}
}
