// Package enginetest is the suite that every engine passes.
package enginetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
)

// Run runs the suite. open returns an empty engine, which the suite closes.
func Run(t *testing.T, open func(t *testing.T) engine.Engine) {
	for name, test := range map[string]func(*testing.T, engine.Engine){
		"Commit": testCommit, "Blobs": testBlobs, "Summaries": testSummaries, "LargeBlob": testLargeBlob, "Snapshot": testSnapshot,
		"Pipelined": testPipelined, "Concurrent": testConcurrent, "Agrees": testAgrees, "Closed": testClosed,
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t)
			defer e.Close()
			test(t, e)
		})
	}
}

// Space attaches to a space or fails the test.
func Space(t testing.TB, e engine.Engine, id engine.SpaceID) engine.Space {
	t.Helper()
	s, err := e.Space(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// MakeBlob seals a blob or fails the test. The caller releases the writer.
func MakeBlob(t testing.TB, e engine.Engine, octets, summary []byte) (engine.BlobID, engine.BlobWriter) {
	t.Helper()
	w, err := e.Blobs().Create(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for rest := octets; len(rest) > 0; {
		n := min(len(rest), 100_000)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	id, size, err := w.Seal(summary)
	if err != nil || size != int64(len(octets)) {
		t.Fatalf("Seal: size %d of %d, %v", size, len(octets), err)
	}
	return id, w
}

// ReadBlob reads a whole blob.
func ReadBlob(e engine.Engine, id engine.BlobID) ([]byte, error) {
	b, err := e.Blobs().Open(context.Background(), id, 0)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(io.NewSectionReader(b, 0, b.Size()))
}

// Dump returns all rows of all spaces with their versions, as text.
func Dump(t testing.TB, e engine.Engine) string {
	t.Helper()
	var out bytes.Buffer
	for id, err := range e.Spaces(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		snap, err := Space(t, e, id).Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "space %d version %d\n", id, snap.Version())
		for p, err := range snap.Scan(nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, " %q=%x\n", p.Key, sha256.Sum256(p.Value))
		}
		snap.Close()
	}
	return out.String()
}

func testCommit(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	s := Space(t, e, 7)
	var b engine.Batch
	b.Put([]byte("b"), []byte("2"))
	b.Put([]byte("a"), []byte("1"))
	b.Put([]byte("c"), nil)
	if v, err := s.Commit(ctx, 0, &b); v != 1 || err != nil {
		t.Fatalf("first commit: version %d, %v", v, err)
	}
	if _, err := s.Commit(ctx, 0, &b); !errs.Is(err, errs.Conflict) {
		t.Fatalf("commit of an old version: %v", err)
	}
	var d engine.Batch
	d.DeleteRange([]byte("a"), []byte("b"))
	d.Put([]byte("d"), []byte("4"))
	d.Delete([]byte("d"))
	d.Delete([]byte("none"))
	if v, err := s.Commit(ctx, 1, &d); v != 2 || err != nil {
		t.Fatalf("second commit: version %d, %v", v, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Commit(cancelled, 2, &b); !errs.Is(err, errs.Temporary) {
		t.Fatalf("commit with a cancelled context: %v", err)
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	if v, err := snap.Get([]byte("b")); string(v) != "2" || err != nil {
		t.Fatalf("Get: %q, %v", v, err)
	}
	if _, err := snap.Get([]byte("a")); !errs.Is(err, errs.NotFound) {
		t.Fatalf("Get of a deleted key: %v", err)
	}
	var keys []string
	for p, err := range snap.Scan([]byte("a"), nil) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, string(p.Key))
	}
	if !slices.Equal(keys, []string{"b", "c"}) || snap.Version() != 2 {
		t.Fatalf("keys %q, version %d", keys, snap.Version())
	}
	other, err := Space(t, e, 8).Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for p := range other.Scan(nil, nil) {
		t.Fatalf("another space holds %q", p.Key)
	}
}

func testSnapshot(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	s := Space(t, e, 1)
	put := func(expect engine.Version, value string) {
		var b engine.Batch
		b.Put([]byte("k"), []byte(value))
		if _, err := s.Commit(ctx, expect, &b); err != nil {
			t.Fatal(err)
		}
	}
	put(0, "old")
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	put(1, "new")
	if v, _ := snap.Get([]byte("k")); string(v) != "old" || snap.Version() != 1 {
		t.Fatalf("the snapshot changed: %q at %d", v, snap.Version())
	}
	snap.Close()
	n := 0
	for _, err := range snap.Scan(nil, nil) {
		if n++; err == nil {
			t.Fatal("a closed snapshot yields rows")
		}
	}
	if n != 1 {
		t.Fatal("a closed snapshot yields nothing, not an error")
	}
}

func testBlobs(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	s := Space(t, e, 1)
	octets := []byte("hello, blob")
	id, w := MakeBlob(t, e, octets, []byte("sum"))
	if got, err := ReadBlob(e, id); !bytes.Equal(got, octets) || err != nil {
		t.Fatalf("sealed: %q, %v", got, err)
	}
	if got, err := e.Blobs().Summary(ctx, id); string(got) != "sum" || err != nil {
		t.Fatalf("summary: %q, %v", got, err)
	}
	var keep engine.Batch
	keep.Keep(id)
	keep.Keep(id)
	if _, err := s.Commit(ctx, 0, &keep); err != nil {
		t.Fatal(err)
	}
	w.Release()
	w.Release()
	open, err := e.Blobs().Open(ctx, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	part := make([]byte, 4)
	if n, err := open.ReadAt(part, 7); n != 4 || string(part) != "blob" || err != nil {
		t.Fatalf("ReadAt: %q, %d, %v", part, n, err)
	}
	if n, err := open.ReadAt(part, 9); n != 2 || err != io.EOF {
		t.Fatalf("ReadAt over the end: %d, %v", n, err)
	}
	var drop engine.Batch
	drop.Drop(id)
	if _, err := s.Commit(ctx, 1, &drop); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadBlob(e, id); !bytes.Equal(got, octets) || err != nil {
		t.Fatalf("dropped once of two: %q, %v", got, err)
	}
	if _, err := e.Blobs().Open(ctx, 0, 0); !errs.Is(err, errs.NotFound) {
		t.Fatalf("blob 0: %v", err)
	}
	w2, err := e.Blobs().Create(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w2.Write([]byte("thrown away"))
	w2.Release()
	empty, w3 := MakeBlob(t, e, nil, nil)
	defer w3.Release()
	if got, err := ReadBlob(e, empty); len(got) != 0 || err != nil {
		t.Fatalf("empty blob: %q, %v", got, err)
	}
}

func testLargeBlob(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	for _, size := range []int{64<<10 - 1, 64 << 10, 64<<10 + 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 5<<20 + 17} {
		octets := make([]byte, size)
		rng := rand.New(rand.NewPCG(uint64(size), 0))
		for i := range octets {
			octets[i] = byte(rng.Uint32())
		}
		id, w := MakeBlob(t, e, octets, []byte("large"))
		var b engine.Batch
		b.Keep(id)
		if _, err := Space(t, e, engine.SpaceID(size)).Commit(ctx, 0, &b); err != nil {
			t.Fatal(err)
		}
		w.Release()
		if got, err := ReadBlob(e, id); !bytes.Equal(got, octets) || err != nil {
			t.Fatalf("blob of %d octets: %d, %v", size, len(got), err)
		}
		open, err := e.Blobs().Open(ctx, id, int64(size))
		if err != nil {
			t.Fatal(err)
		}
		for range 50 {
			off := rng.IntN(size)
			p := make([]byte, rng.IntN(200_000))
			n, err := open.ReadAt(p, int64(off))
			want := octets[off:min(size, off+len(p))]
			if !bytes.Equal(p[:n], want) || (err != nil) != (len(want) < len(p)) {
				t.Fatalf("ReadAt %d at %d of %d: %d, %v", len(p), off, size, n, err)
			}
		}
		open.Close()
		if sum, err := e.Blobs().Summary(ctx, id); string(sum) != "large" || err != nil {
			t.Fatalf("summary: %q, %v", sum, err)
		}
	}
}

// testSummaries reads summaries of blobs of all sizes, some of which no commit
// kept, in their order and in none, while others are written.
func testSummaries(t *testing.T, e engine.Engine) {
	ctx := context.Background()
	s := Space(t, e, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	r := e.Blobs().Summaries()
	defer r.Close()
	want := map[engine.BlobID][]byte{}
	var ids []engine.BlobID
	check := func(id engine.BlobID) {
		t.Helper()
		checkWithBlob(t, e, id, want[id])
		if got, err := r.Read(ctx, id); err != nil || !bytes.Equal(got, want[id]) {
			t.Fatalf("summary of %d octets of blob %x: %d octets, %v", len(want[id]), id, len(got), err)
		}
	}
	for round := range 30 {
		var b engine.Batch
		for range 10 {
			size, summary := rng.IntN(1+1<<rng.IntN(18)), make([]byte, rng.IntN(1+1<<rng.IntN(13)))
			if round == 7 { // large ones
				size, summary = 1<<20+rng.IntN(2), make([]byte, rng.IntN(200_000))
			}
			for i := range summary {
				summary[i] = byte(rng.Uint32())
			}
			id, w := MakeBlob(t, e, make([]byte, size), summary)
			ids, want[id] = append(ids, id), summary
			defer w.Release()
			if rng.IntN(10) > 0 {
				b.Keep(id)
			}
			check(id)
			check(ids[rng.IntN(len(ids))])
		}
		if _, err := s.Commit(ctx, engine.Version(round), &b); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			check(id)
		}
	}
	if _, err := r.Read(ctx, 0); !errs.Is(err, errs.NotFound) {
		t.Fatalf("blob 0: %v", err)
	}
}

// checkWithBlob: an open blob has its summary, or none of it. A short one comes with
// any blob but a large one: else nobody would gain by asking for it.
func checkWithBlob(t *testing.T, e engine.Engine, id engine.BlobID, summary []byte) {
	t.Helper()
	b, err := e.Blobs().Open(context.Background(), id, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got := b.Summary()
	if got == nil && len(summary) > 0 && len(summary) < 1500 && b.Size() < 1<<20 {
		t.Errorf("blob %x is open without its summary of %d octets", id, len(summary))
	}
	if got != nil && !bytes.Equal(got, summary) {
		t.Errorf("blob %x is open with another summary, of %d octets", id, len(got))
	}
}

func testPipelined(t *testing.T, e engine.Engine) {
	s := Space(t, e, 1)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var bad []error
	for i := range 50 {
		for done := make(chan struct{}); ; {
			wg.Go(func() {
				var b engine.Batch
				b.Put(fmt.Appendf(nil, "k%02d", i), []byte("v"))
				if i > 0 {
					b.Delete(fmt.Appendf(nil, "k%02d", i-1))
				}
				_, err := s.Commit(context.Background(), engine.Version(i), &b)
				for errs.Is(err, errs.Conflict) { // the one before is not yet issued
					_, err = s.Commit(context.Background(), engine.Version(i), &b)
				}
				if err != nil {
					mu.Lock()
					bad = append(bad, err)
					mu.Unlock()
				}
				close(done)
			})
			break
		}
	}
	wg.Wait()
	if len(bad) > 0 {
		t.Fatal(bad[0])
	}
	snap, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	n := 0
	for p := range snap.Scan(nil, nil) {
		if n++; string(p.Key) != "k49" {
			t.Fatalf("key %q", p.Key)
		}
	}
	if n != 1 || snap.Version() != 50 {
		t.Fatalf("%d keys at version %d", n, snap.Version())
	}
}

func testConcurrent(t *testing.T, e engine.Engine) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			s := Space(t, e, engine.SpaceID(w+1))
			for i := range 40 {
				octets := bytes.Repeat(fmt.Appendf(nil, "%d-%d ", w, i), 500)
				id, bw := MakeBlob(t, e, octets, nil)
				var b engine.Batch
				b.Keep(id)
				b.Put(fmt.Appendf(nil, "%03d", i), fmt.Appendf(nil, "%d", id))
				if _, err := s.Commit(context.Background(), engine.Version(i), &b); err != nil {
					t.Error(err)
					return
				}
				bw.Release()
				if got, err := ReadBlob(e, id); !bytes.Equal(got, octets) || err != nil {
					t.Errorf("blob %d: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}

// testAgrees applies random commits to the engine and to the reference.
func testAgrees(t *testing.T, e engine.Engine) {
	ref := mem.New()
	rng := rand.New(rand.NewPCG(1, 2))
	key := func() []byte { return fmt.Appendf(nil, "%c%d", 'a'+rng.IntN(3), rng.IntN(30)) }
	versions := map[engine.SpaceID]engine.Version{}
	for range 400 {
		id := engine.SpaceID(1 + rng.IntN(4))
		var b engine.Batch
		for range rng.IntN(8) {
			switch rng.IntN(5) {
			case 0:
				b.Delete(key())
			case 1:
				from, to := key(), key()
				if bytes.Compare(from, to) < 0 {
					b.DeleteRange(from, to)
				}
			default:
				b.Put(key(), fmt.Appendf(nil, "%d", rng.Uint64()))
			}
		}
		expect := versions[id]
		if rng.IntN(10) == 0 {
			expect += engine.Version(rng.IntN(3))
		}
		_, err1 := Space(t, ref, id).Commit(context.Background(), expect, &b)
		_, err2 := Space(t, e, id).Commit(context.Background(), expect, &b)
		if (err1 == nil) != (err2 == nil) || errs.KindOf(err1) != errs.KindOf(err2) {
			t.Fatalf("commit: %v and %v", err1, err2)
		}
		if err1 == nil {
			versions[id]++
		}
	}
	if a, b := Dump(t, ref), Dump(t, e); a != b {
		t.Fatalf("the reference has\n%s\nthis engine\n%s", a, b)
	}
}

func testClosed(t *testing.T, e engine.Engine) {
	s := Space(t, e, 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	var b engine.Batch
	if _, err := s.Commit(context.Background(), 0, &b); !errs.Is(err, errs.Temporary) {
		t.Fatalf("commit after Close: %v", err)
	}
	if _, err := s.Snapshot(); err == nil {
		t.Fatal("snapshot after Close")
	}
}
