package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// Result is what a tier planned, checked and found.
type Result struct {
	Tier             string
	Planned, Checked int
	Violations       []string
	NotRun           string // why the tier could not run here
}

func (r *Result) String() string {
	s := fmt.Sprintf("%-8s %6d planned %6d checked %4d violations", r.Tier, r.Planned, r.Checked, len(r.Violations))
	if r.NotRun != "" {
		s += "; not run: " + r.NotRun
	}
	return s
}

// disk is a file system in memory with the index's.
type disk struct {
	files *vfs.Mem
	index *pebblevfs.MemFS
}

// baseDisk is a store with the accounts set up, durable.
func baseDisk(ctx context.Context) (*disk, error) {
	d := &disk{vfs.NewMem(), pebblevfs.NewCrashableMem()}
	e, err := local.Open(ctx, d.files, "store", d.options(nil))
	if err != nil {
		return nil, err
	}
	w, err := openWorld(ctx, e, 0)
	if err != nil {
		return nil, err
	}
	if err := w.setUp(); err != nil {
		return nil, err
	}
	w.s.Close()
	return d, e.Close()
}

func (d *disk) options(finding func(local.Finding)) local.Options {
	return local.Options{Now: time.Now, SegmentOctets: 8 << 10, CompactEvery: -1, IndexFS: d.index, IndexCache: 1 << 20,
		Events: local.Events{Finding: finding}}
}

// clone returns the disk as a power cut leaves it.
func (d *disk) clone(survives func() bool) *disk {
	return &disk{d.files.Crash(survives), d.index.CrashClone(pebblevfs.CrashCloneCfg{})}
}

func all() bool  { return true }
func none() bool { return false }

// life is one run of a workload on a disk, and how it ended.
type life struct {
	acked    int  // operations that were acknowledged
	inFlight bool // one more was begun
	calls    int64
}

// live runs a workload until something fails. fail is asked at each call of the
// file system.
func live(ctx context.Context, d *disk, wl workload, fail func(op vfs.Op, n int64) error) (l life) {
	fault := &vfs.Fault{FS: d.files, Fail: fail}
	e, err := local.Open(ctx, fault, "store", d.options(nil))
	if err != nil {
		return life{calls: fault.Calls()}
	}
	defer func() { e.Close(); l.calls = fault.Calls() }()
	w, err := openWorld(ctx, e, 0)
	if err != nil {
		return l
	}
	defer w.s.Close()
	for n := range wl {
		if err := w.step(wl, n); err != nil {
			l.inFlight = true
			return l
		}
		l.acked++
	}
	return l
}

// judge opens what is left and says what is wrong with it.
func judge(ctx context.Context, d *disk, wl workload, refs []string, l life) (violations []string) {
	var findings []string
	e, err := local.Open(ctx, d.files, "store", d.options(func(f local.Finding) { findings = append(findings, f.String()) }))
	if err != nil {
		return []string{"the store does not open: " + err.Error()}
	}
	defer e.Close()
	w, err := openWorld(ctx, e, l.acked)
	if err != nil {
		return []string{"the store does not open: " + err.Error()}
	}
	defer w.s.Close()
	for _, f := range findings {
		violations = append(violations, "damage is reported: "+f)
	}
	got, err := w.dump()
	if err != nil {
		violations = append(violations, err.Error())
	}
	partial := l.inFlight && operations[wl[l.acked]].several
	if got != refs[l.acked] && !(l.inFlight && got == refs[l.acked+1]) && !partial {
		violations = append(violations, fmt.Sprintf("after %d acknowledged operations the store differs: %s", l.acked, difference(refs[l.acked], got)))
	}
	for f, err := range w.s.Check(ctx, store.CheckOptions{}) {
		violations = append(violations, fmt.Sprint("check: ", f, " ", err))
	}
	if err := w.append(accountNames[1], "Sent", "afterwards", store.Message{}.Flags); err != nil && failed(err) {
		violations = append(violations, "no mail can be added afterwards: "+err.Error())
	}
	return violations
}

// difference shows the first lines in which two dumps differ.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return fmt.Sprintf("want %s, got %s", w[i], strings.Join(g[min(i, len(g)):min(i+1, len(g))], ""))
		}
	}
	return "more than was there: " + strings.Join(g[len(w):], " ")
}

var errCut = errors.New("the power is gone")

// cutAt runs a workload and cuts the power before the n-th call of the file
// system, leaving what survives tells of what was not synced.
func cutAt(ctx context.Context, base *disk, wl workload, n int64, survives func() bool) (left *disk, l life) {
	d := base.clone(all)
	var once sync.Once
	l = live(ctx, d, wl, func(op vfs.Op, i int64) error {
		if i < n || op == vfs.OpRead {
			return nil
		}
		once.Do(func() { left = d.clone(survives) })
		return errCut
	})
	if left == nil {
		left = d.clone(survives) // at the end
	}
	return left, l
}

