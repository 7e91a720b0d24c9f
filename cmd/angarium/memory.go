package main

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/netserver"
	"golang.org/x/sys/unix"
)

// limitMemory lets the garbage collector work harder before the control group
// that the server runs in is full, unless GOMEMLIMIT says otherwise. It returns
// the limit in octets; without one that is math.MaxInt64.
func limitMemory() int64 {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	if max := groupMemory("/sys/fs/cgroup", groups); max < math.MaxInt64 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max / 5 * 4)
	}
	return debug.SetMemoryLimit(-1)
}

// slackMost is what may be allocated before the garbage collector runs, beside
// what lives.
const slackMost = 32 << 20 // octets

// slack is memory that lives and is never touched, so that it takes none of the
// machine's. By itself the runtime collects whenever as much was allocated as
// lives, which are a few octets in a server of few sessions: under load it would
// collect 40 times a second, for a third of the processor time of a STORE.
var slack []byte

// collectSeldom makes the slack, as large as a server with so much memory can
// afford. It must be called before memory was used and given back.
func collectSeldom(limit int64) {
	slack = make([]byte, min(slackMost, min(limit, machineMemory()/2)/16))
}

// groupMemory returns the smallest limit of memory that the control groups set
// which a process is in (cgroups(7)), and those above them. groups is the file
// /proc/self/cgroup, root where the groups' files are.
func groupMemory(root string, groups []byte) int64 {
	least := int64(math.MaxInt64)
	for lines := bufio.NewScanner(bytes.NewReader(groups)); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ":", 3) // number, controllers, path
		if len(fields) < 3 {
			continue
		}
		dir, file := root, "memory.max" // of version 2, which has no controllers there
		if fields[1] == "memory" {
			dir, file = filepath.Join(root, "memory"), "memory.limit_in_bytes"
		} else if fields[1] != "" {
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			b, err := os.ReadFile(filepath.Join(dir, group, file))
			if max, e := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && e == nil { // else it is "max"
				least = min(least, max)
			}
			if group == "/" {
				break
			}
		}
	}
	if least > 1<<60 { // how version 1 says that there is none
		return math.MaxInt64
	}
	return least
}

// machineMemory returns the octets of memory that there are, math.MaxInt64 when
// the system does not tell.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return math.MaxInt64
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// caches are how much may be kept in memory that can be read again.
type caches struct {
	index, summaries, kept, fields int64 // octets
	messages                       int64 // in lists
}

// cachesFor returns the caches of a server that may take so much memory: what
// they are by default, and in all at most six tenths of it. Half of the machine's
// memory is left to others: a limit of the runtime's is seldom set.
func cachesFor(limit int64) caches {
	limit = min(limit, machineMemory()/2)
	return caches{
		index:     min(64<<20, limit/8),
		summaries: min(64<<20, limit/8),
		kept:      min(64<<20, limit/16),
		fields:    min(64<<20, limit/32),
		messages:  min(4_000_000, limit/4/100), // of some 100 octets
	}
}

// A server is quiet when it allocates less than quietOctets in memoryEvery. When it
// was for quietTime, it gives memory back if freeOctets more can be than last
// time, and more than an eighth of what lives: to find out what can be costs the
// more the more lives.
//
// That it does not do so at once is because who comes next takes the memory again page by
// page, and there are virtual machines on which that is a third of a STORE (decision 26).
// But where crowd sessions more have come than there were last time, crowdTime is enough:
// what opening them took is most of what they cost.
const (
	memoryEvery = time.Second
	quietTime   = time.Minute
	crowdTime   = 4 * time.Second
	crowd       = 100
	quietOctets = 512 << 10
	freeOctets  = 2 << 20
	spareTime   = 10 * time.Second // between two times that caches are emptied
)

// memory gives back what a busy time took, and holds the load off when there
// is too little. By itself the runtime keeps about as much again as what lives,
// which for thousands of idle sessions is most of what they cost.
type memory struct {
	limit  int64
	log    func(msg string, args ...any)
	press  func(p netserver.Pressure)
	spare  func() // empties caches
	sample func() figures
	count  func() int // sessions

	busy, spared time.Time // last
	allocated    uint64
	kept         uint64 // what could not be given back last time
	sessions     int    // the fewest since last time
	pressure     netserver.Pressure
}

// figures are what the runtime tells of its memory, in octets.
type figures struct {
	allocated uint64 // since the start
	free      uint64 // that holds nothing, or only what nobody needs any more
	lives     uint64 // and what holds it
}

func readFigures() (f figures) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}, {Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	of := func(i int) uint64 { return samples[i].Value.Uint64() }
	dead := of(6) - min(of(3), of(6)) // or was made since the last collection
	live := of(3) - min(uint64(len(slack)), of(3))
	return figures{allocated: of(0), free: of(1) + of(2) + dead, lives: live + of(4) + of(5)}
}

// look is called every memoryEvery.
func (m *memory) look(now time.Time) {
	f, sessions := m.sample(), m.count()
	m.hold(now, f.lives)
	switch {
	case m.allocated == 0:
		m.busy, m.sessions = now, sessions
	case f.allocated-m.allocated >= quietOctets:
		m.busy = now
	}
	m.allocated, m.kept, m.sessions = f.allocated, min(m.kept, f.free), min(m.sessions, sessions)
	wait := quietTime
	if sessions >= m.sessions+crowd {
		wait = crowdTime
	}
	if now.Sub(m.busy) >= wait && f.free-m.kept > max(freeOctets, f.lives/8) {
		debug.FreeOSMemory()
		m.kept, m.sessions = m.sample().free, sessions
	}
}

// hold empties caches, and then refuses load, by how much of the limit lives
// (reliability paper 4.4).
func (m *memory) hold(now time.Time, lives uint64) {
	p := netserver.NoPressure
	switch percent := float64(lives) / float64(m.limit) * 100; {
	case percent >= 90:
		p = netserver.RefuseWork
	case percent >= 80:
		p = netserver.DropAnonymous
	case percent >= 70:
		p = netserver.RefuseNew
	}
	if p > netserver.NoPressure && now.Sub(m.spared) >= spareTime {
		m.spared = now
		m.spare()
		debug.FreeOSMemory() // what lives is known after that
		return
	}
	if p != m.pressure {
		m.log("memory_pressure", "level", int(p), "lives", lives, "limit", m.limit)
	}
	m.pressure = p
	m.press(p)
}
