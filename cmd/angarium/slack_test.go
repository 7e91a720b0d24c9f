package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTimerSlack: all threads of a server have its slack, save where another one than
// the system's was chosen for it, and it keeps its name.
func TestTimerSlack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // what it was
	for given, want := range map[time.Duration]time.Duration{defaultSlack: serverSlack, 70 * time.Microsecond: 70 * time.Microsecond} {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(given), 0, 0, 0); err != nil {
			t.Fatal(err)
		}
		s := startServer(t)
		process := filepath.Join("/proc", strconv.Itoa(s.PID()))
		threads, err := os.ReadDir(filepath.Join(process, "task"))
		if err != nil || len(threads) == 0 {
			t.Fatal(threads, err)
		}
		for _, thread := range threads {
			got := tells(t, filepath.Join("/proc", thread.Name(), "timerslack_ns"))
			if got != strconv.FormatInt(int64(want), 10) {
				t.Errorf("started with %v: a thread has %s ns, want %v", given, got, want)
			}
		}
		environment := tells(t, filepath.Join(process, "environ"))
		if over := strings.Contains(environment, startedOver); over != (given != want) {
			t.Errorf("started with %v: its environment is %q", given, environment)
		}
		if got := tells(t, filepath.Join(process, "comm")); got != filepath.Base(theBinary(t)) {
			t.Errorf("the process is called %q", got)
		}
	}
}

// tells returns what the kernel tells of a process.
func tells(t *testing.T, file string) string {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrPermission) && os.Getenv("ANGARIUM_TEST_REQUIRE") != "1" {
		t.Skip("only with CAP_SYS_NICE: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// TestStartedOver: what was started over is not once more, whatever its slack is.
func TestStartedOver(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.Setenv(startedOver, "1")
	loosenTimers() // else this test would begin again
	if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || time.Duration(slack) == serverSlack {
		t.Error(slack, err)
	}
}
