package main

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestStallShows: what is due while the one worker stands still is late too.
func TestStallShows(t *testing.T) {
	const stall, every = 50 * time.Millisecond, time.Millisecond
	l := &load{first: time.Now(), every: every, total: 50, kind: kind{"stalls", func(_ *worker, n int) error {
		if n == 0 {
			time.Sleep(stall) // the stall is what is measured
		}
		return nil
	}}}
	l.run([]*worker{nil})
	if len(l.times) != l.total {
		t.Fatalf("%d times", len(l.times))
	}
	// Operation n was due n ms after the first, so it waited for the rest.
	for i, took := range l.times {
		if least := stall - time.Duration(l.total-1-i)*every; took < least {
			t.Errorf("%d. took %s, want at least %s", i, took, least)
		}
	}
}

// TestFailure: the first failure is told, with what it was of, and ends the load.
func TestFailure(t *testing.T) {
	l := &load{first: time.Now(), every: time.Microsecond, total: 1000, kind: kind{"fails", func(*worker, int) error { return errors.New("no") }}}
	l.run([]*worker{nil})
	if l.err == nil || l.err.Error() != "fails: no" {
		t.Error(l.err)
	}
}

func TestEveryNth(t *testing.T) {
	if got := everyNth(25, 10); got != "1,11,21" {
		t.Error(got)
	}
	if got := everyNth(1_000_000, 10); strings.Count(got, ",") != 999 {
		t.Error(len(got))
	}
}
