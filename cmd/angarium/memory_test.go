package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/netserver"
)

func nobody() int { return 0 }

// TestMemory: memory of a busy time is given back in the next quiet one, and
// not before.
func TestMemory(t *testing.T) {
	free := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64() + s[1].Value.Uint64()
	}
	now := time.Now()
	m := memory{limit: math.MaxInt64, sample: readFigures, count: nobody, press: func(netserver.Pressure) {}}
	m.look(now)
	b := make([]byte, 16*freeOctets)
	for i := range b {
		b[i] = 1
	}
	runtime.KeepAlive(b)
	m.look(now.Add(quietTime))
	if m.allocated == 0 || m.busy != now.Add(quietTime) {
		t.Fatal("nothing was counted")
	}
	runtime.GC() // what was allocated is free now, and still ours
	if got := free(); got < 16*freeOctets {
		t.Skipf("the runtime gave it back by itself: %d octets are left", got)
	}
	m.look(now.Add(quietTime + memoryEvery)) // too soon
	if got := free(); got < 16*freeOctets {
		t.Errorf("only %d octets are left within the quiet time", got)
	}
	m.look(now.Add(2*quietTime + memoryEvery))
	if got := free(); got > 8*freeOctets { // something is always free between what lives
		t.Errorf("%d octets were kept in a quiet time", got)
	}
}

// TestGarbageIsFree: what nobody has looked at since it was allocated counts as
// free, or an idle server would keep it until the collector runs by itself.
func TestGarbageIsFree(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	debug.FreeOSMemory()
	before := readFigures().free
	runtime.KeepAlive(make([]byte, 32<<20))
	if after := readFigures().free; after < before+16<<20 { // about: other things come and go
		t.Errorf("32 MiB were allocated, %d octets are free and %d were before", after, before)
	}
}

// TestCollectSeldom: a server of few sessions allocates a good deal before the
// collector runs, and that counts as nothing that lives.
func TestCollectSeldom(t *testing.T) {
	var m runtime.MemStats
	before := readFigures().lives
	collectSeldom(math.MaxInt64)
	defer func() { slack = nil }()
	runtime.GC()
	if after := readFigures().lives; after > before+slackMost/2 {
		t.Errorf("%d octets live with the slack, %d without", after, before)
	}
	runtime.ReadMemStats(&m)
	collections, allocated := m.NumGC, m.TotalAlloc
	for m.TotalAlloc < allocated+slackMost/2 {
		runtime.KeepAlive(make([]byte, 128<<10)) // too large for the stack
		runtime.ReadMemStats(&m)
	}
	if m.NumGC != collections {
		t.Errorf("%d collections while %d octets were allocated", m.NumGC-collections, m.TotalAlloc-allocated)
	}
	if collectSeldom(160 << 20); len(slack) > 10<<20 {
		t.Errorf("a server that may take 160 MiB reserves %d octets", len(slack))
	}
}

// watched returns a memory that is told figures, and a function that has it look and
// reports whether it gave memory back.
func watched(f *figures) (m *memory, look func(now time.Time) bool) {
	samples := 0
	m = &memory{limit: math.MaxInt64, count: nobody, press: func(netserver.Pressure) {}, sample: func() figures {
		samples++
		return *f
	}}
	return m, func(now time.Time) bool {
		samples = 0
		m.look(now)
		return samples > 1
	}
}

// TestKeptMemory: what cannot be given back is not tried for again and again.
func TestKeptMemory(t *testing.T) {
	var f figures
	m, look := watched(&f)
	const kept = 2 * freeOctets
	now := time.Now()
	for i, step := range []struct {
		free uint64
		try  bool
	}{{kept, false}, {kept, true}, {kept, false}, {kept + freeOctets, false}, {kept + freeOctets + 1, true}, {1, false}, {kept, true}} {
		f = figures{allocated: 1, free: step.free}
		now = now.Add(quietTime)
		if tried := look(now); tried != step.try {
			t.Errorf("step %d, %d octets free, %d that could not be given back: tried %v", i, step.free, m.kept, tried)
		}
	}
}

