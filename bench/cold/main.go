// Command cold shows how long the first commands take after a start when
// nothing of the store is in memory, and how long they take later. It fills a
// mailbox, stops the server, drops its files from the system's page cache,
// starts it, and runs each command once; then again in the same server; then
// once more after a start with the files still cached.
//
//	go run ./bench/cold --messages 1000000
//
// The disk itself may have a cache, which nobody drops.
package main

import (
	"context"
	"errors"
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
	user     = "cold@cold.example"
	password = "bench"
)

// commands are run in this order on the mailbox, which SELECT opens first. The
// word of the last search is in one message.
var commands = []string{
	"SELECT INBOX",
	"FETCH 1:* (UID FLAGS)",
	`SEARCH HEADER SUBJECT "subject 77"`,
	`SEARCH BODY "word is w777w"`,
	"SORT (SUBJECT DATE) UTF-8 ALL",
}

// bench is one run.
type bench struct {
	srv       *harness.Server
	allCaches bool
	columns   []column
}

// column is what one round took: the start, which may be missing, and each
// command.
type column struct {
	name  string
	start time.Duration
	times []string
	read  int64 // octets that the server had the disk read
}

func main() {
	b := &bench{}
	messages := flag.Int("messages", 100_000, "messages in the mailbox")
	octets := flag.Int("octets", 2000, "octets of each")
	dir := flag.String("dir", "", "directory on the disk to measure (default: a temporary one)")
	flag.BoolVar(&b.allCaches, "drop-caches", false, "drop all that the system caches (root), instead of the store's files alone")
	flag.Parse()
	if err := b.run(*dir, *messages, *octets); err != nil {
		fmt.Fprintln(os.Stderr, "cold:", err)
		os.Exit(1)
	}
}

func (b *bench) run(dir string, messages, octets int) error {
	tmp, err := os.MkdirTemp(dir, "angarium-cold-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if b.srv, err = harness.Built(tmp); err != nil {
		return err
	}
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	if err := fill.Mailbox(context.Background(), b.srv.Data, user, hash, messages, octets); err != nil {
		return err
	}
	defer b.srv.Kill()
	if err := b.index(); err != nil {
		return fmt.Errorf("indexing the messages' texts: %w", err)
	}
	if err := b.drop(); err != nil {
		return fmt.Errorf("dropping caches: %w", err)
	}
	if err := b.start("cold"); err != nil {
		return err
	}
	if err := b.round("again", 0); err != nil {
		return err
	}
	if _, err := b.srv.Stop(); err != nil {
		return err
	}
	if err := b.start("restarted, files cached"); err != nil {
		return err
	}
	fmt.Printf("%d messages of %d octets in one mailbox; milliseconds\n\n", messages, octets)
	b.print()
	return nil
}

// start starts the server and runs the commands.
func (b *bench) start(name string) error {
	begin := time.Now()
	if err := b.srv.Start(); err != nil {
		return err
	}
	return b.round(name, time.Since(begin))
}

// round runs the commands in a new session.
func (b *bench) round(name string, start time.Duration) error {
	before := int64(0)
	if start == 0 {
		var err error
		if before, err = b.srv.DiskReads(); err != nil {
			return err
		}
	}
	c, err := harness.DialBulk(b.srv.IMAP, user, password, make([]byte, 1<<20))
	if err != nil {
		return err
	}
	defer c.Close()
	col := column{name: name, start: start}
	for _, command := range commands {
		begin := time.Now()
		err := c.Do(command)
		took := stats.Millis(time.Since(begin))
		var no *harness.Answer
		if errors.As(err, &no) { // the server ends what takes too long
			took += ", refused"
		} else if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		col.times = append(col.times, took)
	}
	after, err := b.srv.DiskReads()
	col.read = after - before
	b.columns = append(b.columns, col)
	return err
}

func (b *bench) print() {
	row := func(name string, cell func(c column) string) {
		fmt.Printf("| %-36s |", name)
		for _, c := range b.columns {
			fmt.Printf(" %23s |", cell(c))
		}
		fmt.Println()
	}
	row("", func(c column) string { return c.name })
	fmt.Printf("|---|%s\n", strings.Repeat("---:|", len(b.columns)))
	row("start to greeting", func(c column) string {
		if c.start == 0 {
			return ""
		}
		return stats.Millis(c.start)
	})
	for i, command := range commands {
		row(command, func(c column) string { return c.times[i] })
	}
	row("read from the disk, MiB", func(c column) string { return fmt.Sprintf("%.1f", float64(c.read)/(1<<20)) })
}
