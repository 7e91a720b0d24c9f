package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMemory: what Enter runs is in the group, and the group is gone behind it.
func TestMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it needs root")
	}
	name := fmt.Sprintf("angarium-test-%d", os.Getpid())
	g, err := Memory(name, 64<<20)
	if err != nil {
		t.Skip(err)
	}
	defer g.Close()
	line := append(g.Enter(), "cat", "/proc/self/cgroup")
	out, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "/"+name+"\n") {
		t.Fatalf("%v: %s", err, out)
	}
	if peak, err := g.Peak(); err != nil || peak <= 0 || peak > 64<<20 {
		t.Error(peak, err)
	}
	if kills, err := g.Kills(); err != nil || kills != 0 {
		t.Error(kills, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(g.dir); err == nil {
		t.Error("the group is still there")
	}
}

func TestField(t *testing.T) {
	const text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
	if n, err := field(text, "oom_kill"); n != 3 || err != nil {
		t.Error(n, err)
	}
	if _, err := field(text, "oom"); err == nil {
		t.Error("found what is not there")
	}
}