// TestCrowd: what it took to open many sessions is given back soon, and not what others
// take then.
func TestCrowd(t *testing.T) {
	var f figures
	m, look := watched(&f)
	sessions := 0
	m.count = func() int { return sessions }
	now := time.Now()
	for i, step := range []struct {
		sessions int
		free     uint64
		after    time.Duration
		try      bool
	}{
		{20, 1, memoryEvery, false},
		{20 + crowd - 1, 2 * freeOctets, crowdTime, false},
		{20 + crowd, 2 * freeOctets, crowdTime - 1, false},
		{20 + crowd, 2 * freeOctets, crowdTime, true},
		{20 + crowd, 8 * freeOctets, crowdTime, false}, // the same sessions
		{20 + crowd, 8 * freeOctets, quietTime, true},
		{20, 1, memoryEvery, false},
		{20 + crowd, 16 * freeOctets, crowdTime, true},
	} {
		f = figures{allocated: f.allocated + quietOctets, free: step.free}
		sessions = step.sessions
		look(now) // there is something to do
		now = now.Add(step.after)
		if tried := look(now); tried != step.try {
			t.Errorf("step %d: tried %v", i, tried)
		}
	}
}

// TestPressure: caches are emptied first, and load is refused if that was not
// enough (reliability paper 4.4).
func TestPressure(t *testing.T) {
	var lives uint64
	var spared int
	var pressure netserver.Pressure
	m := memory{limit: 1000, sample: func() figures { return figures{lives: lives} }, count: nobody, log: func(string, ...any) {},
		press: func(p netserver.Pressure) { pressure = p }, spare: func() { spared++ }}
	now := time.Now()
	for i, step := range []struct {
		lives    uint64
		spared   int
		pressure netserver.Pressure
	}{
		{699, 0, netserver.NoPressure},
		{700, 1, netserver.NoPressure},
		{700, 1, netserver.RefuseNew},
		{799, 1, netserver.RefuseNew},
		{800, 1, netserver.DropAnonymous},
		{900, 1, netserver.RefuseWork},
		{650, 1, netserver.NoPressure},
		{2000, 1, netserver.RefuseWork},
		{2000, 1, netserver.RefuseWork},
		{2000, 1, netserver.RefuseWork},
		{2000, 1, netserver.RefuseWork},
		{950, 2, netserver.RefuseWork}, // ten seconds after the first time
		{100, 2, netserver.NoPressure},
	} {
		lives = step.lives
		now = now.Add(memoryEvery)
		m.look(now)
		if spared != step.spared || pressure != step.pressure {
			t.Errorf("step %d: emptied %d times, pressure %d; want %d and %d", i, spared, pressure, step.spared, step.pressure)
		}
	}
}

// TestGroupMemory reads the limits of both versions of control groups.
func TestGroupMemory(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"memory.max":                                "max\n",
		"mail.slice/memory.max":                     "500000000\n",
		"mail.slice/angarium.service/memory.max":    "max\n",
		"small.slice/memory.max":                    "100\n",
		"memory/memory.limit_in_bytes":              "9223372036854771712\n",
		"memory/docker/memory.limit_in_bytes":       "9223372036854771712\n",
		"memory/docker/abcde/memory.limit_in_bytes": "134217728\n",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]int64{
		"":                                  math.MaxInt64,
		"0::/mail.slice/angarium.service\n": 500000000, // that of the group above
		"0::/\n":                            math.MaxInt64,
		"0::/../../x\n":                     math.MaxInt64,
		"11:memory:/docker/abcde\n3:cpu:/small.slice\n0::/\n": 134217728,
		"11:memory:/docker\n": math.MaxInt64,
		"nonsense":            math.MaxInt64,
	} {
		if got := groupMemory(root, []byte(groups)); got != want {
			t.Errorf("%q: %d, want %d", groups, got, want)
		}
	}
}

// TestCaches: what is kept is never most of what there is.
func TestCaches(t *testing.T) {
	for _, limit := range []int64{10 << 20, 102 << 20, 1 << 30, math.MaxInt64} {
		c := cachesFor(limit)
		if all := c.index + c.summaries + c.kept + c.fields + 100*c.messages; all > limit/10*6 || c.index < 1<<20 {
			t.Errorf("of %d octets caches may take %d: %+v", limit, all, c)
		}
	}
}
