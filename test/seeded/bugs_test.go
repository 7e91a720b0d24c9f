package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlaces: each bug has its place in the source still, once. That it is
// caught there is shown by `go run ./test/seeded`.
func TestPlaces(t *testing.T) {
	for _, b := range bugs {
		text, err := os.ReadFile(filepath.Join("..", "..", b.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), b.old); n != 1 {
			t.Errorf("%s: its place is %d times in %s", b.name, n, b.file)
		}
	}
}
