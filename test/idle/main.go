// Command idle opens many IMAP sessions in IDLE on one server, tells what each
// costs it in memory, and shows that they still hear of new mail.
//
//	go run ./test/idle --connections 10000 --tls
//
// Client and server are separate processes; each connection takes one file
// descriptor in both.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/angarium/angarium/test/harness"
)

const (
	password = "idle-test"
	accounts = 200
	quiet    = 70 * time.Second // until memory that was needed for a while is given back
)

func main() {
	n := flag.Int("connections", 10000, "how many sessions")
	tls := flag.Bool("tls", false, "over TLS")
	compress := flag.Bool("compress", false, "inside COMPRESS=DEFLATE")
	flag.Parse()
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
	after, err := srv.SettledRSS(quiet)
	if err != nil {
		return err
	}
	fmt.Printf("%d sessions in IDLE (tls %v, compressed %v): %.1f MiB before, %.1f MiB after, %.1f KiB a session\n",
		n, tls, compress, float64(before)/(1<<20), float64(after)/(1<<20), float64(after-before)/1024/float64(n))
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
	first := min(accounts, n)
	if err := harness.Each(first, one); err != nil {
		return nil, 0, err
	}
	before, err := srv.SettledRSS(quiet)
	if err != nil {
		return nil, 0, err
	}
	start := time.Now()
	if err := harness.Each(n-first, func(i int) error { return one(first + i) }); err != nil {
		return nil, 0, err
	}
	fmt.Printf("%.0f sessions opened a second\n", float64(n-first)/time.Since(start).Seconds())
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

// notify delivers one message to one account and waits until each of its
// sessions has heard of it.
func notify(srv *harness.Server, sessions []*harness.IMAP) error {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	if _, err := c.Deliver("a@harness.example", []string{account(0)}, "Subject: wake\r\n\r\nup\r\n"); err != nil {
		return err
	}
	woken := 0
	for i := 0; i < len(sessions); i += accounts {
		if err := sessions[i].AwaitUntagged(" EXISTS"); err != nil {
			return fmt.Errorf("session %d heard nothing: %w", i, err)
		}
		woken++
	}
	fmt.Printf("%d sessions of one account heard of a delivery within %.1f ms of its start\n", woken, float64(time.Since(start).Microseconds())/1000)
	return nil
}
