// Command memory shows whether the server does its work with little memory. The
// real binary runs in a control group (root; version 1 or 2) with a limit, and
// accounts read their mail as Thunderbird does while new mail is delivered.
//
//	go run ./bench/memory --limit 128 --accounts 10
//	go run ./bench/memory --limit 512 --accounts 200 --messages 500 --seconds 60
//
// It prints how much memory there was in use and how long operations took, and
// ends with 1 when one failed or the server was killed. Where no group can be
// made the server is only told of the limit, with GOMEMLIMIT, and nothing kills
// it: that is said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/angarium/angarium/bench/cgroup"
	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const password = "bench"

func account(i int) string { return fmt.Sprintf("memory%d@memory.example", i) }

// text is a message; one in a hundred is large.
func text(n int) []byte {
	if n%100 == 0 {
		return fill.Text(n, 500_000)
	}
	return fill.Text(n, 4000+n%10*1000)
}

// bench is one run.
type bench struct {
	srv        *harness.Server
	group      *cgroup.Group // nil: there is none
	accounts   int
	deliveries float64 // a second
	end        time.Time
	book       book
}

func main() {
	b := &bench{}
	limit := flag.Int64("limit", 128, "MiB of memory that the server may have")
	flag.IntVar(&b.accounts, "accounts", 10, "accounts, with two or three sessions each")
	messages := flag.Int("messages", 1000, "messages in each INBOX before")
	seconds := flag.Float64("seconds", 30, "how long they work")
	flag.Float64Var(&b.deliveries, "deliveries", 10, "deliveries a second")
	dir := flag.String("dir", "", "directory on the disk to use (default: a temporary one)")
	flag.Parse()
	if err := b.run(*dir, *limit<<20, *messages, time.Duration(*seconds*float64(time.Second))); err != nil {
		fmt.Fprintln(os.Stderr, "memory:", err)
		os.Exit(1)
	}
}

func (b *bench) run(dir string, limit int64, messages int, d time.Duration) (err error) {
	tmp, err := os.MkdirTemp(dir, "angarium-memory-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if b.srv, err = harness.Built(tmp); err != nil {
		return err
	}
	if err := b.fill(messages); err != nil {
		return err
	}
	if b.group, err = cgroup.Memory(fmt.Sprintf("angarium-memory-%d", os.Getpid()), limit); err != nil {
		fmt.Println("No control group can be made, so that nothing is killed and the server is only told of the limit:", err)
		b.srv.Under = append(b.srv.Under, "/usr/bin/env", fmt.Sprint("GOMEMLIMIT=", limit/5*4))
	} else { // the server sees the limit by itself
		defer func() { err = errors.Join(err, b.group.Close()) }()
		b.srv.Under = b.group.Enter()
	}
	if err := b.srv.Start(); err != nil {
		return errors.Join(err, b.killed())
	}
	defer b.srv.Kill()
	before, err := b.srv.RSS()
	if err != nil {
		return err
	}
	b.end = time.Now().Add(d)
	sessions := b.work()
	fmt.Printf("%d accounts with %d messages each, %d sessions, %d MiB\n", b.accounts, messages, sessions, limit>>20)
	b.book.print()
	return errors.Join(b.memory(before), b.killed(), b.book.verdict())
}

// fill makes the accounts.
func (b *bench) fill(messages int) error {
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	ctx := context.Background()
	return fill.Store(ctx, b.srv.Data, func(s *store.Store) error {
		infos, err := fill.Accounts(ctx, s, 0, b.accounts, account, hash)
		if err != nil {
			return err
		}
		return fill.Spread(ctx, s, infos, b.accounts*messages, func(n int) ([]byte, store.AppendOptions) {
			return text(n), store.AppendOptions{}
		})
	})
}

// memory prints what the server had.
func (b *bench) memory(before int64) error {
	const mib = 1 << 20
	if !b.srv.Ended() {
		now, err := b.srv.RSS()
		if err != nil {
			return err
		}
		peak, err := b.srv.PeakRSS()
		if err != nil {
			return err
		}
		fmt.Printf("resident: %.1f MiB after the start, %.1f at the end, %.1f at most\n", float64(before)/mib, float64(now)/mib, float64(peak)/mib)
	}
	if b.group == nil {
		return nil
	}
	peak, err := b.group.Peak()
	fmt.Printf("in the control group, cached files included: %.1f MiB at most\n", float64(peak)/mib)
	return err
}

// killed is an error when the server did not live to the end.
func (b *bench) killed() error {
	kills := 0
	if b.group != nil {
		var err error
		if kills, err = b.group.Kills(); err != nil {
			return err
		}
	}
	switch {
	case kills > 0:
		return errors.New("the server was killed by the limit of memory")
	case b.srv.Ended():
		return fmt.Errorf("the server ended; its log:\n%s", b.srv.Log())
	}
	return nil
}
