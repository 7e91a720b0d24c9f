package local

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

func noPace(int64) error { return nil }

func readOnly() Options {
	o := options()
	o.ReadOnly = true
	return o
}

func backup(t *testing.T, e *Engine, dst vfs.FS) *Manifest {
	t.Helper()
	m, err := e.Backup(context.Background(), dst, "store", noPace)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBackup: each backup holds what was committed before it, also while
// others write and compaction runs, and copies only what is new.
func TestBackup(t *testing.T) {
	e := open(t, vfs.NewMem(), options())
	defer e.Close()
	dst, h := vfs.NewMem(), newHistory()
	last := int64(0)
	for round := range uint64(4) {
		h.run(t, e, 1, 30, round)
		want := enginetest.Dump(t, e)
		m := backup(t, e, dst)
		if round > 0 && m.Copied >= m.Octets() {
			t.Fatalf("round %d copied all %d octets, %d before", round, m.Copied, last)
		}
		last = m.Octets()
		b := open(t, dst.CrashClone(rand.New(rand.NewPCG(1, 1)), 0), readOnly())
		if got := enginetest.Dump(t, b); got != want {
			t.Fatalf("round %d: the backup holds\n%s\nwant\n%s", round, got, want)
		}
		h.check(t, b)
		for d, err := range b.Verify(context.Background(), noPace) {
			t.Fatal(d, err)
		}
		b.Close()
		if _, err := e.Compact(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { h.run(t, e, 2, 50, 9) })
	wg.Go(func() { e.Compact(context.Background()) })
	backup(t, e, dst)
	wg.Wait()
	b := open(t, dst, readOnly())
	h.checkWhole(t, b)
	b.Close()
	if _, err := open(t, vfs.NewMem(), options()).Backup(context.Background(), dst, "store", noPace); !errs.Is(err, errs.Conflict) {
		t.Fatalf("a backup of another store into the same directory: %v", err)
	}
}

// TestReadOnly: nothing in the store's own files changes, also when it ends in
// a torn tail or its identity is gone.
func TestReadOnly(t *testing.T) {
	disk, h := vfs.NewMem(), newHistory()
	e := open(t, disk, options())
	h.run(t, e, 1, 10, 1)
	want := enginetest.Dump(t, e)
	e.Close()
	names, _ := disk.List("store/log")
	f, _ := disk.Open("store/log/" + names[0])
	size, _ := f.Size()
	f.WriteAt([]byte("torn"), size)
	disk.Remove("store/FORMAT")
	e = open(t, disk, readOnly())
	defer e.Close()
	if got := enginetest.Dump(t, e); got != want {
		t.Fatalf("%s\nwant\n%s", got, want)
	}
	h.check(t, e)
	var b engine.Batch
	b.Put([]byte("k"), nil)
	if _, err := enginetest.Space(t, e, 5).Commit(context.Background(), 0, &b); !errs.Is(err, errs.Denied) {
		t.Fatalf("a commit: %v", err)
	}
	if after, _ := f.Size(); after != size+4 {
		t.Fatalf("the log was cut from %d to %d octets", size+4, after)
	}
	if _, err := Open(context.Background(), disk, "store", options()); !errs.Is(err, errs.Corrupt) {
		t.Fatalf("a store without FORMAT was opened: %v", err)
	}
}

// TestUntil opens a backup as it was at any second.
func TestUntil(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := options()
	o.Now = func() time.Time { return now }
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	dst, h := vfs.NewMem(), newHistory()
	dumps := map[time.Time]string{}
	for i := range uint64(12) {
		h.run(t, e, 1, 5, i)
		dumps[now] = enginetest.Dump(t, e)
		now = now.Add(time.Minute)
		if i%4 == 3 {
			backup(t, e, dst)
			if _, err := e.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for at, want := range dumps {
		o := readOnly()
		o.Until = at
		b := open(t, dst, o)
		if got := enginetest.Dump(t, b); got != want {
			t.Fatalf("at %v:\n%s\nwant\n%s", at, got, want)
		}
		// A whole store is restored by a backup of the backup.
		restored := vfs.NewMem()
		backup(t, b, restored)
		b.Close()
		r := open(t, restored, options())
		if got := enginetest.Dump(t, r); got != want {
			t.Fatalf("restored at %v:\n%s\nwant\n%s", at, got, want)
		}
		h := newHistory()
		h.acked[1] = engine.Version(bytes.Count([]byte(want), []byte("m0")))
		h.run(t, r, 1, 3, 99) // and goes on
		r.Close()
	}
}

func TestPrune(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	o := options()
	o.Now = func() time.Time { return now }
	e := open(t, vfs.NewMem(), o)
	defer e.Close()
	dst, h := vfs.NewMem(), newHistory()
	for i := range uint64(3) {
		h.run(t, e, 1, 40, i)
		backup(t, e, dst)
		now = now.Add(24 * time.Hour)
		if err := e.Reclaim(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	for _, dry := range []bool{true, false} {
		backups, segments, err := PruneBackups(dst, "store", now, dry)
		if err != nil || backups != 2 || segments == 0 {
			t.Fatalf("%d backups, %d segments, %v", backups, segments, err)
		}
	}
	b := open(t, dst, readOnly())
	defer b.Close()
	h.check(t, b)
	if all, err := Manifests(dst, "store"); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
}

// TestScanReadsAhead: records that are short are not read one by one.
func TestScanReadsAhead(t *testing.T) {
	const commits = 500
	fault := &vfs.Fault{FS: vfs.NewMem()}
	reads := 0
	o := options()
	o.SegmentOctets = 1 << 20
	e := open(t, fault, o)
	defer e.Close()
	for version := range engine.Version(commits) {
		var b engine.Batch
		b.Put([]byte{1}, []byte{2})
		if _, err := enginetest.Space(t, e, 1).Commit(t.Context(), version, &b); err != nil {
			t.Fatal(err)
		}
	}
	fault.Fail = func(op vfs.Op, _ int64) error {
		if op == vfs.OpRead {
			reads++
		}
		return nil
	}
	records := 0
	for d, err := range e.Verify(t.Context(), func(int64) error { records++; return nil }) {
		t.Fatal(d, err)
	}
	if records < commits || reads*10 > records {
		t.Errorf("%d reads for %d records", reads, records)
	}
}
