package plot

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/angarium/angarium/bench/stats"
)

// TestWrite: the largest chart is well-formed, small, whole, and within its
// frame.
func TestWrite(t *testing.T) {
	c := Chart{Title: `FETCH <1:*> & "more"`, XName: "messages", YName: "time", X: Count, Y: Milliseconds}
	for i := range 20 {
		l := Line{Name: fmt.Sprintf("command <%d>", i)}
		for _, x := range []float64{1e3, 1e4, 1e5, 1e6} {
			l.Points = append(l.Points, stats.Point{X: x, Y: 0.05 + x*1e-3})
		}
		c.Lines = append(c.Lines, l)
	}
	c.Lines = append(c.Lines, Line{Name: "nothing"})
	var b strings.Builder
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 40<<10 {
		t.Errorf("%d octets", b.Len())
	}
	curves, texts := 0, map[string]bool{}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "polyline" {
				curves++
			}
			for _, a := range token.Attr {
				var v float64
				if _, err := fmt.Sscan(a.Value, &v); err == nil && (v < 0 || v > width || math.IsNaN(v)) {
					t.Errorf("%s of %s is %s", a.Name.Local, token.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			texts[string(token)] = true
		}
	}
	for _, want := range []string{c.Title, "command <19>", "1 M", "10 k", "100 ms", "1 s", "messages", "time"} {
		if !texts[want] {
			t.Errorf("%q is not in it", want)
		}
	}
	if curves != len(c.Lines) || texts["nothing"] {
		t.Errorf("%d curves", curves)
	}
}

// TestNoPoints: a chart of nothing is one too.
func TestNoPoints(t *testing.T) {
	c := Chart{X: Count, Y: Count}
	var b strings.Builder
	if err := c.Write(&b); err != nil || strings.Contains(b.String(), "NaN") {
		t.Error(err, b.String())
	}
}

func TestSpread(t *testing.T) {
	heights := []float64{10, 11, 12, 95, 99}
	spread(heights, 10, 100)
	for i, want := range []float64{10, 25, 40, 85, 100} {
		if heights[i] != want {
			t.Fatal(heights)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{Count(1), "1"}, {Count(1000), "1 k"}, {Count(15000), "15 k"}, {Count(2.5e6), "2.5 M"}, {Count(0.1), "0.1"},
		{Milliseconds(0.01), "10 µs"}, {Milliseconds(1), "1 ms"}, {Milliseconds(100), "100 ms"}, {Milliseconds(10000), "10 s"},
	} {
		if tc.got != tc.want {
			t.Errorf("%q, want %q", tc.got, tc.want)
		}
	}
}
