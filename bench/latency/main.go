// Command latency shows how long clients wait under a steady mixed load while
// the server is otherwise quiet, takes many deliveries, rewrites and indexes its
// store, and is backed up.
//
//	go run ./bench/latency --rate 400 --seconds 60 --messages 100000
//
// The load is open: operations are due at fixed times, whether those before
// have ended or not, and what is told is the time from when one was due to its
// end. So a server that stands still for a second shows it in all that were
// due meanwhile. Client and server share the machine.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/angarium/angarium/bench/stats"
	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	password = "bench"
	loaded   = 16   // accounts with the steady load
	scratch  = 4    // and those with what is beside it
	octets   = 8000 // of a message
)

func account(i int) string { return fmt.Sprintf("latency%d@latency.example", i) }

// bench is one run.
type bench struct {
	dir        string // temporary
	srv        *harness.Server
	duration   time.Duration // of a phase
	rate       float64       // operations a second
	deliveries float64       // a second, beside the load
}

func main() {
	b := &bench{}
	messages := flag.Int("messages", 10_000, "messages in the store; with fewer than 5000 nothing is indexed")
	seconds := flag.Float64("seconds", 15, "how long each phase takes")
	dir := flag.String("dir", "", "directory on the disk to measure (default: a temporary one)")
	flag.Float64Var(&b.rate, "rate", 200, "operations a second")
	flag.Float64Var(&b.deliveries, "deliveries", 300, "deliveries a second in the phase of many")
	flag.Parse()
	b.duration = time.Duration(*seconds * float64(time.Second))
	if err := b.run(*dir, *messages); err != nil {
		fmt.Fprintln(os.Stderr, "latency:", err)
		os.Exit(1)
	}
}

func (b *bench) run(dir string, messages int) (err error) {
	if b.dir, err = os.MkdirTemp(dir, "angarium-latency-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.srv, err = harness.Built(b.dir); err != nil {
		return err
	}
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	if err := fill.Site(context.Background(), b.srv.Data, loaded+scratch, account, hash, messages, octets); err != nil {
		return err
	}
	if err := b.srv.Start(); err != nil {
		return err
	}
	defer b.srv.Kill()
	var results []*result
	for _, p := range phases {
		r, err := b.measure(p)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		results = append(results, r)
	}
	print(results)
	return nil
}

// print writes one table: p50, p99 and p99.9 of each operation in each phase.
func print(results []*result) {
	fmt.Printf("Milliseconds from when an operation was due: p50 / p99 / p99.9\n\n| %-14s |", "")
	for _, r := range results {
		fmt.Printf(" %-22s |", r.phase)
	}
	fmt.Printf("\n|---|%s\n", strings.Repeat("---:|", len(results)))
	for i, k := range kinds {
		fmt.Printf("| %-14s |", k.name)
		for _, r := range results {
			t := r.times[i]
			fmt.Printf(" %-22s |", stats.Millis(stats.Percentile(t, .5))+" / "+stats.Millis(stats.Percentile(t, .99))+" / "+stats.Millis(stats.Percentile(t, .999)))
		}
		fmt.Println()
	}
	fmt.Println()
	for _, r := range results {
		fmt.Printf("%s: %d operations", r.phase, r.operations())
		if r.beside != "" {
			fmt.Printf(", beside %d %s", r.rounds, r.beside)
		}
		fmt.Println()
	}
}