// Memory cuts the power, and lets single calls fail, at random places of random
// workloads, on a file system in memory that keeps strictly what was synced.
func Memory(ctx context.Context, cases int, seed uint64, lying bool) (*Result, error) {
	r := &Result{Tier: "memory", Planned: cases}
	base, err := baseDisk(ctx)
	if err != nil {
		return r, err
	}
	for s := seed; r.Checked < cases; s++ {
		rng := rand.New(rand.NewPCG(s, 1))
		wl := make(workload, 6+rng.IntN(8))
		for i := range wl {
			wl[i] = rng.IntN(len(operations))
		}
		refs, err := references(ctx, wl)
		if err != nil {
			return r, err
		}
		total := live(ctx, base.clone(all), wl, nil).calls
		for range min(20, cases-r.Checked) {
			n := 1 + rng.Int64N(total)
			var violations []string
			if rng.IntN(4) == 0 && !lying {
				violations = failOnce(ctx, base, wl, refs, n, []error{syscall.EIO, syscall.ENOSPC}[rng.IntN(2)])
			} else {
				violations = cutOnce(ctx, base, wl, refs, n, rng, lying)
			}
			r.add(violations, "seed %d, %s, call %d of %d", s, wl, n, total)
		}
	}
	return r, nil
}

func (r *Result) add(violations []string, where string, a ...any) {
	r.Checked++
	for _, v := range violations {
		r.Violations = append(r.Violations, fmt.Sprintf(where, a...)+": "+v)
	}
}

func cutOnce(ctx context.Context, base *disk, wl workload, refs []string, n int64, rng *rand.Rand, lying bool) []string {
	keep := []float64{0, 0.5, 1}[rng.IntN(3)]
	if lying {
		keep = 0
	}
	left, l := cutAt(ctx, base, wl, n, func() bool { return rng.Float64() < keep })
	if lying {
		left = base.clone(none) // a disk that ignored every flush
	}
	if rng.IntN(3) == 0 {
		left.index = pebblevfs.NewCrashableMem()
	}
	if rng.IntN(10) == 0 { // and once more while it recovers
		first := left
		left, _ = cutAt(ctx, first, nil, 1+rng.Int64N(12), func() bool { return rng.Float64() < keep })
	}
	return judge(ctx, left, wl, refs, l)
}

// failOnce lets one call fail. What follows must be refused, or be there; and
// so it must be after a restart and after a power cut.
func failOnce(ctx context.Context, base *disk, wl workload, refs []string, n int64, failure error) (violations []string) {
	d := base.clone(all)
	l := live(ctx, d, wl, func(op vfs.Op, i int64) error {
		if i == n && op != vfs.OpRead {
			return failure
		}
		return nil
	})
	cut := d.clone(none)
	for _, v := range judge(ctx, d.clone(all), wl, refs, l) {
		violations = append(violations, failure.Error()+", after a restart: "+v)
	}
	for _, v := range judge(ctx, cut, wl, refs, l) {
		violations = append(violations, failure.Error()+", after a power cut: "+v)
	}
	return violations
}

// Small runs all workloads of at most length operations, and cuts the power
// before every call of the file system: with nothing kept, everything, and each
// single unsynced thing alone.
func Small(ctx context.Context, length int, box time.Duration) (*Result, error) {
	r := &Result{Tier: "small"}
	base, err := baseDisk(ctx)
	if err != nil {
		return r, err
	}
	end := time.Now().Add(box)
	for _, wl := range workloads(length) {
		if box > 0 && time.Now().After(end) {
			r.Planned++ // at least: what comes is not counted
			r.NotRun = "the time is over; run it without --time"
			return r, nil
		}
		refs, err := references(ctx, wl)
		if err != nil {
			return r, err
		}
		total := live(ctx, base.clone(all), wl, nil).calls
		for n := int64(1); n <= total+1; n++ {
			if err := smallCut(ctx, r, base, wl, refs, n); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// smallKept is how many single things are kept, one after the other, at each
// place: a large message has thousands of sectors.
const smallKept = 8

func smallCut(ctx context.Context, r *Result, base *disk, wl workload, refs []string, n int64) error {
	unsynced := 0
	modes := []func() bool{none, func() bool { unsynced++; return true }}
	for i := 0; i < len(modes); i++ {
		r.Planned++
		left, l := cutAt(ctx, base, wl, n, modes[i])
		r.add(judge(ctx, left, wl, refs, l), "%s, call %d, mode %d", wl, n, i)
		if i == 1 {
			for k := range min(unsynced, smallKept) {
				keep, asked := k*unsynced/min(unsynced, smallKept), -1
				modes = append(modes, func() bool { asked++; return asked == keep })
			}
		}
	}
	return ctx.Err()
}

// workloads returns all of at most length operations.
func workloads(length int) (list []workload) {
	level := []workload{{}}
	for range length {
		var next []workload
		for _, wl := range level {
			for i := range operations {
				next = append(next, append(wl[:len(wl):len(wl)], i))
			}
		}
		list = append(list, next...)
		level = next
	}
	return list
}
