package vfs

import (
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// sector is what a disk writes whole.
const sector = 512

// Mem is a strict file system in memory: CrashClone keeps only what was
// synced, and by chance some of what was not.
//
// Invariants:
//  1. A node's synced octets are those of its last Sync.
//  2. durable maps the names of the last SyncDir of each directory; a name
//     that is not in it may be lost.
type Mem struct {
	mu struct {
		sync.Mutex
		names   map[string]*memNode
		durable map[string]*memNode
		dirs    map[string]bool
		locks   map[string]bool
	}
}

type memNode struct {
	mu     sync.RWMutex
	data   []byte
	synced []byte
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	m := &Mem{}
	m.mu.names, m.mu.durable = map[string]*memNode{}, map[string]*memNode{}
	m.mu.dirs, m.mu.locks = map[string]bool{}, map[string]bool{}
	return m
}

// CrashClone returns the file system as a power cut now could leave it.
// Unsynced names and sectors survive each with probability keep.
func (m *Mem) CrashClone(rng *rand.Rand, keep float64) *Mem {
	return m.Crash(func() bool { return rng.Float64() < keep })
}

// Crash returns the file system as a power cut now could leave it. survives is
// asked for each unsynced name, size and sector, in an order that depends on
// what was written alone.
func (m *Mem) Crash(survives func() bool) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.mu.dirs = m.mu.dirs
	clones := map[*memNode]*memNode{}
	clone := func(n *memNode) *memNode {
		if clones[n] == nil {
			clones[n] = n.crash(survives)
		}
		return clones[n]
	}
	for _, name := range slices.Sorted(mapsKeys(m.mu.durable, m.mu.names)) {
		was, is := m.mu.durable[name], m.mu.names[name]
		if was != is && survives() {
			was = is
		}
		if was != nil {
			c.mu.names[name], c.mu.durable[name] = clone(was), clone(was)
		}
	}
	return c
}

// mapsKeys yields each key of a or b once.
func mapsKeys(a, b map[string]*memNode) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range a {
			if !yield(k) {
				return
			}
		}
		for k := range b {
			if _, ok := a[k]; !ok && !yield(k) {
				return
			}
		}
	}
}

// crash returns the node with each unsynced sector kept or lost.
func (n *memNode) crash(survives func() bool) *memNode {
	n.mu.RLock()
	defer n.mu.RUnlock()
	size := len(n.synced)
	if len(n.data) != size && survives() {
		size = len(n.data)
	}
	out := make([]byte, size)
	copy(out, n.synced)
	for at := 0; at < size; at += sector {
		end := min(at+sector, size)
		if at < len(n.data) && !slices.Equal(out[at:end], n.data[at:min(end, len(n.data))]) && survives() {
			copy(out[at:end], n.data[at:])
		}
	}
	return &memNode{data: out, synced: slices.Clone(out)}
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.names[name] != nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	n := &memNode{}
	m.mu.names[name] = n
	return &memFile{n: n}, nil
}

func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.mu.names[name]
	if n == nil {
		return nil, pathError("open", name, fs.ErrNotExist)
	}
	return &memFile{n: n}, nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.names[name] == nil {
		return pathError("remove", name, fs.ErrNotExist)
	}
	delete(m.mu.names, name)
	return nil
}

func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.mu.names {
		if k == name || strings.HasPrefix(k, name+"/") {
			delete(m.mu.names, k)
		}
	}
	return nil
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.mu.names[from]
	if n == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	delete(m.mu.names, from)
	m.mu.names[to] = n
	return nil
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for k := range m.mu.names {
		if path.Dir(k) == dir {
			names = append(names, path.Base(k))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.dirs[dir] = true
	return nil
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.mu.durable {
		if path.Dir(k) == dir && m.mu.names[k] == nil {
			delete(m.mu.durable, k)
		}
	}
	for k, n := range m.mu.names {
		if path.Dir(k) == dir {
			m.mu.durable[k] = n
		}
	}
	return nil
}

type unlocker func()

func (u unlocker) Close() error { u(); return nil }

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.locks[name] {
		return nil, pathError("lock", name, fs.ErrExist)
	}
	m.mu.locks[name] = true
	return unlocker(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.mu.locks, name)
	}), nil
}

func (m *Mem) Allocate(name string, octets int64) error {
	_, err := m.Create(name)
	return err
}

func (m *Mem) Free(string) (int64, error) { return math.MaxInt64, nil }

// memFile is an open file. One that is closed fails, as a disk's does.
type memFile struct {
	n      *memNode
	closed atomic.Bool
}

func (f *memFile) usable(op string) error {
	if f.closed.Load() {
		return pathError(op, "", fs.ErrClosed)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	f.n.mu.RLock()
	defer f.n.mu.RUnlock()
	if len(p) == 0 {
		return 0, nil // as a disk does, also at the end
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if need := int(off) + len(p); need > len(f.n.data) {
		f.n.data = append(f.n.data, make([]byte, need-len(f.n.data))...)
	}
	return copy(f.n.data[off:], p), nil
}

func (f *memFile) Sync() error {
	if err := f.usable("sync"); err != nil {
		return err
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	f.n.synced = slices.Clone(f.n.data)
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.usable("stat"); err != nil {
		return 0, err
	}
	f.n.mu.RLock()
	defer f.n.mu.RUnlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.usable("truncate"); err != nil {
		return err
	}
	f.n.mu.Lock()
	defer f.n.mu.Unlock()
	if size < int64(len(f.n.data)) {
		f.n.data = f.n.data[:size:size]
	}
	return nil
}

func (f *memFile) Close() error {
	f.closed.Store(true)
	return nil
}
