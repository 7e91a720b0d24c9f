// Package cgroup makes control groups of the kernel, to run a server with
// little memory or on a slow disk: of version 1 where its controllers are
// mounted, else of version 2. It needs root.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const root = "/sys/fs/cgroup"

// Group is a control group with one limit.
type Group struct {
	dir string
	v2  bool
}

// Memory makes a group that may have some octets of memory, and no swap space
// beyond.
func Memory(name string, octets int64) (*Group, error) {
	limit := fmt.Sprint(octets)
	g, err := newGroup("memory", "memory", name)
	if err != nil {
		return nil, err
	}
	if g.v2 {
		err = g.set("memory.max", limit)
		g.set("memory.swap.max", "0") // there where the kernel accounts for swap space
	} else {
		err = g.set("memory.limit_in_bytes", limit)
		g.set("memory.memsw.limit_in_bytes", limit) // likewise
	}
	return g.or(err)
}

// Disk makes a group that may write some octets and carry out some writes a
// second on the device on which a directory is.
func Disk(name, dir string, octets, writes int64) (*Group, error) {
	device, err := deviceOf(dir)
	if err != nil {
		return nil, err
	}
	g, err := newGroup("blkio", "io", name)
	if err != nil {
		return nil, err
	}
	if g.v2 {
		return g.or(g.set("io.max", fmt.Sprintf("%s wbps=%d wiops=%d", device, octets, writes)))
	}
	return g.or(errors.Join(
		g.set("blkio.throttle.write_bps_device", fmt.Sprintf("%s %d", device, octets)),
		g.set("blkio.throttle.write_iops_device", fmt.Sprintf("%s %d", device, writes))))
}

// newGroup makes a group for a controller, whose name is not the same in both
// versions.
func newGroup(v1, v2, name string) (*Group, error) {
	g := &Group{dir: filepath.Join(root, v1, name)}
	if _, err := os.Stat(filepath.Join(root, v1, "cgroup.procs")); err != nil {
		controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
		if err != nil || !bytes.Contains(controllers, []byte(v2)) {
			return nil, fmt.Errorf("there is no controller %s or %s in %s", v1, v2, root)
		}
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+v2), 0); err != nil {
			return nil, err
		}
		g = &Group{filepath.Join(root, name), true}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	return g, nil
}

// or returns the group, or takes it away when there is an error.
func (g *Group) or(err error) (*Group, error) {
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

func (g *Group) set(file, value string) error {
	return os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0)
}

// Enter is a program with arguments, behind which a command line runs in the
// group.
func (g *Group) Enter() []string {
	return []string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs")}
}

// Peak returns the most memory that the group had, with what the kernel cached
// of files for it.
func (g *Group) Peak() (n int64, err error) {
	name := "memory.max_usage_in_bytes"
	if g.v2 {
		name = "memory.peak"
	}
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err == nil {
		_, err = fmt.Sscan(string(b), &n)
	}
	return n, err
}

// Kills returns how many processes were killed since their group was full.
func (g *Group) Kills() (int, error) {
	name := "memory.oom_control"
	if g.v2 {
		name = "memory.events"
	}
	b, err := os.ReadFile(filepath.Join(g.dir, name))
	if err != nil {
		return 0, err
	}
	return field(string(b), "oom_kill")
}

// field returns the number behind a name at the beginning of a line.
func field(text, name string) (n int, err error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			_, err = fmt.Sscan(value, &n)
			return n, err
		}
	}
	return 0, fmt.Errorf("%s is missing", name)
}

// Close takes the group away, whose processes have ended.
func (g *Group) Close() (err error) {
	for range 50 { // one that was killed may still be leaving
		if err = os.Remove(g.dir); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// deviceOf returns the numbers, MAJOR:MINOR, of the disk on which a file is;
// limits are of disks, not of their partitions.
func deviceOf(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	dev := uint64(fi.Sys().(*syscall.Stat_t).Dev)
	number := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	sys, err := filepath.EvalSymlinks("/sys/dev/block/" + number)
	if err != nil {
		return "", fmt.Errorf("%s is on no disk: %w", path, err)
	}
	if _, err := os.Stat(filepath.Join(sys, "partition")); err != nil {
		return number, nil
	}
	whole, err := os.ReadFile(filepath.Join(filepath.Dir(sys), "dev"))
	return strings.TrimSpace(string(whole)), err
}
