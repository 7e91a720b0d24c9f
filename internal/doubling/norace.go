//go:build !race

package doubling

const limit = Max
