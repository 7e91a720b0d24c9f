package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// TestContract holds both file systems to what FS promises.
func TestContract(t *testing.T) {
	for name, fsys := range map[string]FS{"disk": Disk{}, "mem": NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			ok := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			ok(fsys.MkdirAll(dir))
			ok(fsys.MkdirAll(dir))
			f, err := fsys.Create(dir + "/a")
			ok(err)
			if _, err := fsys.Create(dir + "/a"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create of what exists: %v", err)
			}
			if _, err := fsys.Open(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Open of nothing: %v", err)
			}
			_, err = f.WriteAt([]byte("hello"), 3)
			ok(err)
			ok(f.Sync())
			if n, err := f.Size(); n != 8 || err != nil {
				t.Error(n, err)
			}
			b := make([]byte, 10)
			if n, err := f.ReadAt(b, 0); n != 8 || err != io.EOF || string(b[:8]) != "\x00\x00\x00hello" {
				t.Errorf("%d %v %q", n, err, b)
			}
			ok(f.Truncate(4))
			if n, _ := f.Size(); n != 4 {
				t.Error(n)
			}
			ok(f.Close())
			ok(fsys.Rename(dir+"/a", dir+"/b"))
			ok(fsys.SyncDir(dir))
			if names, err := fsys.List(dir); err != nil || len(names) != 1 || names[0] != "b" {
				t.Error(names, err)
			}
			lock, err := fsys.Lock(dir + "/lock")
			ok(err)
			if _, err := fsys.Lock(dir + "/lock"); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a second lock: %v", err)
			}
			ok(lock.Close())
			lock, err = fsys.Lock(dir + "/lock")
			ok(err)
			lock.Close()
			ok(fsys.Remove(dir + "/b"))
			if err := fsys.Remove(dir + "/b"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Remove of nothing: %v", err)
			}
			if n, err := fsys.Free(dir); n <= 0 || err != nil {
				t.Error(n, err)
			}
			ok(fsys.RemoveAll(dir))
			ok(fsys.RemoveAll(dir))
		})
	}
}

// TestWriteWhole: whatever fails, and after a crash, there is what was there or
// what is new, and when it succeeded that.
func TestWriteWhole(t *testing.T) {
	for failing := int64(0); failing < 8; failing++ {
		m := NewMem()
		if err := WriteWhole(m, "a", []byte("old and longer")); err != nil {
			t.Fatal(err)
		}
		err := WriteWhole(&Fault{FS: m, Fail: func(_ Op, n int64) error {
			if n == failing {
				return errors.New("failed")
			}
			return nil
		}}, "a", []byte("new"))
		for seed := range uint64(20) {
			for _, fsys := range []FS{m, m.CrashClone(rand.New(rand.NewPCG(seed, 1)), 0.5)} {
				got, rerr := ReadWhole(fsys, "a")
				if rerr != nil || string(got) != "new" && (err == nil || string(got) != "old and longer") {
					t.Errorf("call %d failed (%v): %q, %v", failing, err, got, rerr)
				}
			}
		}
	}
}

// TestCrash: what was synced survives a crash whole, what was not may be there,
// be torn or be gone; names need a sync of their directory.
func TestCrash(t *testing.T) {
	m := NewMem()
	m.MkdirAll("d")
	m.SyncDir("d")
	f, err := m.Create("d/a")
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("synced"), 0)
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir("d"); err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte(" and not"), 6)
	m.Create("d/b") // its name is not synced
	lost, there := 0, 0
	for seed := range uint64(200) {
		c := m.CrashClone(rand.New(rand.NewPCG(seed, 1)), 0.5)
		g, err := c.Open("d/a")
		if err != nil {
			t.Fatal(err)
		}
		n, _ := g.Size()
		b := make([]byte, n)
		g.ReadAt(b, 0)
		if n < 6 || string(b[:6]) != "synced" {
			t.Fatalf("seed %d: what was synced is %q", seed, b)
		}
		if n < 14 {
			lost++
		}
		if _, err := c.Open("d/b"); err == nil {
			there++
		}
	}
	if lost == 0 || lost == 200 || there == 0 || there == 200 {
		t.Errorf("of 200 crashes %d lost the tail and %d kept the name: both must happen", lost, there)
	}
}
