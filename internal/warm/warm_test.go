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

func load(f *Folder, version uint64) (got [][]byte) {
	for b := range f.Load("file", version) {
		got = append(got, b)
	}
	return got
}

// folders are those of a run, and of the next one.
func folders(t *testing.T, fsys vfs.FS) (before, after *Folder) {
	failed := func(err error) { t.Error(err) }
	before = NewFolder(fsys, "warm", nil, failed)
	return before, NewFolder(fsys, "warm", before.Note(), failed)
}

// TestFolder: what was saved is loaded, once, by who has the note and the version.
func TestFolder(t *testing.T) {
	fsys, all := vfs.NewMem(), blocks()
	before, after := folders(t, fsys)
	for _, c := range []struct {
		what    string
		f       *Folder
		version uint64
		want    bool
	}{
		{"of the last stop", after, 7, true},
		{"of another stop", NewFolder(fsys, "warm", after.Note(), nil), 7, false},
		{"no note", before, 7, false},
		{"of another version", after, 8, false},
	} {
		before.Save("file", 7, slices.Values(all))
		got := load(c.f, c.version)
		if c.want != slices.EqualFunc(got, all, bytes.Equal) || !c.want && got != nil {
			t.Errorf("%s: %d blocks", c.what, len(got))
		}
		if _, err := fsys.Open("warm/file"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file is still there: %v", c.what, err)
		}
	}
	if got := load(after, 7); got != nil {
		t.Errorf("%d blocks of no file", len(got))
	}
	var none *Folder
	if none.Save("file", 7, slices.Values(all)); load(none, 7) != nil {
		t.Error("no folder has files")
	}
}

// TestDamaged: a file that is damaged ends before the damage.
func TestDamaged(t *testing.T) {
	fsys, all := vfs.NewMem(), blocks()
	before, after := folders(t, fsys)
	head := int64(headOctets + len(first(before.Note(), 7)))
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		before.Save("file", 7, slices.Values(all))
		file, err := fsys.Open("warm/file")
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
		for end := head; at >= head && whole < len(all); whole++ {
			if end += int64(headOctets + len(all[whole])); end > at {
				break
			}
		}
		if got := load(after, 7); !slices.EqualFunc(got, all[:whole], bytes.Equal) {
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

// TestSaveFails: a failure is told, and what was written before is good.
func TestSaveFails(t *testing.T) {
	all := blocks()
	for failing := range int64(20) {
		fault := &vfs.Fault{FS: vfs.NewMem()}
		fault.Fail = func(_ vfs.Op, call int64) error {
			if call == failing+1 {
				return syscall.ENOSPC
			}
			return nil
		}
		var told error
		before := NewFolder(fault, "warm", nil, func(err error) { told = err })
		if before.Save("file", 7, slices.Values(all)); !errors.Is(told, syscall.ENOSPC) {
			t.Errorf("call %d failed, and %v was told", failing+1, told)
		}
		fault.Fail = nil
		got := load(NewFolder(fault, "warm", before.Note(), nil), 7)
		if len(got) > len(all) || !slices.EqualFunc(got, all[:len(got)], bytes.Equal) {
			t.Errorf("call %d failed: %d blocks", failing+1, len(got))
		}
	}
}

// FuzzLoad: whatever is in a file, its blocks are not larger than it.
func FuzzLoad(f *testing.F) {
	note := make([]byte, noteOctets)
	put := func(fsys vfs.FS) *Folder { return &Folder{fs: fsys, dir: "warm", last: note, next: note} }
	w := put(vfs.NewMem())
	w.Save("file", 7, slices.Values([][]byte{[]byte("one"), []byte("two")}))
	b, err := vfs.ReadWhole(w.fs, "warm/file")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		w := put(vfs.NewMem())
		w.fs.MkdirAll("warm")
		file, err := w.fs.Create("warm/file")
		if err != nil {
			t.Fatal(err)
		}
		file.WriteAt(b, 0)
		total := 0
		for block := range w.Load("file", 7) {
			total += len(block) + headOctets
		}
		if total > len(b) {
			t.Errorf("%d octets of blocks in %d", total, len(b))
		}
	})
}
