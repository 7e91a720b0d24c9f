package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

func options() Options {
	return Options{Now: time.Now, SegmentOctets: 256 << 10, CompactEvery: -1, IndexFS: pebblevfs.NewMem(), IndexCache: 1 << 20}
}

// sometimes returns lengths from which commits are chunks of their own, or written
// ahead, by turns: never, some of history's, and some of these each.
func sometimes(seed uint64) (alone, ahead int64) {
	return []int64{aloneMin, 85, 85, 85}[seed%4], []int64{aheadMin, aheadMin, 88, 85}[seed%4]
}

func open(t testing.TB, fs vfs.FS, o Options) *Engine {
	t.Helper()
	e, err := Open(context.Background(), fs, "store", o)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEngine(t *testing.T) {
	enginetest.Run(t, func(t *testing.T) engine.Engine { return open(t, vfs.NewMem(), options()) })
	for name, ahead := range map[string]int64{"alone": aheadMin, "ahead": 1} {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(t *testing.T) engine.Engine {
				o := options()
				o.aloneMin, o.aheadMin = 1, ahead
				return open(t, vfs.NewMem(), o)
			})
		})
	}
}

// TestManyKept counts the references of one commit that keeps and drops many
// blobs, some of them several times, as a new index does.
func TestManyKept(t *testing.T) {
	disk := vfs.NewMem()
	e := open(t, disk, options())
	defer e.Close()
	var ids []engine.BlobID
	var batches [3]engine.Batch
	for i := range 3 * readAheadMin {
		id, w := enginetest.MakeBlob(t, e, fmt.Appendf(nil, "octets %d", i), nil)
		defer w.Release()
		ids = append(ids, id)
		batches[0].Keep(id)
	}
	for i, id := range ids {
		batches[1].Keep(ids[len(ids)-1-i])
		if i%2 == 0 {
			batches[1].Keep(id)
		}
		batches[2].Drop(id)
		batches[2].Drop(id)
	}
	batches[2].Keep(ids[1]) // there is one more of it, and none of the other odd ones
	space := enginetest.Space(t, e, 1)
	for v, b := range batches {
		b.Put([]byte("k"), []byte{byte(v)})
		if _, err := space.Commit(t.Context(), engine.Version(v), &b); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range ids {
		r, err := readRefs(e.index, id)
		want := int64(0)
		if i%2 == 0 || i == 1 {
			want = 1
		}
		if err != nil || r.count != want {
			t.Fatalf("blob %d has %d references, want %d; %v", i, r.count, want, err)
		}
	}
	again := open(t, disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 1), options())
	defer again.Close()
	if got, want := e.Stats().Live, again.Stats().Live; got != want {
		t.Errorf("the index counts %d octets that are kept, a new one %d", got, want)
	}
}

func TestOnDisk(t *testing.T) {
	dir := t.TempDir()
	o := options()
	o.IndexFS = nil
	e, err := Open(context.Background(), vfs.Disk{}, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(context.Background(), vfs.Disk{}, dir, o); !errs.Is(err, errs.InUse) {
		t.Fatalf("a second Open: %v", err)
	}
	octets := bytes.Repeat([]byte("x"), 3<<20)
	id, w := enginetest.MakeBlob(t, e, octets, nil)
	var b engine.Batch
	b.Keep(id)
	if _, err := enginetest.Space(t, e, 1).Commit(context.Background(), 0, &b); err != nil {
		t.Fatal(err)
	}
	w.Release()
	before := enginetest.Dump(t, e)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e, err = Open(context.Background(), vfs.Disk{}, dir, o); err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if got, err := enginetest.ReadBlob(e, id); !bytes.Equal(got, octets) || err != nil {
		t.Fatalf("after reopening: %d octets, %v", len(got), err)
	}
	if after := enginetest.Dump(t, e); after != before {
		t.Fatalf("rows changed by reopening:\n%s\n%s", before, after)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "log", "*")); len(names) == 0 {
		t.Fatal("no segments")
	}
	if info, err := os.Stat(dir + "/FORMAT"); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("FORMAT: %v, %v", info, err)
	}
}

