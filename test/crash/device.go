package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// sector is what a disk writes whole. Where an ext4 has its superblock it is
// the two sectors of that: ext4 reads it before its journal, which would mend
// it, so that half a superblock does not mount before somebody ran e2fsck,
// whatever the server did.
const (
	sector      = 512
	superblock  = 1024 // the offset of it
	superOctets = 1024
)

// whole is how many octets from an offset on are written whole.
func whole(offset int64) int {
	if offset == superblock {
		return superOctets
	}
	return sector
}

// event is one write to the disk, or a flush when data is nil.
type event struct {
	offset int64
	data   []byte
}

// device is a disk that remembers every write and every flush, so that it can
// be made as it would be if the power had gone at any moment. It is served as
// the one file of a FUSE file system, under a loop device.
type device struct {
	base []byte // the disk when recording began
	mu   struct {
		sync.Mutex
		image []byte
		log   []event
	}
}

// position is how many events there were.
func (d *device) position() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mu.log)
}

func (d *device) flushes(from, to int) (n int) {
	for _, e := range d.mu.log[from:to] {
		if e.data == nil {
			n++
		}
	}
	return n
}

// cut returns the disk after the power went behind k events. What was flushed
// is there; each other sector by chance, so that writes are torn and reordered.
// A lying disk has flushed nothing since from.
func (d *device) cut(k int, keep float64, rng *rand.Rand, lying bool, from int) []byte {
	image := slices.Clone(d.base)
	flushed := 0
	for i := k - 1; i >= 0; i-- {
		if d.mu.log[i].data == nil && (!lying || i < from) {
			flushed = i
			break
		}
	}
	for i, e := range d.mu.log[:k] {
		for at := 0; at < len(e.data); {
			end := min(at+whole(e.offset+int64(at)), len(e.data))
			if i < flushed || rng.Float64() < keep {
				copy(image[e.offset+int64(at):], e.data[at:end])
			}
			at = end
		}
	}
	return image
}

// deviceFile is the disk as a file.
type deviceFile struct {
	fs.Inode
	d *device
}

var (
	_ fs.NodeOpener    = (*deviceFile)(nil)
	_ fs.NodeGetattrer = (*deviceFile)(nil)
	_ fs.NodeSetattrer = (*deviceFile)(nil)
	_ fs.NodeReader    = (*deviceFile)(nil)
	_ fs.NodeWriter    = (*deviceFile)(nil)
	_ fs.NodeFsyncer   = (*deviceFile)(nil)
)

func (f *deviceFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *deviceFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o600, uint64(len(f.d.base))
	return 0
}

func (f *deviceFile) Setattr(ctx context.Context, h fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return f.Getattr(ctx, h, out)
}

func (f *deviceFile) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	n := copy(dest, f.d.mu.image[min(off, int64(len(f.d.mu.image))):])
	return fuse.ReadResultData(dest[:n]), 0
}

func (f *deviceFile) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off+int64(len(data)) > int64(len(f.d.mu.image)) {
		return 0, syscall.ENOSPC
	}
	copy(f.d.mu.image[off:], data)
	f.d.mu.log = append(f.d.mu.log, event{off, slices.Clone(data)})
	return uint32(len(data)), 0
}

func (f *deviceFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.d.mu.log = append(f.d.mu.log, event{})
	return 0
}

// mounted is a device with a file system, in use.
type mounted struct {
	*device
	dir    string // where the file system is
	undo   []func() error
	server *fuse.Server
}

// canMount says why devices cannot be made here, or nothing.
func canMount(fsType string) string {
	if os.Geteuid() != 0 {
		return "it needs root"
	}
	for _, name := range []string{"/dev/fuse", "/dev/loop-control"} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err.Error()
		}
		f.Close()
	}
	for _, program := range []string{"mkfs." + fsType, "losetup", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return err.Error()
		}
	}
	return ""
}

func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// mountDevice makes a file system on a new device of some octets below dir.
func mountDevice(dir, fsType string, octets int64) (m *mounted, err error) {
	m = &mounted{device: &device{}, dir: filepath.Join(dir, "mnt")}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.base, err = makeImage(dir, fsType, octets); err != nil {
		return m, err
	}
	m.mu.image = slices.Clone(m.base)
	fuseDir := filepath.Join(dir, "fuse")
	for _, d := range []string{fuseDir, m.dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return m, err
		}
	}
	root := &fs.Inode{}
	timeout := time.Duration(0)
	m.server, err = fs.Mount(fuseDir, root, &fs.Options{EntryTimeout: &timeout, AttrTimeout: &timeout,
		MountOptions: fuse.MountOptions{DirectMountStrict: true, FsName: "angarium-crash"},
		OnAdd: func(ctx context.Context) {
			root.AddChild("disk", root.NewPersistentInode(ctx, &deviceFile{d: m.device}, fs.StableAttr{Mode: syscall.S_IFREG}), false)
		}})
	if err != nil {
		return m, err
	}
	m.undo = append(m.undo, m.server.Unmount)
	loop, err := command("losetup", "--find", "--show", "--direct-io=on", filepath.Join(fuseDir, "disk"))
	if err != nil {
		return m, err
	}
	m.undo = append(m.undo, func() error { _, err := command("losetup", "--detach", loop); return err })
	if _, err = command("mount", "-t", fsType, loop, m.dir); err != nil {
		return m, err
	}
	m.undo = append(m.undo, func() error { return unmount(m.dir) })
	return m, nil
}

// makeImage returns the octets of a new file system.
func makeImage(dir, fsType string, octets int64) ([]byte, error) {
	name := filepath.Join(dir, "new.img")
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	defer os.Remove(name)
	defer f.Close()
	if err := f.Truncate(octets); err != nil {
		return nil, err
	}
	args := []string{"-q", "-F", name}
	if fsType == "xfs" {
		args = []string{"-q", "-f", name}
	}
	if _, err := command("mkfs."+fsType, args...); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

func unmount(dir string) (err error) {
	for range 50 { // a process that was killed may still be leaving
		if _, err = command("umount", dir); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

// Close takes everything down, in order: the device must outlive its users.
func (m *mounted) Close() (err error) {
	for _, undo := range slices.Backward(m.undo) {
		err = errors.Join(err, undo())
	}
	m.undo = nil
	return err
}

// withImage mounts a copy of a disk and calls fn with where it is.
func withImage(dir, fsType string, image []byte, fn func(mnt string) error) (err error) {
	name, mnt := filepath.Join(dir, "cut.img"), filepath.Join(dir, "cut")
	if err := os.WriteFile(name, image, 0o600); err != nil {
		return err
	}
	defer os.Remove(name)
	if err := os.MkdirAll(mnt, 0o700); err != nil {
		return err
	}
	if _, err := command("mount", "-t", fsType, "-o", "loop", name, mnt); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmount(mnt)) }()
	return fn(mnt)
}
