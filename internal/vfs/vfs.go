// Package vfs is the only way to files that hold mail: the disk, a strict
// memory file system that forgets what was not synced when it crashes, and one
// that fails on demand.
package vfs

import "io"

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
