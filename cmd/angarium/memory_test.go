package main

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

// TestMemory: memory of a busy time is given back in the next quiet one, and
// not before.
func TestMemory(t *testing.T) {
	free := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() + s[1].Value.Uint64()
	}
	var m memory
	m.look()
	b := make([]byte, 4*quietOctets)
	for i := range b {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	m.look()
	if m.allocated == 0 {
		t.Fatal("nothing was counted")
	}
	runtime.GC() // what was allocated is free now, and still ours
	if got := free(); got < 4*quietOctets {
		t.Skipf("the runtime gave it back by itself: %d octets are left", got)
	}
	m.look()
	if got := free(); got > freeOctets {
		t.Errorf("%d octets were kept in a quiet time", got)
	}
}
