package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// Flushes counts how often the disk is flushed for a message that is delivered,
// with some deliveries at a time.
func Flushes(fsType string, deliverers int, d time.Duration) (flushes, messages int, err error) {
	dir, err := workDir()
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Build(dir)
	if err != nil {
		return 0, 0, err
	}
	m, err := mountDevice(dir, fsType, 4*deviceOctets)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	srv, err := harness.New(bin, m.dir+"/data")
	if err != nil {
		return 0, 0, err
	}
	var lines []string
	for i := range deliverers {
		lines = append(lines, loadAccount(i)+":x")
	}
	if err := srv.Import(lines...); err != nil {
		return 0, 0, err
	}
	if err := srv.Start(); err != nil {
		return 0, 0, err
	}
	defer srv.Kill()
	led := newLedger(func() int { return 1 })
	from := m.position()
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i := range deliverers {
		wg.Go(func() { deliverSmall(srv, led, i, end) })
	}
	wg.Wait()
	return m.flushes(from, m.position()), led.acks, nil
}

func deliverSmall(srv *harness.Server, led *ledger, i int, end time.Time) {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return
	}
	defer c.Close()
	for n := 0; time.Now().Before(end); n++ {
		tok := fmt.Sprintf("f%d-%d", i, n)
		led.arriving(tok, "", 0)
		replies, err := c.Deliver("a@crash.example", []string{loadAccount(i)}, text(tok, 100))
		if err != nil || !strings.HasPrefix(replies[0], "250") {
			return
		}
		led.ack(tok, arrive)
	}
}

func runFlushes(_ context.Context, p plan) ([]*Result, error) {
	if why := canMount(p.fs); why != "" {
		return []*Result{{Tier: "flushes", NotRun: why}}, nil
	}
	for _, n := range []int{1, 6, 32} {
		flushes, messages, err := Flushes(p.fs, n, 3*time.Second)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%2d deliveries at a time: %6d messages, %6d flushes, %.2f for each\n", n, messages, flushes, float64(flushes)/float64(max(messages, 1)))
	}
	return nil, nil
}
