// Package plot draws curves with two logarithmic axes as SVG, to be looked at
// on light and on dark ground.
package plot

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/angarium/angarium/bench/stats"
)

// Chart is one plot.
type Chart struct {
	Title        string
	XName, YName string
	X, Y         func(v float64) string // a tick's text
	Lines        []Line
}

// Line is one curve, with its name at its end. Values must be above 0.
type Line struct {
	Name   string
	Points []stats.Point
}

// Places in the picture, in pixels.
const (
	width, height = 860, 480
	left, right   = 64, 250 // margins; the names are in the right one
	top, bottom   = 40, 52
	nameHeight    = 15 // of a line's name, at least
)

// colours are told apart on white and on black, and by most of those who see
// few colours; dashes help with the rest.
var colours = []string{"#3b82d0", "#d9772b", "#2f9e60", "#c9509a", "#8a6fd1", "#9a8a1f", "#d05050"}

var dashes = []string{"", "6 3", "2 3"}

// style keeps to tones that are read on both grounds, also where a page does not
// follow the system's scheme.
const style = `text{font:12px sans-serif;fill:#6e7781}.title{font-size:14px;font-weight:bold}.grid{stroke:#8b949e;stroke-opacity:.3}.axis{stroke:#6e7781}.curve{fill:none;stroke-width:2}.lead{stroke-width:1;stroke-opacity:.6}@media(prefers-color-scheme:dark){text{fill:#d0d7de}}`

// Write writes the chart.
func (c *Chart) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img"><title>%s</title><style>%s</style>`+"\n", width, height, escape(c.Title), style)
	text(&b, left, 22, "start", "title", c.Title)
	x, y := c.scales()
	c.grid(&b, x, y)
	for i, l := range c.Lines {
		curve(&b, i, l, x, y)
	}
	c.names(&b, x, y)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// scale maps values to pixels, whole decades to the ends.
type scale struct {
	low, high float64 // exponents of ten
	from, to  float64 // pixels
}

func newScale(values []float64, from, to float64) scale {
	if len(values) == 0 {
		values = []float64{1}
	}
	s := scale{math.Floor(math.Log10(slices.Min(values)) + 1e-9), math.Ceil(math.Log10(slices.Max(values)) - 1e-9), from, to}
	if s.low == s.high {
		s.high++
	}
	return s
}

func (s scale) at(v float64) float64 {
	return s.from + (math.Log10(v)-s.low)/(s.high-s.low)*(s.to-s.from)
}

// ticks are the decades.
func (s scale) ticks() (values []float64) {
	for e := s.low; e <= s.high; e++ {
		values = append(values, math.Pow(10, e))
	}
	return values
}

func (c *Chart) scales() (x, y scale) {
	var xs, ys []float64
	for _, l := range c.Lines {
		for _, p := range l.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	return newScale(xs, left, width-right), newScale(ys, height-bottom, top)
}

func (c *Chart) grid(b *strings.Builder, x, y scale) {
	for _, v := range x.ticks() {
		line(b, "grid", x.at(v), y.from, x.at(v), y.to)
		text(b, x.at(v), y.from+18, "middle", "", c.X(v))
	}
	for _, v := range y.ticks() {
		line(b, "grid", x.from, y.at(v), x.to, y.at(v))
		text(b, x.from-8, y.at(v)+4, "end", "", c.Y(v))
	}
	line(b, "axis", x.from, y.from, x.to, y.from)
	line(b, "axis", x.from, y.from, x.from, y.to)
	text(b, (x.from+x.to)/2, height-12, "middle", "", c.XName)
	text(b, x.from-8, top-8, "end", "", c.YName)
}

func curve(b *strings.Builder, i int, l Line, x, y scale) {
	var points []string
	for _, p := range l.Points {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x.at(p.X), y.at(p.Y)))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x.at(p.X), y.at(p.Y), colour(i))
	}
	fmt.Fprintf(b, `<polyline class="curve" stroke="%s" stroke-dasharray="%s" points="%s"/>`+"\n", colour(i), dash(i), strings.Join(points, " "))
}

func colour(i int) string { return colours[i%len(colours)] }

func dash(i int) string { return dashes[i/len(colours)%len(dashes)] }

// names writes each line's name beside its end, none over another.
func (c *Chart) names(b *strings.Builder, x, y scale) {
	var order []int
	ends := make([]stats.Point, len(c.Lines))
	want := make([]float64, len(c.Lines))
	for i, l := range c.Lines {
		if len(l.Points) > 0 {
			ends[i] = l.Points[len(l.Points)-1]
			want[i] = y.at(ends[i].Y)
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(want[a], want[b]) })
	heights := make([]float64, len(order))
	for n, i := range order {
		heights[n] = want[i]
	}
	spread(heights, top, height-bottom)
	for n, i := range order {
		fmt.Fprintf(b, `<line class="lead" stroke="%s" stroke-dasharray="%s" x1="%.1f" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", colour(i), dash(i), x.at(ends[i].X), want[i], width-right+22, heights[n])
		text(b, width-right+26, heights[n]+4, "start", "", c.Lines[i].Name)
	}
}

// spread moves heights, which ascend, apart from each other, downwards first
// and then up again from the end of the room.
func spread(heights []float64, from, to float64) {
	for i := range heights {
		if i > 0 {
			from = heights[i-1] + nameHeight
		}
		heights[i] = max(heights[i], from)
	}
	for i, h := range slices.Backward(heights) {
		heights[i] = min(h, to)
		to = heights[i] - nameHeight
	}
}

func line(b *strings.Builder, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func text(b *strings.Builder, x, y float64, anchor, class, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(s))
}

func escape(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}
