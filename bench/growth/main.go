// Command growth shows how what things cost grows: commands with the size of
// the mailbox; logins and deliveries with the number of accounts; idle memory
// and commands with the number of connections; starts, deliveries and FETCH
// with the octets in the store.
//
//	go run ./bench/growth
//	go run ./bench/growth --axis mailbox --mailbox 1000,10000,100000,1000000 --out docs/plots
//
// For each line it fits the exponent k of c·n^k to the times above --noise and
// says whether that is flat, linear (up to n log n) or worse; it ends with 1
// when one is worse. The server is the real binary; the client shares the
// machine with it.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// The password of all accounts, stored as it is: what a hash costs is not to
// hide what the number of accounts does.
const (
	password     = "bench"
	passwordHash = "{PLAIN}" + password
)

// sizes are numbers with commas between them.
type sizes []float64

func (s *sizes) String() string {
	var texts []string
	for _, v := range *s {
		texts = append(texts, strconv.FormatFloat(v, 'g', -1, 64))
	}
	return strings.Join(texts, ",")
}

// Set reads sizes, which must ascend.
func (s *sizes) Set(text string) error {
	*s = nil
	for _, one := range strings.Split(text, ",") {
		v, err := strconv.ParseFloat(one, 64)
		if err != nil || v <= 0 || len(*s) > 0 && v <= (*s)[len(*s)-1] {
			return errors.New("give ascending numbers above 0 with commas between them")
		}
		*s = append(*s, v)
	}
	return nil
}

// bench is one run.
type bench struct {
	dir    string // temporary
	bin    string
	settle time.Duration // quiet before memory is read
	noise  time.Duration
}

// kind is one thing that can grow, and how that is measured.
type kind struct {
	name, help string
	sizes      sizes
	measure    func(b *bench, at sizes) (*axis, error)
}

var kinds = []kind{
	{"mailbox", "numbers of messages in the mailbox", sizes{1000, 10_000, 100_000}, measureMailbox},
	{"accounts", "numbers of accounts", sizes{1, 10, 100, 1000, 10_000}, measureAccounts},
	{"connections", "numbers of idle connections", sizes{10, 100, 1000}, measureConnections},
	{"store", "GB in the store", sizes{0.1, 0.2, 0.5}, measureStore},
}

func main() {
	var names []string
	for i := range kinds {
		k := &kinds[i]
		names = append(names, k.name)
		flag.Var(&k.sizes, k.name, k.help)
	}
	b := &bench{}
	chosen := flag.String("axis", strings.Join(names, ","), "what is measured")
	out := flag.String("out", "", "folder for plots, one or two SVG files for each axis")
	file := flag.String("json", "", "file for all figures")
	dir := flag.String("dir", "", "directory on the disk to measure (default: a temporary one)")
	flag.DurationVar(&b.noise, "noise", time.Millisecond, "times below it say nothing of growth")
	flag.DurationVar(&b.settle, "settle", 10*time.Second, "how long connections are quiet before memory is read; after 10s the server has given back what it does not need")
	flag.Parse()
	if err := b.run(*dir, strings.Split(*chosen, ","), *out, *file); err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func (b *bench) run(dir string, chosen []string, out, file string) (err error) {
	for _, name := range chosen {
		if !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name }) {
			return fmt.Errorf("there is no axis %q", name)
		}
	}
	if b.dir, err = os.MkdirTemp(dir, "angarium-growth-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.bin, err = harness.Build(b.dir); err != nil {
		return err
	}
	var all []*axis
	for _, k := range kinds {
		if !slices.Contains(chosen, k.name) {
			continue
		}
		measured, err := k.measure(b, k.sizes)
		if err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
		measured.judge(b.noise)
		measured.print(os.Stdout)
		if out != "" {
			if err := measured.plot(out); err != nil {
				return err
			}
		}
		all = append(all, measured)
	}
	if file != "" {
		text, err := json.MarshalIndent(all, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return verdict(all)
}

// server returns one on a data directory of its own, which is not started.
func (b *bench) server(name string) (*harness.Server, error) {
	return harness.New(b.bin, filepath.Join(b.dir, name))
}

func account(i int) string { return fmt.Sprintf("growth%d@growth.example", i) }
