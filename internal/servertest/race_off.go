//go:build !race

package servertest

// Race tells of the race detector, under which pools forget much of what they are
// given.
const Race = false
