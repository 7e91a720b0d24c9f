package search

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// TestRuns: whatever the order in which messages were indexed, each of them is found in
// its block, and others are not, also after a start; an index that was published stays as
// it was.
func TestRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	build := newBuilder(1000)
	for range 20 {
		a, known := &accountIndex{}, map[docKey]doc{}
		var octets []byte
		var before []*accountIndex
		next := engine.BlobID(1000)
		for n := range uint32(1 + rng.IntN(40)) {
			keys := make([]docKey, 1+rng.IntN(8))
			for i := range keys {
				next++
				keys[i] = docKey{next, rng.Uint32()}
				if rng.IntN(3) == 0 { // of a mailbox that was indexed later, or of another time
					keys[i].blob = engine.BlobID(rng.IntN(1000))
				}
				if _, dup := known[keys[i]]; dup {
					keys[i] = docKey{next, 7}
				}
				known[keys[i]] = doc{keys[i], n, uint32(i)}
				build.end(keys[i])
			}
			octets = append(octets, build.encode()...)
			before = append(before, a)
			a = a.with(nil, keys, 0)
		}
		opened, err := readAccount(newIndexFile(fileOf(t, vfs.NewMem(), "1.idx", octets)))
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range known {
			for name, a := range map[string]*accountIndex{"extended": a, "opened": opened} {
				if rest := a.find(key); len(rest) == 0 || rest[0] != want {
					t.Fatalf("%s: %v is in %v, want %v", name, key, rest, want)
				}
			}
			if rest := a.find(docKey{key.blob, key.size + 1}); len(rest) > 0 && known[rest[0].docKey].size != key.size+1 {
				t.Fatalf("%v found for another size", rest[0])
			}
			for n, a := range before {
				if found := len(a.find(key)) > 0; found != (want.block < uint32(n)) {
					t.Fatalf("with %d blocks: %v found: %v", n, want, found)
				}
			}
		}
		for i := 1; i < len(a.runs); i++ {
			if len(a.runs[i-1]) < 2*len(a.runs[i]) {
				t.Fatalf("a run of %d messages before one of %d", len(a.runs[i-1]), len(a.runs[i]))
			}
		}
		if a.len() != len(known) {
			t.Fatalf("%d messages, want %d", a.len(), len(known))
		}
	}
}

