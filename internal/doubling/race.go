//go:build race

package doubling

// limit is more than Max: the race detector keeps notes of all memory that is used, several
// times as large, which no longer fit into the processor's caches with the largest of the
// computations. n² is above it all the same.
const limit = 3.2
