// Package doubling judges how the time of a computation grows. It is for
// tests.
package doubling

import (
	"math"
	"runtime"
	"runtime/debug"
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
	// briefest is what the smallest computation takes at least: what takes less is
	// repeated. There are machines on which the first touch of a page of memory takes
	// 15 µs.
	briefest = 500 * time.Microsecond
	// heapMax is how much memory makes the collector run all the same.
	heapMax = 1 << 30
)

// Growth is how long a computation took at n, 2n and 4n.
type Growth struct {
	N    int
	Took [3]time.Duration
}

// Ratio is how many times as long each doubling of n takes. Two doublings tell
// better what grows from what varies.
func (g Growth) Ratio() float64 {
	return math.Sqrt(float64(g.Took[2]) / float64(max(g.Took[0], time.Microsecond)))
}

// Measure measures until the growth is no more than Max, or tries are over. It
// keeps the pair of times with the least ratio. took takes the time of one
// computation.
func Measure(n int, took func(n int) (time.Duration, error)) (best Growth, err error) {
	for i := range tries {
		g := Growth{N: n}
		for k := range g.Took {
			if g.Took[k], err = took(n << k); err != nil {
				return g, err
			}
		}
		if i == 0 || g.Ratio() < best.Ratio() {
			best = g
		}
		if best.Ratio() <= Max {
			break
		}
	}
	return best, nil
}

// Check fails the test when what prepare returns takes more than Max times as
// long for each doubling of n. The time is the processor time of the calling
// goroutine's thread: work on other goroutines does not count. In every other try the
// collector is held off: it begins with the largest computation and has it help, which can
// be more than the computation itself. Not in all: without it, more new memory is needed,
// which is slow with the race detector.
func Check(t testing.TB, name string, n int, prepare func(n int) (run func())) {
	t.Helper()
	prepared := map[int]func(){n: prepare(n), 2 * n: prepare(2 * n), 4 * n: prepare(4 * n)}
	times := 1 + int(briefest/max(Time(prepared[n]), time.Microsecond))
	try := 0
	g, _ := Measure(n, func(now int) (time.Duration, error) {
		if now == n {
			try++
		}
		if try%2 == 0 {
			runtime.GC()
			defer debug.SetGCPercent(debug.SetGCPercent(-1))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(heapMax))
		}
		return Time(func() {
			for range times {
				prepared[now]()
			}
		}), nil
	})
	if g.Ratio() > Max {
		t.Errorf("%s, %d times: %d takes %v, %d %v, %d %v: %.1f times as long for each doubling", name, times, n, g.Took[0], 2*n, g.Took[1], 4*n, g.Took[2], g.Ratio())
	}
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
