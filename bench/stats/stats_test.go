package stats

import (
	"math"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for i := range 1000 {
		times = append(times, time.Duration(i+1))
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := Percentile(times, share); got != want {
			t.Errorf("%v of 1 to 1000: %d, want %d", share, got, want)
		}
	}
	if Percentile(nil, 0.5) != 0 || Percentile(times[:1], 0.999) != 1 {
		t.Error("of none or one")
	}
	if got := Median([]time.Duration{9, 1, 5}); got != 5 {
		t.Errorf("median %d", got)
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]string{123 * time.Microsecond: "0.12", 12340 * time.Microsecond: "12.3", 1234 * time.Millisecond: "1234"} {
		if got := Millis(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// curve is a cost at sizes that are a factor of ten apart.
func curve(cost func(n float64) float64) (points []Point) {
	for _, n := range []float64{1e3, 1e4, 1e5} {
		points = append(points, Point{n, cost(n)})
	}
	return points
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		name     string
		points   []Point
		exponent float64
		want     Growth
	}{
		{"constant", curve(func(float64) float64 { return 5 }), 0, Flat},
		{"root", curve(math.Sqrt), 0.5, Linear},
		{"linear", curve(func(n float64) float64 { return n }), 1, Linear},
		{"n log n", curve(func(n float64) float64 { return n * math.Log(n) }), 1.11, Linear},
		{"n^1.5", curve(func(n float64) float64 { return math.Pow(n, 1.5) }), 1.5, Worse},
		{"square", curve(func(n float64) float64 { return n * n }), 2, Worse},
		{"square below noise", curve(func(n float64) float64 { return n * n * 1e-12 }), 0, Flat},
		{"flat, then square", curve(func(n float64) float64 { return 100 + n*n*1e-6 }), 1, Worse},
		{"late", []Point{{1e3, 0.1}, {1e4, 0.1}, {1e5, 100}}, 2, Worse},
		{"late and linear", []Point{{1e3, 0.1}, {1e4, 0.9}, {1e5, 10}}, 1, Linear},
		{"one point", []Point{{1000, 50}}, 0, Flat},
	} {
		e, got := Judge(tc.points, 1)
		if got != tc.want || math.Abs(e-tc.exponent) > 0.02 {
			t.Errorf("%s: exponent %.3f, %s; want %.3f, %s", tc.name, e, got, tc.exponent, tc.want)
		}
	}
}
