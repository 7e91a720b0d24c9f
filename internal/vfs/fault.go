package vfs

import "sync/atomic"

// Op names a call that Fault can make fail.
type Op uint8

const (
	OpCreate Op = iota
	OpWrite
	OpSync
	OpSyncDir
	OpRename
	OpRemove
	OpTruncate
	OpRead
)

// Fault passes calls on to FS unless Fail returns an error for one. Fail gets
// the call's number, counted from 1 over all operations.
type Fault struct {
	FS
	Fail  func(op Op, n int64) error
	calls atomic.Int64
}

// Calls returns how many calls there were.
func (f *Fault) Calls() int64 { return f.calls.Load() }

func (f *Fault) fail(op Op) error {
	n := f.calls.Add(1)
	if f.Fail == nil {
		return nil
	}
	return f.Fail(op, n)
}

func (f *Fault) Create(name string) (File, error) {
	if err := f.fail(OpCreate); err != nil {
		return nil, err
	}
	return f.wrap(f.FS.Create(name))
}

func (f *Fault) Open(name string) (File, error) { return f.wrap(f.FS.Open(name)) }

func (f *Fault) wrap(file File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return faultFile{file, f}, nil
}

func (f *Fault) Remove(name string) error {
	if err := f.fail(OpRemove); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f *Fault) Rename(from, to string) error {
	if err := f.fail(OpRename); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

func (f *Fault) Allocate(name string, octets int64) error {
	if err := f.fail(OpCreate); err != nil {
		return err
	}
	return f.FS.Allocate(name, octets)
}

func (f *Fault) SyncDir(dir string) error {
	if err := f.fail(OpSyncDir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

type faultFile struct {
	File
	f *Fault
}

// WriteAt fails after half of the octets were written, as a disk may.
func (f faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.f.fail(OpWrite); err != nil {
		n, _ := f.File.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f faultFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.f.fail(OpRead); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f faultFile) Sync() error {
	if err := f.f.fail(OpSync); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f faultFile) Truncate(size int64) error {
	if err := f.f.fail(OpTruncate); err != nil {
		return err
	}
	return f.File.Truncate(size)
}
