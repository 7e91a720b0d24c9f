package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/bench/stats"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]string{"1,10,100000": "1,10,100000", "0.5,2": "0.5,2", "2,1": "", "1,1": "", "0": "", "": "", "1,": "", "-1": ""} {
		var s sizes
		err := s.Set(text)
		if (err == nil) != (want != "") || err == nil && s.String() != want {
			t.Errorf("%q: %v, %v", text, s, err)
		}
	}
}

// TestAxis: what grows as the square is named, unless it is below noise.
func TestAxis(t *testing.T) {
	a := &axis{Name: "mailbox", What: "messages"}
	for _, n := range []float64{100, 1000} {
		a.took("flat", n, 5*time.Millisecond)
		a.took("square", n, time.Duration(n*n)*time.Microsecond)
		a.took("short", n, time.Duration(n*n)*time.Nanosecond)
		a.add("memory", kib, n, 0)
	}
	a.judge(2 * time.Millisecond)
	for i, want := range []stats.Growth{stats.Flat, stats.Worse, stats.Flat, stats.Flat} {
		if l := a.Lines[i]; l.Growth != want || len(l.Points) != 2 {
			t.Errorf("%+v, want %s", l, want)
		}
	}
	if err := verdict([]*axis{a}); err == nil || err.Error() != "square grows with the messages as n^2.00: worse than n log n" {
		t.Error(err)
	}
	a.took("late", 1000, time.Millisecond)
	a.refuse("late", 100, errors.New("no"))
	if err := verdict([]*axis{a}); err == nil || !strings.Contains(err.Error(), "late with 100 messages: no") {
		t.Error(err)
	}
	var b strings.Builder
	a.print(&b)
	if want := "| late, ms                               |           |       1.0 |     0.00 |  |\n"; !strings.Contains(b.String(), want) {
		t.Error(b.String())
	}
	if want := "| square, ms                             |      10.0 |      1000 |     2.00 | worse than n log n |\n"; !strings.Contains(b.String(), want) {
		t.Error(b.String())
	}
}

func TestChoose(t *testing.T) {
	for n, want := range map[int]int{1: 1, samples: samples, 100_000: samples} {
		got := choose(n)
		slices.Sort(got)
		if len(slices.Compact(got)) != want || got[0] < 0 || got[len(got)-1] >= n || !slices.Equal(choose(n), choose(n)) {
			t.Errorf("of %d: %v", n, got)
		}
	}
}
