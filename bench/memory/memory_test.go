package main

import (
	"errors"
	"testing"
	"time"
)

// TestVerdict: one failure among many operations is told.
func TestVerdict(t *testing.T) {
	b := &book{}
	for range 3 {
		if err := b.time("NOOP", func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.verdict(); err != nil || len(b.times["NOOP"]) != 3 {
		t.Error(err, b.times)
	}
	no := errors.New("no")
	if err := b.time("SELECT", func() error { return no }); !errors.Is(err, no) {
		t.Error(err)
	}
	if err := b.verdict(); err == nil || err.Error() != "1 operations failed, the first: SELECT: no" || len(b.times["SELECT"]) != 0 {
		t.Error(err)
	}
}

// TestEnd: nothing goes on behind the end.
func TestEnd(t *testing.T) {
	b := &bench{end: time.Now()}
	if b.goesOn() {
		t.Error("it goes on")
	}
}
