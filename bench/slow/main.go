// Command slow shows what a slow disk does to deliveries, APPEND and STORE: with
// some milliseconds added to every sync (strace), and on a throttled disk
// (control groups, root). The more connections wait for a sync, the more of
// their changes go into one.
//
//	go run ./bench/slow --seconds 5
//
// For each disk it prints operations a second and how many syncs of the log
// one took, with 1, 8 and 32 connections.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	password = "bench"
	octets   = 4000 // of a message
	messages = 20   // in each INBOX before
)

// connections at a time, each of another account.
var connections = []int{1, 8, 32}

func account(i int) string { return fmt.Sprintf("slow%d@slow.example", i) }

// bench is one run.
type bench struct {
	dir      string // temporary
	srv      *harness.Server
	duration time.Duration // of a cell
	throttle throttle
}

func main() {
	b := &bench{}
	seconds := flag.Float64("seconds", 1, "how long each figure is measured")
	dir := flag.String("dir", "", "directory on the disk to measure (default: a temporary one)")
	flag.Int64Var(&b.throttle.writes, "writes", 100, "writes a second of the throttled disk")
	flag.Int64Var(&b.throttle.octets, "octets", 4<<20, "octets a second of the throttled disk")
	flag.Parse()
	b.duration = time.Duration(*seconds * float64(time.Second))
	if err := b.run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "slow:", err)
		os.Exit(1)
	}
}

func (b *bench) run(dir string) (err error) {
	if b.dir, err = os.MkdirTemp(dir, "angarium-slow-"); err != nil {
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
	most := connections[len(connections)-1]
	if err := fill.Site(context.Background(), b.srv.Data, most, account, hash, most*messages, octets); err != nil {
		return err
	}
	disks := b.disks()
	defer func() {
		for _, d := range disks {
			err = errors.Join(err, d.close())
		}
	}()
	head()
	for _, d := range disks {
		if d.notRun != "" {
			fmt.Printf("| %s | not run: %s |%s\n", d.name, d.notRun, strings.Repeat("  |", 2*len(connections)))
			continue
		}
		if err := b.measure(d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

func head() {
	fmt.Printf("| %-34s | %-10s |", "disk", "operation")
	for _, n := range connections {
		fmt.Printf(" %2d: ops/s | syncs/op |", n)
	}
	fmt.Printf("\n|---|---|%s\n", strings.Repeat("---:|---:|", len(connections)))
}

// measure runs all workloads on one disk.
func (b *bench) measure(d disk) error {
	b.srv.Under = d.under
	if err := b.srv.Start(); err != nil {
		return err
	}
	defer b.srv.Kill()
	for _, w := range workloads {
		fmt.Printf("| %-34s | %-10s |", d.name, w.name)
		for _, n := range connections {
			operations, syncs, err := b.cell(w, n)
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			fmt.Printf(" %9.0f | %8.2f |", operations/b.duration.Seconds(), syncs/max(operations, 1))
		}
		fmt.Println()
	}
	return nil
}

// cell runs one workload over some connections.
func (b *bench) cell(w workload, n int) (operations, syncs float64, err error) {
	workers, err := b.connect(n)
	if err != nil {
		return 0, 0, err
	}
	before, err := b.syncs()
	if err != nil {
		return 0, 0, err
	}
	count, err := together(workers, w, b.duration)
	if err != nil {
		return 0, 0, err
	}
	after, err := b.syncs()
	return float64(count), after - before, err
}

// syncs returns how often the server has synced its log.
func (b *bench) syncs() (float64, error) {
	out, err := b.srv.Command("store", "stat", "--json")
	if err != nil {
		return 0, err
	}
	var stat struct {
		Engine struct{ Syncs float64 }
	}
	err = json.Unmarshal(out, &stat)
	return stat.Engine.Syncs, err
}
