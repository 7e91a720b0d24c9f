package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// limitMemory lets the garbage collector work harder before the control group
// that the server runs in is full, unless GOMEMLIMIT says otherwise.
func limitMemory() {
	b, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if max, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil { // else it is "max"
		debug.SetMemoryLimit(max / 5 * 4)
	}
}

// A server is quiet when it allocates less than quietOctets in memoryEvery, and
// gives memory back when there are more than freeOctets of it.
const (
	memoryEvery = 30 * time.Second
	quietOctets = 32 << 20
	freeOctets  = 16 << 20
)

// memory gives back what a busy time took. By itself the runtime keeps about
// as much again as what lives, which for thousands of idle sessions is most of
// what they cost.
type memory struct{ allocated uint64 }

// look is called every memoryEvery.
func (m *memory) look() {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	metrics.Read(samples)
	allocated, free := samples[0].Value.Uint64(), samples[1].Value.Uint64()+samples[2].Value.Uint64()
	if m.allocated != 0 && allocated-m.allocated < quietOctets && free > freeOctets {
		debug.FreeOSMemory()
	}
	m.allocated = allocated
}
