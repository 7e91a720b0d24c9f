// Command hostile shows what the worst clients cost the real binary: the memory
// of connections that nobody logged in on, whatever they send; that of sessions
// and of their commands; and how the processor time of messages and commands that
// are made to be slow grows with their size (reliability paper S1, S2 and S3).
//
//	go run ./test/hostile
//	go run ./test/hostile --only S3 --json
//
// Memory is the growth of the heap, which the server is made to collect often,
// so that it is of what lives; stacks and what the system has are beside it. The
// server is a process of its own on loopback, in a temporary directory. All of it
// takes four minutes on two processors that others use too, S2 one. It ends
// with 1 when a goal is missed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	user     = "ada@hostile.example"
	password = "hostile-test"
	messages = 2000 // in the INBOX
)

// row is one line of the table.
type row struct {
	Goal   string  `json:"goal"`
	Kind   string  `json:"kind"`
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Limit  float64 `json:"limit"`
	Unit   string  `json:"unit"`
	Detail string  `json:"detail"`
}

func (r *row) missed() bool { return r.Value > r.Limit }

// bench is one run.
type bench struct {
	srv         *harness.Server
	connections int
	named       string // "": all
	figures     string // URL
	rows        []row
	out         io.Writer // nil: --json
}

func main() {
	b := &bench{}
	only := flag.String("only", "", "one goal: S1, S2 or S3")
	flag.StringVar(&b.named, "name", "", "of S1 only floods of this name")
	asJSON := flag.Bool("json", false, "print an array of rows")
	flag.IntVar(&b.connections, "connections", 400, "connections of each kind")
	crowd := flag.Int("crowd", 5000, "connections of all kinds at once, for S1")
	octets := flag.Int("octets", 512<<10, "n of messages for S3: they have n, 2n and 4n octets")
	dir := flag.String("dir", "", "where the temporary directory is made")
	flag.Parse()
	if !*asJSON {
		b.out = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	}
	if err := b.run(*dir, *only, *crowd, *octets); err != nil {
		fmt.Fprintln(os.Stderr, "hostile:", err)
		os.Exit(1)
	}
	if *asJSON {
		json.NewEncoder(os.Stdout).Encode(b.rows)
	}
	missed := 0
	for i := range b.rows {
		if b.rows[i].missed() {
			missed++
		}
	}
	fmt.Fprintf(os.Stderr, "%d rows, %d over their limit\n", len(b.rows), missed)
	if missed > 0 {
		os.Exit(1)
	}
}

func (b *bench) run(dir, only string, crowd, octets int) error {
	tmp, err := os.MkdirTemp(dir, "angarium-hostile-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if b.srv, err = harness.Built(tmp); err != nil {
		return err
	}
	if err := b.fill(only); err != nil {
		return err
	}
	for _, part := range []struct {
		goal string
		run  func() error
	}{
		{"S1", b.anonymous},
		{"S1", func() error { return b.with(false, func() error { return b.crowd(crowd) }) }},
		{"S2", func() error { return b.with(true, b.sessions) }},
		{"S3", func() error {
			return b.with(false, func() error { return errors.Join(b.commands(), b.mailboxes(), b.deliveries(octets)) })
		}},
	} {
		if only != "" && only != part.goal {
			continue
		}
		if err := part.run(); err != nil {
			return err
		}
	}
	return nil
}

// with runs a part of the run on a server of its own. A frugal one collects
// garbage all the time.
func (b *bench) with(frugal bool, run func() error) error {
	figures, err := harness.FreeAddress()
	if err != nil {
		return err
	}
	config := filepath.Join(b.srv.Data, "hostile.toml")
	text := fmt.Sprintf("config_version = 1\n[metrics]\nlisten = %q\n[limits]\nsessions_per_account = 5000\nlogin_time = \"3m\"\n", figures)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	b.figures = "http://" + figures + "/metrics"
	b.srv.Args, b.srv.Under = []string{"--config", config}, nil
	if frugal {
		b.srv.Under = []string{"/usr/bin/env", "GOGC=1"}
	}
	if err := b.srv.Start(); err != nil {
		return err
	}
	defer b.srv.Kill()
	return run()
}

// fill makes the account and its mailboxes.
func (b *bench) fill(only string) error {
	ctx := context.Background()
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	if err := fill.Mailbox(ctx, b.srv.Data, user, hash, messages, 1000); err != nil || only != "" && only != "S3" {
		return err
	}
	return fill.Store(ctx, b.srv.Data, func(s *store.Store) error { return fillThreads(ctx, s, hash) })
}

// add prints and keeps a row.
func (b *bench) add(r row) {
	if len(b.rows) == 0 && b.out != nil {
		fmt.Fprintln(b.out, "goal\tkind\twhat\tvalue\tlimit\t\t")
	}
	b.rows = append(b.rows, r)
	if b.out == nil {
		return
	}
	verdict := ""
	if r.missed() {
		verdict = "  OVER"
	}
	fmt.Fprintf(b.out, "%s\t%s\t%s\t%.1f\t%.1f %s\t%s%s\t\n", r.Goal, r.Kind, r.Name, r.Value, r.Limit, r.Unit, r.Detail, verdict)
	b.out.(*tabwriter.Writer).Flush()
}

// memory is what the server holds, in octets.
type memory struct{ heap, stacks, resident int64 }

func (b *bench) memory() (m memory, err error) {
	resp, err := http.Get(b.figures)
	if err != nil {
		return m, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return m, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(line, " ")
		v, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "go_memstats_heap_alloc_bytes":
			m.heap = int64(v)
		case "go_memstats_stack_inuse_bytes":
			m.stacks = int64(v)
		}
	}
	if m.heap == 0 {
		return m, errors.New("the server's figures do not tell of its heap")
	}
	m.resident, err = b.srv.RSS()
	return m, err
}

// lives looks until the server holds no less any more, and returns the least: the
// rest was garbage, or the work on what was sent.
func (b *bench) lives() (least memory, err error) {
	begun, mark := time.Now(), int64(math.MaxInt64)
	for shrunk := begun; time.Since(shrunk) < 700*time.Millisecond && time.Since(begun) < 10*time.Second; time.Sleep(20 * time.Millisecond) { // it works meanwhile
		m, err := b.memory()
		if err != nil {
			return m, err
		}
		if least.heap == 0 || m.heap < least.heap {
			least = m
		}
		if least.heap < mark/1000*997 {
			shrunk, mark = time.Now(), least.heap
		}
	}
	return least, nil
}
