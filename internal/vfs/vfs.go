// Package vfs is the only way to files that hold mail: the disk, a strict
// memory file system that forgets what was not synced when it crashes, and one
// that fails on demand.
package vfs

import (
	"io"
	"path"
)

// FS is a file system. Names are paths with slashes. Errors satisfy errors.Is
// with io/fs's values. Safe for concurrent use.
type FS interface {
	// Create makes a new file, which must not exist, for reading and writing.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	Remove(name string) error
	RemoveAll(name string) error
	Rename(from, to string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	MkdirAll(dir string) error
	// SyncDir makes the directory's entries durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, made if absent, until it is
	// closed. It fails at once with fs.ErrExist when another process has it.
	Lock(name string) (io.Closer, error)
	// Allocate makes a file of some octets whose space is taken on the disk.
	Allocate(name string, octets int64) error
	// Free returns the octets that can still be written below dir.
	Free(dir string) (int64, error)
}

// File is an open file. Safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's octets and size durable (fdatasync).
	Sync() error
	Size() (int64, error)
	Truncate(size int64) error
}

// WriteWhole makes a file durable under its name, in the place of one that is
// there, or leaves that as it is.
func WriteWhole(fsys FS, name string, b []byte) error {
	tmp := name + ".new"
	if err := fsys.RemoveAll(tmp); err != nil {
		return err
	}
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if serr := f.Sync(); err == nil {
		err = serr
	}
	f.Close()
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err == nil {
		err = fsys.SyncDir(path.Dir(name))
	}
	return err
}

// ReadWhole returns what is in a file.
func ReadWhole(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}
