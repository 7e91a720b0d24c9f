// Package stats is the arithmetic of the measurements: how long most took, and
// how a cost grows.
package stats

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Percentile returns the time that a share of the times, which are sorted, do
// not exceed; 0 where there are none.
func Percentile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median sorts the times and returns the one in the middle.
func Median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return Percentile(times, 0.5)
}

// Millis is a time as people read it.
func Millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	switch {
	case ms < 1:
		return fmt.Sprintf("%.2f", ms)
	case ms < 100:
		return fmt.Sprintf("%.1f", ms)
	}
	return fmt.Sprintf("%.0f", ms)
}
