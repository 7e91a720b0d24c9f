package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/angarium/angarium/bench/stats"
)

// book is where all sessions write what they did.
type book struct {
	mu     sync.Mutex
	times  map[string][]time.Duration
	errors []error
}

// time does something and writes down how long it took.
func (b *book) time(what string, do func() error) error {
	begin := time.Now()
	if err := do(); err != nil {
		return b.fail(what, err)
	}
	took := time.Since(begin)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.times == nil {
		b.times = map[string][]time.Duration{}
	}
	b.times[what] = append(b.times[what], took)
	return nil
}

// fail writes down that something failed.
func (b *book) fail(what string, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = fmt.Errorf("%s: %w", what, err)
	b.errors = append(b.errors, err)
	return err
}

func (b *book) print() {
	fmt.Printf("\n| %-24s | %8s | %8s | %8s | %8s |\n|---|---:|---:|---:|---:|\n", "ms", "times", "p50", "p99", "longest")
	for _, what := range slices.Sorted(maps.Keys(b.times)) {
		t := b.times[what]
		slices.Sort(t)
		fmt.Printf("| %-24s | %8d | %8s | %8s | %8s |\n", what, len(t), stats.Millis(stats.Percentile(t, .5)), stats.Millis(stats.Percentile(t, .99)), stats.Millis(t[len(t)-1]))
	}
	fmt.Println()
}

// verdict is an error when anything failed.
func (b *book) verdict() error {
	if len(b.errors) == 0 {
		return nil
	}
	return fmt.Errorf("%d operations failed, the first: %w", len(b.errors), b.errors[0])
}
