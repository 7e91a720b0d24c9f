package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/mail"
)

// The tiers, time-boxed; the command runs them for longer.

func check(t *testing.T, r *Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if err := verdict(r); err != nil {
		t.Errorf("%v: %s", err, strings.Join(r.Violations[:min(5, len(r.Violations))], "\n"))
	}
}

func TestMemory(t *testing.T) {
	r, err := Memory(context.Background(), 200, uint64(time.Now().UnixNano()), false)
	check(t, r, err)
	control, err := Memory(context.Background(), 20, 1, true)
	if err != nil || caught(control) != nil {
		t.Errorf("a disk that ignores flushes was not caught: %v, %v", control, err)
	}
}

func TestSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	r, err := Small(context.Background(), 1, 0)
	check(t, r, err)
}

func TestBlock(t *testing.T) {
	r, err := Block(context.Background(), 10, uint64(time.Now().UnixNano()), "ext4", false, false)
	if err == nil && r.NotRun != "" {
		t.Skip(r.NotRun)
	}
	check(t, r, err)
	control, err := Block(context.Background(), 5, 1, "ext4", true, false)
	if err != nil || caught(control) != nil {
		t.Errorf("a disk that ignores flushes was not caught: %v, %v", control, err)
	}
}

func TestFull(t *testing.T) {
	r, err := Full(context.Background(), 2, "ext4")
	if err == nil && r.NotRun != "" {
		t.Skip(r.NotRun)
	}
	check(t, r, err)
}

func TestSyscalls(t *testing.T) {
	r, err := Syscalls(context.Background(), len(injections), uint64(time.Now().UnixNano()))
	if r.NotRun != "" {
		t.Skip(r.NotRun)
	}
	if err != nil && !strings.Contains(err.Error(), "shows nothing") {
		t.Fatal(err)
	}
	check(t, r, nil)
}

// TestCut: an unsynced write is torn between its sectors, but not within the
// superblock.
func TestCut(t *testing.T) {
	d := &device{base: make([]byte, 4096)}
	d.mu.log = []event{{0, bytes.Repeat([]byte{1}, 4096)}}
	torn := map[int]bool{}
	for seed := range uint64(100) {
		image := d.cut(1, 0.5, rand.New(rand.NewPCG(seed, 0)), false, 0)
		for at := sector; at < len(image); at += sector {
			torn[at] = torn[at] || image[at-1] != image[at]
		}
	}
	for at := sector; at < len(d.base); at += sector {
		if torn[at] != (at != superblock+sector) {
			t.Errorf("torn at %d: %v", at, torn[at])
		}
	}
}

// TestJudge: the judge knows each kind of violation when it sees it.
func TestJudge(t *testing.T) {
	l := newLedger(func() int { return 10 })
	l.arriving("tok", "a", 1)
	l.ack("tok", arrive)
	there := func(f found) map[string]*found { return map[string]*found{"tok": &f} }
	good := found{count: 1, intact: true}
	for name, c := range map[string]struct {
		prepare func(e *entry)
		all     map[string]*found
		at      int
		want    string
	}{
		"there":             {nil, there(good), 10, ""},
		"lost":              {nil, nil, 10, "acknowledged and lost"},
		"lost before":       {nil, nil, 9, ""},
		"too early":         {nil, there(good), 9, "before it was sent"},
		"twice":             {nil, there(found{count: 2, intact: true}), 10, "more than once"},
		"altered":           {nil, there(found{count: 1}), 10, "altered"},
		"expunged":          {func(e *entry) { e.leave = span{10, 10} }, nil, 10, ""},
		"expunging":         {func(e *entry) { e.leave = span{10, 0} }, there(good), 10, ""},
		"expunging, gone":   {func(e *entry) { e.leave = span{10, 0} }, nil, 10, ""},
		"expunged in vain":  {func(e *entry) { e.leave = span{10, 10} }, there(good), 10, "expunged and is there"},
		"flagged in vain":   {func(e *entry) { e.flag = span{10, 10} }, there(good), 10, "lost its flag"},
		"flagged":           {func(e *entry) { e.flag = span{10, 10} }, there(found{1, true, true}), 10, ""},
		"from nowhere":      {nil, map[string]*found{"tok": &good, "x": &good}, 10, "never sent"},
		"flagged not acked": {func(e *entry) { e.flag = span{10, 0} }, there(good), 10, ""},
	} {
		e := l.byTok["tok"]
		e.flag, e.leave = span{}, span{}
		if c.prepare != nil {
			c.prepare(e)
		}
		got := strings.Join(l.judge(c.all, c.at), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestReferences: the same workload leads to the same states.
func TestReferences(t *testing.T) {
	wl := workload{}
	for i := range operations {
		wl = append(wl, i)
	}
	a, err := references(context.Background(), wl)
	if err != nil {
		t.Fatal(err)
	}
	b, err := references(context.Background(), wl)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if a[i] != b[i] || !strings.Contains(a[i], mail.Inbox) {
			t.Fatalf("after %d operations: %s", i, difference(a[i], b[i]))
		}
	}
}
