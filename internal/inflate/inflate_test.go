package inflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// inflateAll gives a stream to a Reader in pieces, with room of its own for
// each call, and returns what it put out.
func inflateAll(stream []byte, piece, room func() int) ([]byte, *Reader, error) {
	var z Reader
	var out []byte
	for len(stream) > 0 || z.More() {
		src := stream[:min(len(stream), piece())]
		for first := true; first || len(src) > 0 || z.More(); first = false {
			dst := make([]byte, room())
			n, used, err := z.Inflate(dst, src)
			out, src, stream = append(out, dst[:n]...), src[used:], stream[used:]
			if err != nil {
				return out, &z, err
			}
		}
	}
	return out, &z, nil
}

func upTo(n int) func() int  { return func() int { return 1 + rand.IntN(n) } }
func fixed(n int) func() int { return func() int { return n } }

// text is like what clients send, with what does not compress in between.
func text(n int) []byte {
	var b []byte
	for len(b) < n {
		switch rand.IntN(8) {
		case 0:
			for range rand.IntN(300) {
				b = append(b, byte(rand.Uint32()))
			}
		case 1:
			b = append(b, bytes.Repeat([]byte{byte(rand.Uint32())}, rand.IntN(2000))...)
		default:
			b = append(b, []byte("a"+string(rune('0'+rand.IntN(10)))+" UID FETCH 17:4711 (FLAGS MODSEQ)\r\n")...)
		}
	}
	return b[:n]
}

// bits returns octets of the bits in their order, padded with zeros.
func bits(text string) []byte {
	var b []byte
	n := 0
	for _, c := range strings.ReplaceAll(text, " ", "") {
		if n%8 == 0 {
			b = append(b, 0)
		}
		b[n/8] |= byte(c-'0') << (n % 8)
		n++
	}
	return append(b, 0, 0) // so that what is looked for is there
}

// TestStreams: what Go's writer makes of text at every level, with flushes in
// between, comes out whatever the pieces are.
func TestStreams(t *testing.T) {
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		for _, size := range []int{0, 1, 100, 70_000} {
			var stream bytes.Buffer
			w, err := flate.NewWriter(&stream, level)
			if err != nil {
				t.Fatal(err)
			}
			want := text(size)
			for rest := want; len(rest) > 0; {
				k := min(len(rest), 1+rand.IntN(20_000))
				w.Write(rest[:k])
				w.Flush()
				rest = rest[k:]
			}
			for _, how := range []struct{ piece, room func() int }{{fixed(1), fixed(1)}, {fixed(1 << 20), fixed(1 << 20)}, {upTo(40), upTo(1000)}, {upTo(5000), upTo(7)}} {
				got, z, err := inflateAll(stream.Bytes(), how.piece, how.room)
				if err != nil || !bytes.Equal(got, want) || size > 0 && !z.Between() {
					t.Fatalf("level %d, %d octets: %d came, equal %v, error %v, between %v", level, size, len(got), bytes.Equal(got, want), err, z.Between())
				}
			}
			w.Close()
			if got, _, err := inflateAll(stream.Bytes(), upTo(3000), upTo(3000)); err != io.EOF || !bytes.Equal(got, want) {
				t.Fatalf("level %d, %d octets, with an end: %d came, error %v", level, size, len(got), err)
			}
		}
	}
}

// TestFlushes: a call takes nothing behind a flush that ends output, nor
// behind the stream's end (invariant 3).
func TestFlushes(t *testing.T) {
	var stream bytes.Buffer
	w, _ := flate.NewWriter(&stream, 6)
	io.WriteString(w, "first\r\n")
	w.Flush()
	one := stream.Len()
	io.WriteString(w, "second\r\n")
	w.Close()
	end := stream.Len()
	src := append(stream.Bytes(), "plain"...)
	var z Reader
	dst := make([]byte, 100)
	n, used, err := z.Inflate(dst, src)
	if string(dst[:n]) != "first\r\n" || used != one || err != nil {
		t.Errorf("%q, %d of %d, %v", dst[:n], used, one, err)
	}
	n, used2, err := z.Inflate(dst, src[used:])
	if string(dst[:n]) != "second\r\n" || used+used2 != end || err != io.EOF {
		t.Errorf("%q, %d of %d, %v", dst[:n], used+used2, end, err)
	}
	if n, used, err := z.Inflate(dst, src[end:]); n != 0 || used != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %d, %v", n, used, err)
	}
	// A flush of the kind that aligns nothing: an empty block of fixed codes.
	z = Reader{}
	partial := bits("0 10 10010001 0000000 0 10 0000000") // "a", the end of its block, and the empty one
	if n, used, err := z.Inflate(dst, partial); string(dst[:n]) != "a" || used != 4 || err != nil {
		t.Errorf("a partial flush: %q, %d, %v", dst[:n], used, err)
	}
}

