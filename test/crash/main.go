// Command crash shows that acknowledged mail survives power cuts, failing disks
// and killed processes. Its tiers:
//
//	memory   random workloads on a file system in memory that keeps strictly
//	         what was synced; cuts at random calls, single calls that fail
//	small    all workloads of one and two operations, a cut before every call
//	syscall  the real binary with system calls that fail (strace)
//	block    the real binary on ext4 on a disk whose power is cut: unsynced
//	         sectors are kept, lost, torn and reordered (FUSE, loop; root)
//	full     the real binary on a disk that fills up, and gets room again
//	all      all of them
//	flushes  how often the disk is flushed for a message
//
//	go run ./test/crash TIER [--cases N] [--time D] [--seed S]
//
// For each tier it prints how many cases were planned and checked. Controls run
// with them: a disk that ignores flushes must be caught. It ends with 1 when
// anything acknowledged is lost, when a case could not be checked, or when a
// control was not caught.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// plan is what a run does.
type plan struct {
	cases int
	seed  uint64
	box   time.Duration
	fs    string
}

// tiers by name; each returns its result and that of its control.
var tiers = map[string]func(ctx context.Context, p plan) ([]*Result, error){
	"memory":  runMemory,
	"small":   runSmall,
	"block":   runBlock,
	"flushes": runFlushes,
	"full":    runFull,
	"syscall": runSyscalls,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("crash", flag.ContinueOnError)
	p := plan{}
	flags.IntVar(&p.cases, "cases", 0, "cases (memory: 20000, block: 200, syscall: 40)")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random choices")
	flags.DurationVar(&p.box, "time", 0, "stop the tier small after this time")
	flags.StringVar(&p.fs, "fs", "ext4", "file system of the tier block: ext4, xfs")
	if len(args) == 0 {
		return errors.New("name a tier: memory, small, syscall, block or all")
	}
	names := []string{args[0]}
	if args[0] == "all" {
		names = []string{"memory", "small", "syscall", "full", "block"}
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	var bad error
	for _, name := range names {
		tier := tiers[name]
		if tier == nil {
			return fmt.Errorf("there is no tier %q", name)
		}
		fmt.Printf("tier %s, seed %d\n", name, p.seed)
		results, err := tier(context.Background(), p)
		for _, r := range results {
			fmt.Println(r)
			for i, v := range r.Violations {
				if i == 10 {
					fmt.Printf("  … and %d more\n", len(r.Violations)-i)
					break
				}
				fmt.Println("  " + v)
			}
		}
		bad = errors.Join(bad, err)
	}
	return bad
}

// verdict is the error of a tier: anything lost, anything not checked.
func verdict(r *Result) error {
	if len(r.Violations) > 0 || r.Checked != r.Planned {
		return fmt.Errorf("%s: %d violations, %d of %d checked", r.Tier, len(r.Violations), r.Checked, r.Planned)
	}
	return nil
}

// caught turns the result of a control around: what it found is as it must be.
func caught(r *Result) error {
	r.Tier += " control"
	if len(r.Violations) == 0 {
		return fmt.Errorf("%s: it was not caught: the tier shows nothing", r.Tier)
	}
	r.Tier += fmt.Sprintf(" (caught, %d times)", len(r.Violations))
	r.Violations = nil
	return nil
}

func runMemory(ctx context.Context, p plan) ([]*Result, error) {
	if p.cases == 0 {
		p.cases = 20_000
	}
	r, err := Memory(ctx, p.cases, p.seed, false)
	if err != nil {
		return []*Result{r}, err
	}
	control, err := Memory(ctx, 50, p.seed, true)
	return []*Result{r, control}, errors.Join(verdict(r), err, caught(control))
}

func runSmall(ctx context.Context, p plan) ([]*Result, error) {
	r, err := Small(ctx, 2, p.box)
	return []*Result{r}, errors.Join(err, verdict(r))
}
