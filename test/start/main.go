// Command start shows how soon a large store serves again after kill -9. It
// fills a store, puts a load of deliveries on the real binary, kills it, and
// measures the time from the start of the process to the answer to the first
// LOGIN; then once more without the index.
//
//	go run ./test/start --messages 1000000 --octets 10000
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	accounts = 1000
	password = "start-test"
)

func account(i int) string { return fmt.Sprintf("start%d@start.example", i) }

func main() {
	messages := flag.Int("messages", 100_000, "messages in the store")
	octets := flag.Int("octets", 10_000, "octets of each")
	flag.Parse()
	if err := run(*messages, *octets); err != nil {
		fmt.Fprintln(os.Stderr, "start:", err)
		os.Exit(1)
	}
}

func run(messages, octets int) error {
	dir, err := os.MkdirTemp("", "angarium-start-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Build(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	begin := time.Now()
	if err := makeStore(data, messages, octets); err != nil {
		return err
	}
	fmt.Printf("%d messages of %d octets in %d accounts, written in %.0f s\n", messages, octets, accounts, time.Since(begin).Seconds())
	srv, err := harness.New(bin, data)
	if err != nil {
		return err
	}
	for _, what := range []string{"the index as it was", "no index"} {
		if err := srv.Start(); err != nil {
			return err
		}
		if err := deliver(srv, 2*time.Second); err != nil {
			return err
		}
		srv.Kill()
		if what == "no index" {
			if err := os.RemoveAll(filepath.Join(data, "store", "index")); err != nil {
				return err
			}
		}
		begin := time.Now()
		if err := srv.Start(); err != nil {
			return err
		}
		c, err := harness.DialIMAP(srv.IMAP)
		if err != nil {
			return err
		}
		err = c.Login(account(0), password)
		took := time.Since(begin)
		if err == nil {
			_, err = c.Do("SELECT INBOX")
		}
		c.Close()
		srv.Kill()
		if err != nil {
			return err
		}
		fmt.Printf("after kill -9, with %s: first LOGIN after %.2f s\n", what, took.Seconds())
	}
	return nil
}

func makeStore(data string, messages, octets int) error {
	ctx := context.Background()
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	text := append([]byte("Subject: start\r\nFrom: a@start.example\r\n\r\n"), bytes.Repeat([]byte("0123456789abcde\n"), octets/16)...)
	return fill.Store(ctx, data, func(s *store.Store) error {
		infos, err := fill.Accounts(ctx, s, 0, accounts, account, hash)
		if err != nil {
			return err
		}
		return fill.Spread(ctx, s, infos, messages, func(int) ([]byte, store.AppendOptions) { return text, store.AppendOptions{} })
	})
}

// deliver loads the server for a time.
func deliver(srv *harness.Server, d time.Duration) error {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	for n, end := 0, time.Now().Add(d); time.Now().Before(end); n++ {
		if _, err := c.Deliver("a@start.example", []string{account(n % accounts)}, "Subject: x\r\n\r\nx\r\n"); err != nil {
			return err
		}
	}
	return nil
}