// TestCorrupt: what RFC 1951 does not allow is an error, and stays one.
func TestCorrupt(t *testing.T) {
	const own = "1 01 " // the last block, with codes of its own
	for what, stream := range map[string]string{
		"the reserved kind of block (§3.2.3)":      "1 11",
		"a length without its complement (§3.2.4)": "1 00 00000 0000000000000000 0000000000000000",
		"a distance before the start (§3.2.5)":     "1 10 0000001 00000",
		"length symbol 286 (§3.2.6)":               "1 10 11000110",
		"distance symbol 30 (§3.2.6)":              "1 10 10010001 0000001 11110",
		"287 literal symbols (§3.2.7)":             own + "01111 00000 0000",
		"31 distance symbols (§3.2.7)":             own + "00000 01111 0000",
		"three codes of one bit (§3.2.2)":          own + "00000 00000 0000 100 100 100 000",
		"a code that leaves bits over (§3.2.2)":    own + "00000 00000 0000 010 010 000 000",
		"a repetition of nothing (§3.2.7)":         own + "00000 00000 0000 100 000 100 000 0",
		"more lengths than symbols (§3.2.7)":       own + "00000 00000 0000 000 000 100 100 1 1111111 1 1111111",
		"no end of the block (§3.2.7)":             own + "00000 00000 0000 000 000 100 100 1 1111111 1 1011011",
	} {
		_, z, err := inflateAll(bits(stream), fixed(1), fixed(100))
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if n, used, err := z.Inflate(make([]byte, 10), []byte("more")); n != 0 || used != 0 || !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, again: %d, %d, %v", what, n, used, err)
		}
		if z.tables != nil {
			t.Errorf("%s: the tables are not given back", what)
		}
	}
}

// TestMemory: a Reader between two blocks holds as much of the past as there
// was, and no tables.
func TestMemory(t *testing.T) {
	for size, want := range map[int]int{1: 512, 512: 512, 513: 1024, 20_000: 32 << 10, 200_000: 32 << 10} {
		var stream bytes.Buffer
		w, _ := flate.NewWriter(&stream, 6)
		io.WriteString(w, strings.Repeat("a NOOP\r\n", size/8+1)[:size])
		w.Flush()
		_, z, err := inflateAll(stream.Bytes(), upTo(1000), upTo(1000))
		if err != nil || len(z.ring) != want || z.tables != nil {
			t.Errorf("%d octets: a window of %d, tables %v, %v", size, len(z.ring), z.tables != nil, err)
		}
	}
}

// FuzzReader compares with Go's reader: one that comes to the stream's end
// means that the other does, with the same output.
func FuzzReader(f *testing.F) {
	for _, size := range []int{0, 10, 3000} {
		var stream bytes.Buffer
		w, _ := flate.NewWriter(&stream, 6)
		w.Write(text(size))
		w.Flush()
		w.Close()
		f.Add(stream.Bytes(), byte(size), byte(7))
	}
	f.Add([]byte{0x4b, 0x04, 0x62, 0x00, 0x00}, byte(1), byte(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece, room byte) {
		want, wantErr := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(stream)), 1<<20))
		if len(want) == 1<<20 {
			return
		}
		got, _, err := inflateAll(stream, fixed(int(piece)+1), fixed(int(room)+1))
		if (wantErr == nil) != (err == io.EOF) || wantErr == nil && !bytes.Equal(got, want) {
			t.Errorf("%d octets, %v; Go's reader: %d octets, %v", len(got), err, len(want), wantErr)
		}
		if wantErr == io.ErrUnexpectedEOF && err == nil && !bytes.HasPrefix(got, want) {
			t.Error("what came of half a stream differs")
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	var stream bytes.Buffer
	w, _ := flate.NewWriter(&stream, 6)
	want := text(1 << 20)
	w.Write(want)
	w.Close()
	b.SetBytes(int64(len(want)))
	dst := make([]byte, 16<<10)
	for b.Loop() {
		var z Reader
		for src := stream.Bytes(); ; {
			_, used, err := z.Inflate(dst, src)
			if err == io.EOF {
				break
			}
			src = src[used:]
		}
	}
}