// history writes random commits with blobs and remembers what was acknowledged.
type history struct {
	mu    sync.Mutex
	acked map[engine.SpaceID]engine.Version
	blobs map[engine.BlobID][]byte // kept by an acknowledged commit
	// octets is how large blobs may be, in repetitions of a few octets.
	octets int
}

// run writes n commits to a space, stopping at the first error.
func (h *history) run(t testing.TB, e *Engine, id engine.SpaceID, n int, seed uint64) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(seed, uint64(id)))
	s, err := e.Space(ctx, id)
	if err != nil {
		return
	}
	var mine []engine.BlobID
	for i := range n {
		h.mu.Lock()
		v := h.acked[id]
		h.mu.Unlock()
		var b engine.Batch
		octets := bytes.Repeat(fmt.Appendf(nil, "%d/%d/%d ", seed, id, i), 1+rng.IntN(h.octets))
		w, err := e.Blobs().Create(ctx)
		if err != nil {
			return
		}
		w.Write(octets)
		blob, _, err := w.Seal(summaryOf(octets))
		if err != nil {
			w.Release()
			return
		}
		b.Keep(blob)
		b.Put([]byte("version"), fmt.Appendf(nil, "%d", v+1))
		b.Put(fmt.Appendf(nil, "m%06d", v), fmt.Appendf(nil, "%d", blob))
		drop := engine.BlobID(0)
		if len(mine) > 2 && rng.IntN(2) == 0 {
			drop = mine[0]
			b.Drop(drop)
		}
		_, err = s.Commit(ctx, v, &b)
		w.Release()
		h.mu.Lock()
		if drop != 0 {
			mine = mine[1:]
			delete(h.blobs, drop) // perhaps dropped, perhaps not
		}
		if err == nil {
			mine = append(mine, blob)
			h.acked[id]++
			h.blobs[blob] = octets
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// summaryOf is what history makes the summary of a blob.
func summaryOf(octets []byte) []byte { return octets[:min(12, len(octets))] }

// check opens what is left and compares it with what was acknowledged.
func (h *history) check(t testing.TB, e *Engine) {
	t.Helper()
	for id, v := range h.acked {
		snap, err := enginetest.Space(t, e, id).Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if snap.Version() < v {
			t.Fatalf("space %d is at version %d, %d was acknowledged", id, snap.Version(), v)
		}
		if got, err := snap.Get([]byte("version")); err != nil || string(got) != fmt.Sprint(snap.Version()) {
			t.Fatalf("space %d at version %d holds the rows of %q, %v", id, snap.Version(), got, err)
		}
		h.acked[id] = snap.Version()
		snap.Close()
	}
	for id, want := range h.blobs {
		if got, err := enginetest.ReadBlob(e, id); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("blob %x, which was acknowledged: %d octets, %v", id, len(got), err)
		}
	}
	// In the order in which they were written, and in none.
	for _, ids := range [][]engine.BlobID{slices.Sorted(maps.Keys(h.blobs)), slices.Collect(maps.Keys(h.blobs))} {
		r := e.Blobs().Summaries()
		for _, id := range ids {
			if got, err := r.Read(t.Context(), id); err != nil || !bytes.Equal(got, summaryOf(h.blobs[id])) {
				t.Fatalf("the summary of blob %x, which was acknowledged: %q, %v", id, got, err)
			}
		}
		r.Close()
	}
	h.checkWhole(t, e)
}

// checkWhole finds commits that are there in part: each made one row and kept
// one blob, acknowledged or not.
func (h *history) checkWhole(t testing.TB, e *Engine) {
	t.Helper()
	for id := range h.acked {
		snap, err := enginetest.Space(t, e, id).Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		n := engine.Version(0)
		for p, err := range snap.Scan([]byte("m"), []byte("n")) {
			if want := fmt.Sprintf("m%06d", n); err != nil || string(p.Key) != want {
				t.Fatalf("space %d: row %q instead of %q, %v", id, p.Key, want, err)
			}
			n++
			var blob engine.BlobID
			fmt.Sscan(string(p.Value), &blob)
			refs, err := readRefs(e.index, blob)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := enginetest.ReadBlob(e, blob); err != nil && refs.count > 0 {
				t.Fatalf("space %d: the blob of row %q: %v", id, p.Key, err)
			}
		}
		if n != snap.Version() {
			t.Fatalf("space %d has %d rows at version %d", id, n, snap.Version())
		}
	}
}

func newHistory() *history {
	return &history{acked: map[engine.SpaceID]engine.Version{}, blobs: map[engine.BlobID][]byte{}, octets: 600}
}

// TestCrash cuts the power at random calls of the file system, keeping none,
// some or all of what was not synced, and of the index what it flushed, or
// nothing.
func TestCrash(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		disk := vfs.NewMem()
		index := newIndexDisk()
		h := newHistory()
		for life := range 3 {
			o := options()
			o.IndexFS = index
			o.aloneMin, o.aheadMin = sometimes(seed)
			if seed%3 == 0 {
				o.fillStep, o.quietAfter, o.quietStep = 512, 1, 4<<10
				o.idleAfter = time.Duration(seed % 2) // 0: not before the end
			}
			o.Events.Finding = func(f Finding) { t.Errorf("a power cut made damage: %v", f) }
			fault := &vfs.Fault{FS: disk}
			after := int64(5 + rng.IntN(120))
			var crashed *vfs.Mem
			var once sync.Once
			keep := []float64{0, 0.5, 1}[rng.IntN(3)]
			fault.Fail = func(op vfs.Op, n int64) error {
				if n < after || op == vfs.OpRead {
					return nil
				}
				once.Do(func() {
					crashed = disk.CrashClone(rng, keep)
					index = index.CrashClone(pebblevfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
				})
				return errors.New("the power is gone")
			}
			e, err := Open(context.Background(), fault, "store", o)
			if err == nil {
				var wg sync.WaitGroup
				for id := range engine.SpaceID(3) {
					wg.Go(func() { h.run(t, e, id+1, 60, seed*10+uint64(life)) })
				}
				wg.Go(func() { e.Compact(context.Background()) })
				wg.Wait()
				e.Compact(context.Background())
				h.run(t, e, 1, 5, seed*10+uint64(life)+5)
				e.Close()
			}
			if crashed != nil {
				disk = crashed
			} else {
				disk = disk.CrashClone(rng, keep)
			}
			if rng.IntN(3) == 0 {
				index = newIndexDisk()
			}
			o.IndexFS = index
			e = open(t, disk, o)
			h.check(t, e)
			if r := open(t, disk.CrashClone(rng, 1), options()); r.Stats().Live != e.Stats().Live {
				t.Errorf("the index counts %d octets that are kept, a new one %d", e.Stats().Live, r.Stats().Live)
			} else {
				r.Close()
			}
			if rng.IntN(2) == 0 { // else the next life begins after a second crash
				e.Close()
			} else {
				disk = disk.CrashClone(rng, 0)
				index = index.CrashClone(pebblevfs.CrashCloneCfg{})
				e.Close()
			}
			if t.Failed() {
				t.Fatalf("seed %d, life %d", seed, life)
			}
		}
	}
}

// TestServedIsDurable crashes the process, so that the system still has what
// was written, and cuts the power when the next process has served it.
func TestServedIsDurable(t *testing.T) {
	disk := vfs.NewMem()
	fault := &vfs.Fault{FS: disk}
	e := open(t, fault, options())
	h := newHistory()
	h.run(t, e, 1, 3, 1)
	fault.Fail = func(op vfs.Op, _ int64) error {
		if op == vfs.OpSync {
			return errors.New("killed")
		}
		return nil
	}
	h.run(t, e, 1, 1, 2)
	e.Close()
	version := func(e *Engine) engine.Version {
		snap, err := enginetest.Space(t, e, 1).Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		return snap.Version()
	}
	e = open(t, disk, options())
	served := version(e)
	cut := disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 0)
	e.Close()
	e = open(t, cut, options())
	defer e.Close()
	if got := version(e); served != 4 || got != served {
		t.Fatalf("version %d was served, %d is left", served, got)
	}
}

