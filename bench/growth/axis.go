package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/angarium/angarium/bench/plot"
	"github.com/angarium/angarium/bench/stats"
)

// axis is what was measured while one thing grew.
type axis struct {
	Name  string  `json:"name"`
	What  string  `json:"what"` // is counted on it
	Lines []*line `json:"lines"`
}

// line is one cost at each size.
type line struct {
	Name     string        `json:"name"`
	Unit     string        `json:"unit"` // milliseconds or kib
	Points   []stats.Point `json:"points"`
	Exponent float64       `json:"exponent"`
	Growth   stats.Growth  `json:"growth"`
}

const (
	milliseconds = "ms"
	kib          = "KiB"
)

// took adds a time.
func (a *axis) took(name string, size float64, d time.Duration) {
	a.add(name, milliseconds, size, float64(d)/float64(time.Millisecond))
}

func (a *axis) add(name, unit string, size, cost float64) {
	p := stats.Point{X: size, Y: max(cost, 0.001)} // a logarithmic axis has no 0
	for _, l := range a.Lines {
		if l.Name == name {
			l.Points = append(l.Points, p)
			return
		}
	}
	a.Lines = append(a.Lines, &line{Name: name, Unit: unit, Points: []stats.Point{p}})
}

func (a *axis) judge(noise time.Duration) {
	for _, l := range a.Lines {
		floor := 0.0
		if l.Unit == milliseconds {
			floor = float64(noise) / float64(time.Millisecond)
		}
		l.Exponent, l.Growth = stats.Judge(l.Points, floor)
	}
}

// verdict is an error when anything grows too fast.
func verdict(all []*axis) error {
	var worse []error
	for _, a := range all {
		for _, l := range a.Lines {
			if l.Growth == stats.Worse {
				worse = append(worse, fmt.Errorf("%s grows with the %s as n^%.2f: %s", l.Name, a.What, l.Exponent, l.Growth))
			}
		}
	}
	return errors.Join(worse...)
}

func (a *axis) print(w io.Writer) {
	fmt.Fprintf(w, "\n| %-38s |", a.What)
	for _, p := range a.Lines[0].Points {
		fmt.Fprintf(w, " %9s |", plot.Count(p.X))
	}
	fmt.Fprintf(w, " exponent | growth |\n|---|%s---:|---|\n", strings.Repeat("---:|", len(a.Lines[0].Points)))
	for _, l := range a.Lines {
		fmt.Fprintf(w, "| %-38s |", l.Name+", "+l.Unit)
		for _, p := range l.Points {
			fmt.Fprintf(w, " %9s |", cell(p.Y))
		}
		fmt.Fprintf(w, " %8.2f | %s |\n", l.Exponent, l.Growth)
	}
}

func cell(v float64) string {
	return stats.Millis(time.Duration(v * float64(time.Millisecond)))
}

// plot writes the lines of each unit into a file.
func (a *axis) plot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range []struct {
		unit, file, name, title string
		ticks                   func(float64) string
	}{
		{milliseconds, a.Name + ".svg", "time", "Time by " + a.What, plot.Milliseconds},
		{kib, a.Name + "-memory.svg", "KiB", "Memory by " + a.What, plot.Count},
	} {
		chart := plot.Chart{Title: c.title, XName: a.What, YName: c.name, X: plot.Count, Y: c.ticks}
		for _, l := range a.Lines {
			if l.Unit == c.unit {
				chart.Lines = append(chart.Lines, plot.Line{Name: l.Name, Points: l.Points})
			}
		}
		if len(chart.Lines) == 0 {
			continue
		}
		f, err := os.Create(filepath.Join(dir, c.file))
		if err != nil {
			return err
		}
		if err := errors.Join(chart.Write(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
