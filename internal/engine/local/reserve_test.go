package local

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// TestFullDisk: while there is no room commits fail, and nothing of them
// appears; when there is room again it goes on by itself. Segments are small,
// so that groups span several, of which some are durable and some are not.
func TestFullDisk(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		disk := vfs.NewMem()
		var room atomic.Int64 // octets; writes beyond fail
		room.Store(1 << 40)
		fault := &vfs.Fault{FS: disk, Fail: func(op vfs.Op, _ int64) error {
			if (op == vfs.OpWrite || op == vfs.OpCreate) && room.Add(-1) < 0 {
				return syscall.ENOSPC
			}
			return nil
		}}
		o := options()
		o.SegmentOctets = 2 << 10
		o.aloneMin, o.aheadMin = sometimes(seed)
		e := open(t, fault, o)
		h := newHistory()
		h.octets = 100
		for round := range uint64(4) {
			room.Store(rng.Int64N(12))
			var wg sync.WaitGroup
			for id := range engine.SpaceID(4) {
				wg.Go(func() { h.run(t, e, id+1, 10, seed*100+round) }) // until it fails
			}
			wg.Wait()
			room.Store(1 << 40)
			for id := range engine.SpaceID(4) {
				before := h.acked[id+1]
				if h.run(t, e, id+1, 3, seed*100+50+round); h.acked[id+1] != before+3 {
					t.Fatalf("seed %d: space %d does not go on: %v", seed, id+1, e.stopped())
				}
			}
			h.check(t, e)
		}
		before := enginetest.Dump(t, e)
		cut := disk.CrashClone(rng, 0)
		e.Close()
		o = options()
		o.Events.Finding = func(f Finding) { t.Errorf("seed %d: damage is reported: %v", seed, f) }
		e = open(t, cut, o)
		h.check(t, e)
		if after := enginetest.Dump(t, e); after != before {
			t.Fatalf("seed %d: after a restart:\n%s\nbefore:\n%s", seed, after, before)
		}
		for d, err := range e.Verify(context.Background(), noPace) {
			t.Fatal(d, err)
		}
		e.Close()
	}
}

// TestLostBlob: a blob that was sealed and found no room cannot be kept.
func TestLostBlob(t *testing.T) {
	full := false
	fault := &vfs.Fault{FS: vfs.NewMem(), Fail: func(op vfs.Op, _ int64) error {
		if op == vfs.OpWrite && full {
			return syscall.ENOSPC
		}
		return nil
	}}
	e := open(t, fault, options())
	defer e.Close()
	e.spendReserve()
	id, w := enginetest.MakeBlob(t, e, []byte("octets"), nil)
	defer w.Release()
	full = true
	commit := func(space engine.SpaceID, id engine.BlobID) error {
		var b engine.Batch
		b.Put([]byte("k"), nil)
		if id != 0 {
			b.Keep(id)
		}
		_, err := enginetest.Space(t, e, space).Commit(context.Background(), 0, &b)
		return err
	}
	if err := commit(1, 0); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("on a full disk: %v", err)
	}
	full = false
	if err := commit(2, id); !errs.Is(err, errs.NoSpace) {
		t.Fatalf("keeping a blob that was lost: %v", err)
	}
	if err := commit(2, 0); err != nil {
		t.Fatalf("when there is room again: %v", err)
	}
}