func TestReserve(t *testing.T) {
	e := open(t, fullDisk{vfs.NewMem()}, options())
	defer e.Close()
	w, err := e.Blobs().Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Release()
	w.Write([]byte("x"))
	if _, _, err := w.Seal(nil); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("Seal on a full disk: %v", err)
	}
	var b engine.Batch
	b.Put([]byte("k"), nil)
	if _, err := enginetest.Space(t, e, 1).Commit(context.Background(), 0, &b); err != nil {
		t.Fatalf("a commit without mail on a full disk: %v", err)
	}
}

type fullDisk struct{ *vfs.Mem }

func (fullDisk) Free(string) (int64, error) { return 1 << 20, nil }

// A failed sync stops every later acknowledgement, whatever later syncs say.
func TestFailedSync(t *testing.T) {
	fault := &vfs.Fault{FS: vfs.NewMem()}
	e := open(t, fault, options())
	defer e.Close()
	fail := true
	fault.Fail = func(op vfs.Op, _ int64) error {
		if op == vfs.OpSync && fail {
			fail = false
			return errors.New("EIO")
		}
		return nil
	}
	s := enginetest.Space(t, e, 1)
	var b engine.Batch
	b.Put([]byte("k"), nil)
	for range 3 {
		if _, err := s.Commit(context.Background(), 0, &b); !errs.Is(err, errs.Temporary) {
			t.Fatalf("commit after a failed sync: %v", err)
		}
	}
	if snap, err := s.Snapshot(); err != nil || snap.Version() != 0 {
		t.Fatalf("reading goes on: %v", err)
	} else {
		snap.Close()
	}
}

