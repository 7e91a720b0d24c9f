package warm

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/angarium/angarium/internal/vfs"
)

// blocks are some of different lengths.
func blocks() (all [][]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 1+rng.IntN(300))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		all = append(all, b)
	}
	return all
}

func load(f File, n Note, version uint64) (got [][]byte) {
	for b := range f.Load(n, version) {
		got = append(got, b)
	}
	return got
}

// TestFile: what was saved is loaded, once, by who names the stop and has the version.
func TestFile(t *testing.T) {
	f, n, all := File{vfs.NewMem(), "folder/warm"}, NewNote(), blocks()
	for _, c := range []struct {
		what    string
		note    Note
		version uint64
		want    bool
	}{
		{"of the last stop", n, 7, true},
		{"of another stop", NewNote(), 7, false},
		{"no note", nil, 7, false},
		{"of another version", n, 8, false},
	} {
		if err := f.Save(n, 7, slices.Values(all)); err != nil {
			t.Fatal(err)
		}
		got := load(f, c.note, c.version)
		if c.want != slices.EqualFunc(got, all, bytes.Equal) || !c.want && got != nil {
			t.Errorf("%s: %d blocks", c.what, len(got))
		}
		if _, err := f.FS.Open(f.Name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file is still there: %v", c.what, err)
		}
	}
	if got := load(f, n, 7); got != nil {
		t.Errorf("%d blocks of no file", len(got))
	}
	if err := (File{}).Save(n, 7, slices.Values(all)); err != nil || load(File{}, n, 7) != nil {
		t.Error("a file without a name:", err)
	}
}

// TestDamaged: a file that is damaged ends before the damage.
func TestDamaged(t *testing.T) {
	f, n, all := File{vfs.NewMem(), "warm"}, NewNote(), blocks()
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		if err := f.Save(n, 7, slices.Values(all)); err != nil {
			t.Fatal(err)
		}
		file, err := f.FS.Open("warm")
		if err != nil {
			t.Fatal(err)
		}
		size, _ := file.Size()
		at := rng.Int64N(size)
		if rng.IntN(4) == 0 {
			file.Truncate(at)
		} else {
			b := make([]byte, 1)
			file.ReadAt(b, at)
			file.WriteAt([]byte{b[0] ^ byte(1+rng.IntN(255))}, at)
		}
		whole := 0
		for end := int64(headOctets + len(first(n, 7))); whole < len(all); whole++ {
			if end += int64(headOctets + len(all[whole])); end > at {
				break
			}
		}
		got := load(f, n, 7)
		if at < int64(headOctets+len(first(n, 7))) {
			whole = 0
		}
		if !slices.EqualFunc(got, all[:whole], bytes.Equal) {
			t.Fatalf("damaged at %d of %d: %d blocks, not %d", at, size, len(got), whole)
		}
	}
}

// TestHostile: a length that cannot be takes no memory.
func TestHostile(t *testing.T) {
	fsys := vfs.NewMem()
	file, err := fsys.Create("warm")
	if err != nil {
		t.Fatal(err)
	}
	file.WriteAt([]byte("\xff\xff\xff\x7fsumsandmore"), 0)
	size, _ := file.Size()
	if n := testing.AllocsPerRun(1, func() { (&reader{file: file, size: size}).next() }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// TestSaveFails: an error is told, and what was written before is good.
func TestSaveFails(t *testing.T) {
	n, all := NewNote(), blocks()
	for failing := range int64(20) {
		fault := &vfs.Fault{FS: vfs.NewMem()}
		fault.Fail = func(_ vfs.Op, call int64) error {
			if call == failing+1 {
				return syscall.ENOSPC
			}
			return nil
		}
		f := File{fault, "warm"}
		if err := f.Save(n, 7, slices.Values(all)); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("call %d failed, and Save said %v", failing+1, err)
		}
		fault.Fail = nil
		if got := load(f, n, 7); len(got) > len(all) || !slices.EqualFunc(got, all[:len(got)], bytes.Equal) {
			t.Errorf("call %d failed: %d blocks", failing+1, len(got))
		}
	}
}

// FuzzLoad: whatever is in a file, no block is larger than it.
func FuzzLoad(f *testing.F) {
	w := File{vfs.NewMem(), "warm"}
	n := make(Note, noteOctets)
	w.Save(n, 7, slices.Values([][]byte{[]byte("one"), []byte("two")}))
	b, _ := vfs.ReadWhole(w.FS, "warm")
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		w := File{vfs.NewMem(), "warm"}
		file, err := w.FS.Create("warm")
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt(b, 0)
		total := 0
		for block := range w.Load(n, 7) {
			total += len(block) + headOctets
		}
		if total > len(b) {
			t.Errorf("%d octets of blocks in %d", total, len(b))
		}
	})
}
