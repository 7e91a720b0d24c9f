package local

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
)

// everything uses all that the engine can do, until something fails.
func everything(t *testing.T, fs vfs.FS, o Options, dst vfs.FS, h *history) {
	ctx := context.Background()
	e, err := Open(ctx, fs, "store", o)
	if err != nil {
		return
	}
	defer e.Close()
	h.run(t, e, 1, 6, 1)
	steps := []func() error{
		func() error { _, err := e.Compact(ctx); return err },
		func() error { return e.Reclaim(ctx) },
		func() error { h.run(t, e, 2, 4, 1); return nil },
		func() error { _, err := e.Backup(ctx, dst, "store", noPace); return err },
		func() error {
			for _, err := range e.Verify(ctx, noPace) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		func() error {
			found, err := e.Damaged(ctx, noPace)
			if err != nil || len(found) > 0 {
				return err
			}
			e.mu.Lock()
			var all []uint32
			for n := range e.mu.segments {
				if n < e.mu.chunks[0].segment {
					all = append(all, n)
				}
			}
			e.mu.Unlock()
			return e.Quarantine(ctx, all)
		},
		func() error { h.run(t, e, 1, 3, 2); return nil },
		func() error { _, _, err := PruneBackups(dst, "store", o.Now(), false); return err },
	}
	for _, step := range steps {
		_ = step() // goes on: a failed step must not harm the next one
	}
	for id := range h.blobs {
		_, _ = enginetest.ReadBlob(e, id)
		_, _ = e.Blobs().Verify(ctx, id)
	}
}

// TestEveryCallFails lets each single call of the file system fail once, in
// turn: what was acknowledged is there after a restart, and after a power cut.
func TestEveryCallFails(t *testing.T) {
	small := options()
	small.SegmentOctets = 8 << 10
	count := &vfs.Fault{FS: vfs.NewMem()}
	everything(t, count, small, count, newHistory())
	if count.Calls() < 100 {
		t.Fatalf("only %d calls", count.Calls())
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for n := int64(1); n <= count.Calls(); n++ {
		disk := vfs.NewMem()
		failure := []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS}[n%3]
		fault := &vfs.Fault{FS: disk, Fail: func(_ vfs.Op, i int64) error {
			if i == n {
				return failure
			}
			return nil
		}}
		o := options()
		o.SegmentOctets = 8 << 10
		o.aloneMin, o.aheadMin = sometimes(uint64(n))
		h := newHistory()
		everything(t, fault, o, fault, h)
		cut := disk.CrashClone(rng, 0)
		for _, left := range []*vfs.Mem{cut, disk.CrashClone(rng, 1)} {
			e, err := Open(context.Background(), left, "store", options())
			if err != nil {
				t.Fatalf("call %d, %v: %v", n, failure, err)
			}
			if !t.Run(fmt.Sprintf("call %d %v", n, failure), func(t *testing.T) { h.check(t, e) }) {
				return
			}
			e.Close()
		}
	}
}

// TestRepairFormat makes the store's identity again, once.
func TestRepairFormat(t *testing.T) {
	for name, spoil := range map[string]func(d *vfs.Mem){
		"missing": func(d *vfs.Mem) { d.Remove("store/FORMAT") },
		"damaged": func(d *vfs.Mem) {
			f, _ := d.Open("store/FORMAT")
			f.WriteAt([]byte("rubbish"), 8)
		},
		"short": func(d *vfs.Mem) {
			f, _ := d.Open("store/FORMAT")
			f.Truncate(10)
		},
	} {
		disk, h := vfs.NewMem(), newHistory()
		e := open(t, disk, options())
		h.run(t, e, 1, 5, 1)
		want := enginetest.Dump(t, e)
		e.Close()
		if what, err := RepairFormat(disk, "store", false); what != "" || err != nil {
			t.Fatalf("%s: before: %q, %v", name, what, err)
		}
		spoil(disk)
		if _, err := Open(context.Background(), disk, "store", options()); err == nil {
			t.Fatalf("%s: opened", name)
		}
		disk = disk.CrashClone(rand.New(rand.NewPCG(1, 1)), 1) // without the lock
		for _, dry := range []bool{true, false} {
			if what, err := RepairFormat(disk, "store", dry); what == "" || err != nil {
				t.Fatalf("%s: %q, %v", name, what, err)
			}
		}
		if what, err := RepairFormat(disk, "store", false); what != "" || err != nil {
			t.Fatalf("%s: a second time: %q, %v", name, what, err)
		}
		e = open(t, disk, options())
		if got := enginetest.Dump(t, e); got != want {
			t.Fatalf("%s: %s\nwant\n%s", name, got, want)
		}
		e.Close()
	}
	if _, err := RepairFormat(vfs.NewMem(), "store", false); err == nil {
		t.Fatal("an empty directory was repaired")
	}
}

// TestReadBack: what compaction wrote and the disk does not give back is not
// taken for moved, and nothing is deleted for it.
func TestReadBack(t *testing.T) {
	disk, o := vfs.NewMem(), options()
	fault := &vfs.Fault{FS: disk}
	e := open(t, fault, o)
	defer e.Close()
	blobs := map[engine.BlobID][]byte{}
	octets := random(800_000) // more than a segment holds, so that one ends in the midst of another
	for v := range engine.Version(100) {
		part := octets[:8000]
		octets = octets[8000:]
		id, w := enginetest.MakeBlob(t, e, part, nil)
		var b engine.Batch
		b.Keep(id)
		if _, err := enginetest.Space(t, e, 1).Commit(t.Context(), v, &b); err != nil {
			t.Fatal(err)
		}
		w.Release()
		blobs[id] = part
	}
	before, _ := disk.List("store/log")
	spoilt := false
	fault.Fail = func(op vfs.Op, _ int64) error {
		names, _ := disk.List("store/log")
		f, err := disk.Open("store/log/" + names[len(names)-1])
		if b := make([]byte, segmentHeader); op == vfs.OpSyncDir && err == nil && !spoilt {
			if f.ReadAt(b, 0); b[36] == kindDense {
				f.WriteAt([]byte("bad"), segmentHeader+recordHeader+8+48) // in a digest
				spoilt = true
			}
		}
		return err
	}
	if err := e.Reclaim(t.Context()); err == nil || !spoilt {
		t.Errorf("spoilt: %v, %v", spoilt, err)
	}
	after, _ := disk.List("store/log")
	for _, name := range before {
		if !slices.Contains(after, name) {
			t.Errorf("%s was deleted", name)
		}
	}
	for id, want := range blobs {
		if got, err := enginetest.ReadBlob(e, id); err != nil || !bytes.Equal(got, want) {
			t.Errorf("blob %d: %d octets, %v", id, len(got), err)
		}
	}
}
