package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
)

const (
	password   = "kill-test"
	accounts   = 6
	deliverers = 16
)

// Round is what one round showed.
type Round struct {
	Number       int
	Killed       time.Duration // how long the load ran
	Started      time.Duration // how long the start after the kill took
	Acknowledged int           // messages, over all rounds, less those found expunged
	Found        int           // messages in all accounts
	Violations   []string
}

// Result is what all rounds showed.
type Result struct {
	Rounds, Operations int
	Violations         []string
}

// round is one life of the server under load.
type round struct {
	srv      *harness.Server
	led      *ledger
	accounts []string
}

// Run kills the server rounds times on one store. The error is for a run that
// could not be made; what it found is in the result.
func Run(binary, data string, rounds int, seed uint64, report func(Round)) (Result, error) {
	srv, err := harness.New(binary, data)
	if err != nil {
		return Result{}, err
	}
	r := &round{srv: srv, led: newLedger()}
	var lines []string
	for i := range accounts {
		r.accounts = append(r.accounts, fmt.Sprintf("kill%d@harness.example", i))
		lines = append(lines, r.accounts[i]+":"+password)
	}
	if err := srv.Import(lines...); err != nil {
		return Result{}, err
	}
	if err := srv.Start(); err != nil {
		return Result{}, err
	}
	defer srv.Kill()
	rng := rand.New(rand.NewPCG(seed, 0))
	var result Result
	for n := range rounds {
		one := Round{Number: n + 1, Killed: time.Duration(100+rng.IntN(900)) * time.Millisecond}
		r.load(n, seed, one.Killed)
		start := time.Now()
		if err := srv.Start(); err != nil {
			return result, fmt.Errorf("round %d: the server did not start by itself: %w", n+1, err)
		}
		one.Started = time.Since(start)
		if err := r.verify(&one); err != nil {
			return result, fmt.Errorf("round %d: %w", n+1, err)
		}
		result.Rounds++
		result.Operations = r.led.operations
		result.Violations = append(result.Violations, one.Violations...)
		report(one)
	}
	return result, nil
}

// load puts the load on the server, kills it after d, and waits for all
// clients to notice.
func (r *round) load(n int, seed uint64, d time.Duration) {
	var wg sync.WaitGroup
	for w := range deliverers {
		rng := rand.New(rand.NewPCG(seed, uint64(n*100+w+1)))
		wg.Go(func() { r.deliverer(fmt.Sprintf("d%dr%d", w, n), rng) })
	}
	for w, account := range r.accounts {
		rng := rand.New(rand.NewPCG(seed, uint64(n*100+50+w)))
		wg.Go(func() { r.mailer(fmt.Sprintf("m%dr%d", w, n), account, rng) })
	}
	time.Sleep(d) // the length of the load is the test's random choice
	r.srv.Kill()
	wg.Wait()
}

// verify reads every account and compares it with the ledger.
func (r *round) verify(one *Round) error {
	for _, account := range r.accounts {
		c, err := harness.DialIMAP(r.srv.IMAP)
		if err != nil {
			return err
		}
		err = r.verifyAccount(c, account, one)
		c.Close()
		if err != nil {
			return fmt.Errorf("reading %s: %w", account, err)
		}
	}
	one.Acknowledged = r.led.acknowledged()
	return nil
}

func (r *round) verifyAccount(c *harness.IMAP, account string, one *Round) error {
	if err := c.Login(account, password); err != nil {
		return err
	}
	var all []found
	for _, mailbox := range []string{"INBOX", "Archive"} {
		lines, err := c.Do("EXAMINE " + mailbox)
		if err != nil {
			return err
		}
		r.led.tells(account, mailbox, lines)
		messages, err := list(c, mailbox, true)
		if err != nil {
			return err
		}
		all = append(all, messages...)
	}
	one.Found += len(all)
	one.Violations = append(one.Violations, r.led.check(account, all)...)
	return nil
}
