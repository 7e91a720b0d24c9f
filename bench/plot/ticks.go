package plot

import (
	"fmt"
	"math"
)

// Count is the text of a number: 100, 1 k, 2.5 M.
func Count(v float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if v >= u.size {
			return short(v/u.size) + u.name
		}
	}
	return short(v)
}

// Milliseconds is the text of a time.
func Milliseconds(v float64) string {
	switch {
	case v >= 1000:
		return short(v/1000) + " s"
	case v >= 1:
		return short(v) + " ms"
	}
	return short(v*1000) + " µs"
}

// short has three digits, and none that say nothing.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", math.Round(v))
	}
	return fmt.Sprintf("%.3g", v)
}
