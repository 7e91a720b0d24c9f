package main

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/angarium/angarium/bench/stats"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

// samples is how many accounts or messages are tried where the median counts.
const samples = 40

// fetched counts the FETCH responses.
func fetched(responses []string) (n int) {
	for _, r := range responses {
		if strings.Contains(r, " FETCH (") {
			n++
		}
	}
	return n
}

// choose returns some of n accounts, each once, the same in every run.
func choose(n int) []int {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	if n <= samples {
		return rng.Perm(n)
	}
	seen, chosen := map[int]bool{}, []int{}
	for len(chosen) < samples {
		if i := rng.IntN(n); !seen[i] {
			seen[i] = true
			chosen = append(chosen, i)
		}
	}
	return chosen
}

// started returns how long a server takes from its start to its greeting.
func started(srv *harness.Server) (time.Duration, error) {
	begin := time.Now()
	err := srv.Start()
	return time.Since(begin), err
}

// restarted is the least of some starts behind an orderly end.
func restarted(srv *harness.Server) (time.Duration, error) {
	least := time.Hour
	for range runs {
		if _, err := srv.Stop(); err != nil {
			return 0, err
		}
		took, err := started(srv)
		if err != nil {
			return 0, err
		}
		least = min(least, took)
	}
	return least, nil
}

// delivered returns the median of deliveries to accounts, one after the other.
func delivered(srv *harness.Server, to []int) (time.Duration, error) {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var times []time.Duration
	text := string(fill.Text(1, 4000))
	for n := range samples {
		begin := time.Now()
		if err := c.DeliverOne(account(to[n%len(to)]), text); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin))
	}
	return stats.Median(times), nil
}

// timed runs a command some times and returns the median.
func timed(c *harness.IMAP, command string) (time.Duration, error) {
	var times []time.Duration
	for range samples {
		begin := time.Now()
		if _, err := c.Do(command); err != nil {
			return 0, err
		}
		times = append(times, time.Since(begin))
	}
	return stats.Median(times), nil
}
