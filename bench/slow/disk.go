package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/angarium/angarium/bench/cgroup"
)

// disk is one on which the server runs.
type disk struct {
	name   string
	under  []string // what the server is run under
	notRun string   // why not
	group  *cgroup.Group
}

// throttle is what the throttled disk does in a second.
type throttle struct{ octets, writes int64 }

// delays are added to every sync. What tracing alone takes is in all of them.
var delays = []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond}

// disks are measured in turn; the throttled one is made here.
func (b *bench) disks() []disk {
	all := []disk{{name: "as it is"}}
	strace, err := exec.LookPath("strace")
	for _, d := range delays {
		one := disk{name: fmt.Sprintf("syncs take %s longer (strace)", d), under: traced(strace, d)}
		if err != nil {
			one.notRun = err.Error()
		}
		all = append(all, one)
	}
	t := disk{name: fmt.Sprintf("%d writes, %.3g MiB a second", b.throttle.writes, float64(b.throttle.octets)/(1<<20))}
	if t.group, err = cgroup.Disk(fmt.Sprintf("angarium-slow-%d", os.Getpid()), b.dir, b.throttle.octets, b.throttle.writes); err != nil {
		t.notRun = err.Error()
	} else {
		t.under = t.group.Enter()
	}
	return append(all, t)
}

// traced is strace with a delay of every sync. Only the calls that are traced
// are slowed down by it.
func traced(strace string, delay time.Duration) []string {
	line := []string{strace, "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"}
	if delay > 0 {
		line = append(line, "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_exit=%d", delay.Microseconds()))
	}
	return line
}

func (d *disk) close() error {
	if d.group == nil {
		return nil
	}
	return d.group.Close()
}