func FuzzDecodeCommit(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x01\x00\x00\x00kv"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if w, ok := decodeCommit(b); ok && int64(len(b)) > 0 {
			_ = lengthOf(w)
		}
	})
}

func FuzzBlobIntact(f *testing.F) {
	c, err := newCoder(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.encode(pending{octets: lines(random(600), 76), summary: []byte("summary")})[8:])
	f.Fuzz(func(t *testing.T, b []byte) { blobIntact(b) })
}

// FuzzOpen opens a store one segment of which is arbitrary.
func FuzzOpen(f *testing.F) {
	disk := vfs.NewMem()
	e := open(f, disk, options())
	h := newHistory()
	h.run(f, e, 1, 3, 1)
	e.Close()
	names, _ := disk.List("store/log")
	file, _ := disk.Open("store/log/" + names[0])
	size, _ := file.Size()
	b := make([]byte, size)
	file.ReadAt(b, 0)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		clone := disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 1)
		clone.Remove("store/log/" + names[0])
		file, err := clone.Create("store/log/" + names[0])
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt(b, 0)
		if e, err := Open(context.Background(), clone, "store", options()); err == nil {
			e.Close()
		}
	})
}

func benchmarkCommit(b *testing.B, writers int) {
	o := options()
	o.IndexFS, o.SegmentOctets = nil, 0
	e, err := Open(context.Background(), vfs.Disk{}, b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	octets := make([]byte, 9<<10)
	var wg sync.WaitGroup
	b.SetBytes(int64(len(octets)))
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			s := enginetest.Space(b, e, engine.SpaceID(w+1))
			for i := range b.N / writers {
				id, bw := enginetest.MakeBlob(b, e, octets, octets[:1000])
				var batch engine.Batch
				batch.Keep(id)
				batch.Put(fmt.Appendf(nil, "%08d", i), octets[:100])
				batch.Put([]byte("mailbox"), octets[:100])
				if _, err := s.Commit(context.Background(), engine.Version(i), &batch); err != nil {
					b.Error(err)
				}
				bw.Release()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(e.Stats().Syncs)/float64(b.N), "syncs/op")
}

func BenchmarkCommit1(b *testing.B)  { benchmarkCommit(b, 1) }
func BenchmarkCommit16(b *testing.B) { benchmarkCommit(b, 16) }

// TestLargeBlobMemory: while a client sends a large message, no more of it is in
// memory than two frames, and what it says is not lost with the buffer.
func TestLargeBlobMemory(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	bw, err := e.Blobs().Create(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer bw.Release()
	var all []byte
	for n := range 3 * blobInlineMax / 10_000 {
		piece := bytes.Repeat([]byte{byte(n)}, 10_000)
		all = append(all, piece...)
		if _, err := bw.Write(piece); err != nil {
			t.Fatal(err)
		}
		if got := cap(bw.(*writer).buf); len(all) > blobInlineMax && got > 2*frameOctets {
			t.Fatalf("a buffer of %d octets after %d", got, len(all))
		}
	}
	id, _, err := bw.Seal(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := e.Blobs().Open(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := make([]byte, len(all))
	if _, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got, all) {
		t.Errorf("the blob is another one: %v", err)
	}
}

// TestVerifyPanics: octets that cannot be read without a panic are told as such, and
// not as damage that repair may act on.
func TestVerifyPanics(t *testing.T) {
	var poison atomic.Bool
	fault := &vfs.Fault{FS: vfs.NewMem(), Fail: func(op vfs.Op, _ int64) error {
		if op == vfs.OpRead && poison.Load() {
			panic("poison")
		}
		return nil
	}}
	e := open(t, fault, options())
	defer e.Close()
	id, w := enginetest.MakeBlob(t, e, []byte("text"), nil)
	var b engine.Batch
	b.Keep(id)
	if _, err := enginetest.Space(t, e, 1).Commit(t.Context(), 0, &b); err != nil {
		t.Fatal(err)
	}
	w.Release()
	poison.Store(true)
	_, err := e.Blobs().Verify(t.Context(), id)
	poison.Store(false)
	if errs.KindOf(err) != errs.Internal || !strings.Contains(err.Error(), "poison") {
		t.Errorf("%v: %v", errs.KindOf(err), err)
	}
	if n, err := e.Blobs().Verify(t.Context(), id); n != 4 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

// TestFirstRead: whatever is said of how many octets a blob has, they are read, and a
// small one in one read when what is said is true.
func TestFirstRead(t *testing.T) {
	var reads atomic.Int64
	disk := &vfs.Fault{FS: vfs.NewMem(), Fail: func(op vfs.Op, _ int64) error {
		if op == vfs.OpRead {
			reads.Add(1)
		}
		return nil
	}}
	e := open(t, disk, options())
	defer e.Close()
	s := &engineSpace{engine: e, space: enginetest.Space(t, e, 1)}
	all := map[engine.BlobID][]byte{}
	small := map[engine.BlobID]bool{}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 1000, headRead, firstRead - headRead, firstRead - headRead + 1, firstRead, 3 * firstRead, 5 * firstRead} {
		for _, summary := range []int{0, 1000, headRead, 2 * firstRead} {
			octets := make([]byte, n)
			for i := range octets {
				octets[i] = byte(rng.Uint32())
			}
			id, w := enginetest.MakeBlob(t, e, octets, bytes.Repeat([]byte("s"), summary))
			var b engine.Batch
			b.Keep(id)
			s.commit(t, &b)
			w.Release()
			all[id], small[id] = octets, n <= firstRead-headRead && summary < headRead-200
		}
	}
	for id, want := range all {
		n := int64(len(want))
		for _, said := range []int64{0, n, 1, n - 1, n + 1, 100, firstRead, headOnly, -1, math.MinInt64} {
			reads.Store(0)
			b, err := e.Blobs().Open(t.Context(), id, said)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
			b.Close()
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d octets of %d, which were said to be %d: %v", len(got), n, said, err)
			}
			if said == n && small[id] && reads.Load() != 1 {
				t.Errorf("%d octets took %d reads", n, reads.Load())
			}
		}
		if got := e.recordSize(id); got <= n {
			t.Errorf("the record of %d octets has %d", n, got)
		}
	}
}
