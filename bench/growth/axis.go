package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
	// Refused are the costs that are missing, since the server said no: it ends
	// what takes too long.
	Refused []string `json:"refused,omitempty"`
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

// refuse notes that the server would not do something.
func (a *axis) refuse(name string, size float64, err error) {
	a.Refused = append(a.Refused, fmt.Sprintf("%s with %s %s: %v", name, plot.Count(size), a.What, err))
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

// verdict is an error when anything grows too fast or was refused.
func verdict(all []*axis) error {
	var worse []error
	for _, a := range all {
		for _, text := range a.Refused {
			worse = append(worse, errors.New(text))
		}
		for _, l := range a.Lines {
			if l.Growth == stats.Worse {
				worse = append(worse, fmt.Errorf("%s grows with the %s as n^%.2f: %s", l.Name, a.What, l.Exponent, l.Growth))
			}
		}
	}
	return errors.Join(worse...)
}

func (a *axis) print(w io.Writer) {
	at := a.sizes()
	fmt.Fprintf(w, "\n| %-38s |", a.What)
	for _, x := range at {
		fmt.Fprintf(w, " %9s |", plot.Count(x))
	}
	fmt.Fprintf(w, " exponent | growth |\n|---|%s---:|---|\n", strings.Repeat("---:|", len(at)))
	for _, l := range a.Lines {
		fmt.Fprintf(w, "| %-38s |", l.Name+", "+l.Unit)
		for _, x := range at {
			fmt.Fprintf(w, " %9s |", l.cell(x))
		}
		fmt.Fprintf(w, " %8.2f | %s |\n", l.Exponent, l.Growth)
	}
}

// sizes are those of all lines.
func (a *axis) sizes() (at []float64) {
	for _, l := range a.Lines {
		for _, p := range l.Points {
			at = append(at, p.X)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// cell is the cost at a size, or nothing where it is missing.
func (l *line) cell(size float64) string {
	for _, p := range l.Points {
		if p.X == size {
			return stats.Millis(time.Duration(p.Y * float64(time.Millisecond)))
		}
	}
	return ""
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
