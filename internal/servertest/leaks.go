package servertest

import (
	"os"
	"runtime"
	"testing"
	"time"
)

// Resources is what a server may hold on to by mistake.
type Resources struct {
	Goroutines, Files int
	Heap              int64 // octets that live
}

// Held returns what the process holds now.
func Held() Resources {
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd")
	return Resources{runtime.NumGoroutine(), len(files), int64(m.HeapAlloc)}
}

// AwaitReleased waits until no more goroutines and files are there than before,
// and fails the test when that does not come.
func AwaitReleased(t testing.TB, before Resources) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		now := Held()
		if now.Goroutines <= before.Goroutines && now.Files <= before.Files {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines and %d files are left, there were %d and %d", now.Goroutines, now.Files, before.Goroutines, before.Files)
			return
		}
		time.Sleep(5 * time.Millisecond) // sessions end by themselves
	}
}

// Allocated returns the octets that the process has allocated until now.
func Allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}
