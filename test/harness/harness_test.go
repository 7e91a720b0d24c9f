package harness

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// TestReserve: a port is that of one process, until it ends.
func TestReserve(t *testing.T) {
	if text := os.Getenv("HARNESS_RESERVE"); text != "" { // the other process
		port, err := strconv.Atoi(text)
		if err == nil {
			err = reserve(port)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Setenv("TMPDIR", t.TempDir())
	other := func(port int) error {
		cmd := exec.Command(os.Args[0], "-test.run=^TestReserve$")
		cmd.Env = append(os.Environ(), "HARNESS_RESERVE="+strconv.Itoa(port))
		return cmd.Run()
	}
	if err := other(1); err != nil {
		t.Fatalf("a free port: %v", err)
	}
	if err := reserve(1); err != nil {
		t.Errorf("one whose process has ended: %v", err)
	}
	if err := reserve(1); err == nil {
		t.Error("one that this process has was given once more")
	}
	if err := other(1); err == nil {
		t.Error("one that this process has was given to another")
	}
}
