// Package doubling judges how the time of a computation grows. It is for
// tests.
package doubling

import (
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Max is the largest time(2n)/time(n) that passes (reliability paper, S3):
	// n log n is below it, and n² is 4.
	Max = 2.5
	// tries is how often it is measured before it fails: one quiet moment of
	// the machine is enough.
	tries = 10
)

// Check fails the test when what prepare returns takes more than Max times as
// long for each doubling of n. It doubles twice, which tells better what grows
// from what varies. The time is the processor time of the calling goroutine's
// thread: work on other goroutines does not count.
func Check(t testing.TB, name string, n int, prepare func(n int) (run func())) {
	t.Helper()
	small, large := prepare(n), prepare(4*n)
	best := math.Inf(1)
	var short, long time.Duration
	for range tries {
		a, b := Time(small), Time(large)
		if ratio := float64(b) / float64(max(a, time.Microsecond)); ratio < best {
			best, short, long = ratio, a, b
		}
		if best <= Max*Max {
			return
		}
	}
	t.Errorf("%s: %d takes %v, %d takes %v: %.1f times as long", name, n, short, 4*n, long, best)
}

// Time returns the processor time that a function takes on its thread.
func Time(run func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := threadTime()
	run()
	return threadTime() - begun
}

func threadTime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now); err != nil {
		panic(err)
	}
	return time.Duration(now.Nano())
}
