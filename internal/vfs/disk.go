package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Disk is the operating system's file system. Files are made with mode 0600
// and directories with 0700.
type Disk struct {
	// ReadOnly refuses every change. SyncDir does nothing then.
	ReadOnly bool
}

// refuse returns an error for a change of a file system that is for reading.
func (d Disk) refuse(op, name string) error {
	if d.ReadOnly {
		return &fs.PathError{Op: op, Path: name, Err: unix.EROFS}
	}
	return nil
}

type diskFile struct{ *os.File }

func (d Disk) Create(name string) (File, error) {
	if err := d.refuse("create", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d Disk) Open(name string) (File, error) {
	flag := os.O_RDWR
	if d.ReadOnly {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

func (d Disk) Remove(name string) error {
	if err := d.refuse("remove", name); err != nil {
		return err
	}
	return os.Remove(name)
}

func (d Disk) RemoveAll(name string) error {
	if err := d.refuse("remove", name); err != nil {
		return err
	}
	return os.RemoveAll(name)
}

func (d Disk) Rename(from, to string) error {
	if err := d.refuse("rename", from); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// MkdirAll makes the names of what it makes durable, too.
func (d Disk) MkdirAll(dir string) error {
	info, err := os.Stat(dir)
	if err == nil && info.IsDir() {
		return nil
	}
	if err := d.refuse("mkdir", dir); err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return d.SyncDir(parent)
}

func (Disk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (d Disk) SyncDir(dir string) error {
	if d.ReadOnly {
		return nil
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (d Disk) Lock(name string) (io.Closer, error) {
	if err := d.refuse("lock", name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = &fs.PathError{Op: "lock", Path: name, Err: fs.ErrExist}
		}
		return nil, err
	}
	return f, nil
}

func (d Disk) Allocate(name string, octets int64) error {
	file, err := d.Create(name)
	if err != nil {
		return err
	}
	f := file.(diskFile)
	err = unix.Fallocate(int(f.Fd()), 0, 0, octets)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}

func (Disk) Free(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * s.Bsize, nil
}

func (f diskFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (f diskFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
