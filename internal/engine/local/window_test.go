package local

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// badSector is a file of which one octet cannot be read.
type badSector struct {
	octets []byte
	bad    int64
	calls  int
}

func (f *badSector) ReadAt(p []byte, off int64) (int, error) {
	f.calls++
	if off <= f.bad && f.bad < off+int64(len(p)) {
		return copy(p, f.octets[off:f.bad]), errors.New("bad sector")
	}
	return bytes.NewReader(f.octets).ReadAt(p, off)
}

// TestWindow: a window returns what the file does, also beside what cannot be
// read and at the file's end, and asks it seldom.
func TestWindow(t *testing.T) {
	file := &badSector{octets: make([]byte, 100_000), bad: 60_000}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range file.octets {
		file.octets[i] = byte(rng.Uint32())
	}
	w := window{file: file}
	reads := 0
	for off := int64(0); reads < 10_000; reads++ {
		n := 1 + rng.IntN(300)
		switch rng.IntN(200) {
		case 0:
			n = len(w.octets) + rng.IntN(100)
		case 1:
			off = max(0, off-rng.Int64N(10_000))
		}
		got, want := make([]byte, n), make([]byte, n)
		gotN, gotErr := w.ReadAt(got, off)
		wantN, wantErr := file.ReadAt(want, off)
		if gotN != wantN || (gotErr == nil) != (wantErr == nil) || (gotErr == io.EOF) != (wantErr == io.EOF) || !bytes.Equal(got, want) {
			t.Fatalf("%d octets at %d: %d, %v; the file: %d, %v", n, off, gotN, gotErr, wantN, wantErr)
		}
		if off += int64(n); off > int64(len(file.octets))+20 {
			off = 0
		}
	}
	if asked := file.calls - reads; asked*10 > reads {
		t.Errorf("%d reads asked the file %d times", reads, asked)
	}
}
