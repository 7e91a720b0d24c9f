// Command idle opens many IMAP sessions in IDLE on one server, tells what each
// costs it in memory, and shows that they still hear of new mail.
//
//	go run ./test/idle --connections 10000 --tls
//
// Client and server are separate processes; each connection takes one file
// descriptor in both. Twice it waits until the server has given back what a busy
// time took: it ends within two minutes.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/angarium/angarium/bench/stats"
	"github.com/angarium/angarium/test/harness"
)

const (
	password = "idle-test"
	accounts = 200
)

func main() {
	n := flag.Int("connections", 10000, fmt.Sprintf("how many sessions, more than %d", accounts))
	tls := flag.Bool("tls", false, "over TLS")
	compress := flag.Bool("compress", false, "inside COMPRESS=DEFLATE")
	flag.Parse()
	if *n <= accounts {
		fmt.Fprintln(os.Stderr, "idle: --connections is too low")
		os.Exit(2)
	}
	if err := run(*n, *tls, *compress); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

func run(n int, tls, compress bool) error {
	dir, err := os.MkdirTemp("", "angarium-idle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	srv, err := harness.Built(dir)
	if err != nil {
		return err
	}
	lines := make([]string, accounts)
	for i := range lines {
		lines[i] = account(i) + ":" + password
	}
	if err := srv.Import(lines...); err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return err
	}
	defer srv.Kill()
	dial := harness.DialIMAP
	addr := srv.IMAP
	if tls {
		dial, addr = harness.DialIMAPS, srv.IMAPS
	}
	sessions, before, err := open(srv, func(user string) (*harness.IMAP, error) { return idler(dial, addr, user, compress) }, n)
	if err != nil {
		return err
	}
	after, err := srv.SettledRSS(harness.SettleTime)
	if err != nil {
		return err
	}
	fmt.Printf("%d sessions in IDLE (tls %v, compressed %v): %.1f MiB with one of each account, %.1f MiB with all, %.1f KiB a session\n",
		n, tls, compress, float64(before)/(1<<20), float64(after)/(1<<20), float64(after-before)/1024/float64(n-accounts))
	return notify(srv, sessions)
}

func account(i int) string { return fmt.Sprintf("idle%03d@harness.example", i%accounts) }

// open brings all sessions to IDLE. The memory before is taken after one
// session per account, so that loaded accounts do not count.
func open(srv *harness.Server, idler func(user string) (*harness.IMAP, error), n int) ([]*harness.IMAP, int64, error) {
	sessions := make([]*harness.IMAP, n)
	one := func(i int) (err error) {
		sessions[i], err = idler(account(i))
		return err
	}
	if err := harness.Each(accounts, one); err != nil {
		return nil, 0, err
	}
	before, err := srv.SettledRSS(harness.SettleTime)
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	if err := harness.Each(n-accounts, func(i int) error { return one(accounts + i) }); err != nil {
		return nil, 0, err
	}
	fmt.Printf("%.0f sessions opened a second\n", float64(n-accounts)/time.Since(start).Seconds())
	return sessions, before, nil
}

func idler(dial func(string) (*harness.IMAP, error), addr, user string, compress bool) (*harness.IMAP, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, password); err != nil {
		return nil, err
	}
	if compress {
		if err := c.Compress(); err != nil {
			return nil, err
		}
	}
	if _, err := c.Do("SELECT INBOX"); err != nil {
		return nil, err
	}
	_, err = c.Do("IDLE")
	return c, err
}

// notify delivers messages to one account after the other, and each time waits
// until all sessions of the account have heard of it.
func notify(srv *harness.Server, sessions []*harness.IMAP) error {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	var all, last []time.Duration
	for i := range accounts {
		start := time.Now()
		if _, err := c.Deliver("a@harness.example", []string{account(i)}, "Subject: wake\r\n\r\nup\r\n"); err != nil {
			return err
		}
		for n := i; n < len(sessions); n += accounts {
			if err := sessions[n].AwaitUntagged(" EXISTS"); err != nil {
				return fmt.Errorf("session %d heard nothing: %w", n, err)
			}
			all = append(all, time.Since(start))
		}
		last = append(last, time.Since(start))
	}
	slices.Sort(all)
	fmt.Printf("%d deliveries: sessions heard of one within %s ms of its start (p50; p99 %s), all of an account within %s\n",
		accounts, stats.Millis(stats.Percentile(all, 0.5)), stats.Millis(stats.Percentile(all, 0.99)), stats.Millis(stats.Median(last)))
	return nil
}