// fileOf makes a file of these octets.
func fileOf(t testing.TB, fsys *vfs.Mem, name string, octets []byte) vfs.File {
	t.Helper()
	f, err := fsys.Create(name)
	if err == nil {
		_, err = f.WriteAt(octets, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestEach: a message is told from another one that had its blob before the store was put
// back to an earlier time.
func TestEach(t *testing.T) {
	_, list := openWith(t, randomMessages(rand.New(rand.NewPCG(5, 6)), 30))
	var others, keys []docKey
	for _, m := range list.Range(0, list.Len()) {
		key := keyOf(m)
		others, keys = append(others, docKey{key.blob, key.size - 1}, docKey{key.blob, key.size + 1}), append(keys, key)
	}
	for _, known := range []int{0, 1, len(keys)} { // the first so many have their own
		a := (&accountIndex{}).with(nil, slices.Concat(others, keys[:known]), 0)
		a.each(list, func(i int, _ *store.Message, d *doc) {
			if (d != nil) != (i < known) || d != nil && d.docKey != keys[i] {
				t.Errorf("%d known, message %d: %v, want %v", known, i, d, keys[i])
			}
		})
	}
}

// blocksOf returns the octets of n blocks of one message each.
func blocksOf(n int) (octets []byte) {
	b := newBuilder(1000)
	for i := range n {
		b.add([]byte("text"))
		b.end(docKey{engine.BlobID(i + 1), 1})
		octets = append(octets, b.encode()...)
	}
	return octets
}

// allocated returns how many octets a function allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestOpenIsLinear: to open an index, and to add to it, takes memory for what is there,
// not once more for each block.
func TestOpenIsLinear(t *testing.T) {
	open := func(n int) uint64 {
		f := fileOf(t, vfs.NewMem(), "1.idx", blocksOf(n))
		return allocated(func() {
			if a, err := readAccount(newIndexFile(f)); err != nil || a.len() != n {
				t.Fatal(a, err)
			}
		})
	}
	extend := func(n int) uint64 {
		keys := make([]docKey, 256)
		return allocated(func() {
			a := &accountIndex{}
			for i := range n {
				for j := range keys {
					keys[j].blob = engine.BlobID(j*n + i)
				}
				a = a.with(nil, keys, 0)
			}
		})
	}
	for name, f := range map[string]func(n int) uint64{"open": open, "extend": extend} {
		if half, whole := f(200), f(400); whole > 3*half {
			t.Errorf("%s: %d octets for 200 blocks, %d for 400", name, half, whole)
		}
	}
}

// gate is a file system in which one file is opened when it is told.
type gate struct {
	vfs.FS
	name          string
	reached, open chan struct{}
}

func (g *gate) Open(name string) (vfs.File, error) {
	if name == g.name {
		close(g.reached)
		<-g.open
	}
	return g.FS.Open(name)
}

// TestOpenAlone: who wants another account's index does not wait while one is opened, and
// what is forgotten meanwhile does not come back.
func TestOpenAlone(t *testing.T) {
	fsys := vfs.NewMem()
	fileOf(t, fsys, "1.idx", blocksOf(2))
	fileOf(t, fsys, "2.idx", blocksOf(2))
	g := &gate{fsys, "1.idx", make(chan struct{}), make(chan struct{})}
	x := &Index{fs: g, accounts: map[store.AccountID]*entry{}}
	slow := make(chan *accountIndex)
	go func() { slow <- x.account(1) }()
	<-g.reached
	if a := x.account(2); a == nil || a.len() != 2 {
		t.Error("the other account's index was not opened")
	}
	x.Forget(1)
	close(g.open)
	if <-slow; x.accounts[1] != nil {
		t.Error("an index is known that was forgotten")
	}
	if x.account(2) == nil {
		t.Error("the other account's index is gone")
	}
}

// TestOpenUnlikely: of what is found in the place of an index, only what is damaged is
// removed, and not what was made meanwhile.
func TestOpenUnlikely(t *testing.T) {
	there := func(fsys vfs.FS) bool {
		_, err := fsys.Open("1.idx")
		return err == nil
	}
	for name, test := range map[string]struct {
		octets []byte
		stays  bool
	}{"empty": {nil, true}, "damaged": {make([]byte, 100), false}} {
		fsys := vfs.NewMem()
		fileOf(t, fsys, "1.idx", test.octets)
		x := &Index{fs: fsys, accounts: map[store.AccountID]*entry{}}
		if a := x.account(1); a != nil || there(fsys) != test.stays {
			t.Errorf("%s: index %v, the file is there: %v", name, a, there(fsys))
		}
	}
	fsys := vfs.NewMem()
	fileOf(t, fsys, "1.idx", make([]byte, 100))
	g := &gate{fsys, "1.idx", make(chan struct{}), make(chan struct{})}
	x := &Index{fs: g, accounts: map[store.AccountID]*entry{}}
	slow := make(chan *accountIndex)
	go func() { slow <- x.account(1) }()
	<-g.reached
	x.mu.Lock()
	x.accounts[1] = opened(&accountIndex{})
	x.mu.Unlock()
	close(g.open)
	if a := <-slow; a != nil || x.account(1) == nil || !there(fsys) {
		t.Errorf("a damaged index %v was opened, and another one was lost", a)
	}
}

// BenchmarkOpen is what the first search in an account after a start waits for: 200,000
// messages in 100 blocks.
func BenchmarkOpen(b *testing.B) {
	build := newBuilder(1000)
	fsys := vfs.NewMem()
	f, err := fsys.Create("1.idx")
	if err != nil {
		b.Fatal(err)
	}
	for n, at := 0, int64(0); n < 100; n++ {
		for i := range 2000 {
			build.add([]byte("text"))
			build.end(docKey{engine.BlobID(n*2000 + i + 1), 1})
		}
		octets := build.encode()
		if _, err := f.WriteAt(octets, at); err != nil {
			b.Fatal(err)
		}
		at += int64(len(octets))
	}
	x := &Index{fs: fsys}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.open(1); err != nil {
			b.Fatal(err)
		}
	}
}
