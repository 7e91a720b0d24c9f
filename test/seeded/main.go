// Command seeded shows that the tests notice the bugs that lose mail. It
// builds the program's tests again and again, each time with one such bug put
// into one file (by go build's -overlay; the tree is not touched), and runs the
// tests that are there to catch it. A bug that they let pass is a failure, and
// so is one whose place in the source was not found.
//
//	go run ./test/seeded [NAME...]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// bug is one mistake that somebody could make.
type bug struct {
	name     string
	file     string // from the module's root
	old, new string // old is there exactly once
	pkg      string // whose tests catch it
	run      string // which of them
}

// timeBox is what one bug may take: a test that hangs has caught it too.
const timeBox = 60 * time.Second

// atOnce is how many bugs are tried at a time.
const atOnce = 2

func main() {
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "seeded:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	dir, err := os.MkdirTemp("", "angarium-seeded-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var chosen []bug
	for _, b := range bugs {
		if len(names) == 0 || slices.Contains(names, b.name) {
			chosen = append(chosen, b)
		}
	}
	r := &result{}
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, b := range chosen {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			verdict, err := b.try(root, filepath.Join(dir, fmt.Sprint(i)))
			r.add(b.name, verdict, time.Since(start), err)
		})
	}
	wg.Wait()
	fmt.Printf("%d bugs planned, %d caught, %d missed\n", len(chosen), r.caught, len(r.missed))
	if len(r.missed) > 0 {
		r.err = errors.Join(r.err, errors.New("the tests let pass: "+strings.Join(r.missed, ", ")))
	}
	return r.err
}

// result is what became of the bugs.
type result struct {
	mu     sync.Mutex
	caught int
	missed []string
	err    error
}

func (r *result) add(name, verdict string, took time.Duration, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("%s: %w", name, err))
		return
	}
	fmt.Printf("%-32s %-7s %4.1f s\n", name, verdict, took.Seconds())
	if verdict == "missed" {
		r.missed = append(r.missed, name)
		return
	}
	r.caught++
}

// try builds and runs the tests with the bug in.
func (b *bug) try(root, dir string) (verdict string, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	source := filepath.Join(root, b.file)
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), b.old); n != 1 {
		return "", fmt.Errorf("its place is %d times in %s; it is wanted once", n, b.file)
	}
	mutated := filepath.Join(dir, "mutated.go")
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(text), b.old, b.new, 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: mutated}})
	if err != nil {
		return "", err
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "mutated.test")
	build := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlayFile, "-o", binary, "./"+b.pkg)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %s", out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeBox)
	defer cancel()
	test := exec.CommandContext(ctx, binary, "-test.run", b.run, "-test.failfast")
	test.Dir = filepath.Join(root, b.pkg)
	result, err := test.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "hung", nil
	case err != nil:
		return "caught", nil
	case strings.Contains(string(result), "no tests to run"):
		return "", fmt.Errorf("%s has no test that matches %q", b.pkg, b.run)
	}
	return "missed", nil
}
