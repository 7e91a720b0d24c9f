package local

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
)

// lines returns octets in base64, in lines of a length.
func lines(octets []byte, length int) []byte {
	var b []byte
	for text := base64.StdEncoding.EncodeToString(octets); text != ""; {
		n := min(length, len(text))
		b = append(append(b, text[:n]...), "\r\n"...)
		text = text[n:]
	}
	return b
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func testCoder(t testing.TB) *coder {
	c, err := newCoder([]byte("Subject: "))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestPack(t *testing.T) {
	c := testCoder(t)
	header := []byte("Subject: x\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	for _, test := range []struct {
		name  string
		frame []byte
		runs  int
	}{
		{"nothing", nil, 0},
		{"text", bytes.Repeat([]byte("no base64 here\r\n"), 100), 0},
		{"a body", append(header, lines(random(3000), 76)...), 1},
		{"as PEM", append(header, lines(random(3000), 64)...), 1},
		{"long lines", append(header, lines(random(9000), 996)...), 1},
		{"text in base64", lines([]byte(strings.Repeat("Grüße an alle. ", 300)), 76), 1},
		{"two bodies", append(append(lines(random(700), 76), "--x\r\n\r\n"...), lines(random(700), 72)...), 2},
		{"two lengths", append(lines(random(570), 76), lines(random(540), 72)...), 2},
		{"one line", append(header, lines(random(57), 76)...), 0},
		{"short lines", lines(random(900), 44), 0},
		{"longer than any line", lines(random(9000), 1000), 0},
		{"no multiple of four", lines(random(3000), 78), 0},
		{"LF alone", bytes.ReplaceAll(lines(random(3000), 76), []byte("\r\n"), []byte("\n")), 0},
		{"not of the alphabet", bytes.ReplaceAll(lines(random(3000), 76), []byte("A"), []byte("-")), 1},
		{"padding within", bytes.Repeat([]byte(strings.Repeat("A", 75)+"=\r\n"), 9), 0},
		{"CR within", bytes.Repeat([]byte(strings.Repeat("A", 75)+"\r\r\n"), 9), 0},
		{"begins within a line", lines(random(3000), 76)[13:], 1},
		{"ends within a line", lines(random(3000), 76)[:800], 1},
		{"ends behind CR", lines(random(3000), 76)[:779], 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			if runs := findRuns(test.frame); len(runs) != test.runs && test.name != "not of the alphabet" {
				t.Fatalf("runs %v, want %d", runs, test.runs)
			}
			stored := pack(test.frame, c.compress)
			if stored == nil {
				if test.runs > 0 {
					t.Fatal("not packed")
				}
				return
			}
			got, ok := expandFrame(nil, framePacked, stored, len(test.frame), c.prefix)
			if !ok || !bytes.Equal(got, test.frame) {
				t.Fatalf("%v\n%q\nwant\n%q", ok, got, test.frame)
			}
			for _, n := range []int{0, 1, len(test.frame) - 1, len(test.frame) + 1} {
				if got, ok := expandFrame(nil, framePacked, stored, n, c.prefix); ok {
					t.Errorf("%d octets of %d: %q", n, len(test.frame), got)
				}
			}
		})
	}
}

// FuzzPack: whatever a frame holds, it is given back octet for octet.
func FuzzPack(f *testing.F) {
	c := testCoder(f)
	f.Add(lines(random(600), 76))
	f.Add(append(lines(random(300), 64), "=\r\n\n\r"...))
	f.Fuzz(func(t *testing.T, frame []byte) {
		stored := pack(frame, c.compress)
		if stored == nil {
			return
		}
		if got, ok := expandFrame(nil, framePacked, stored, len(frame), c.prefix); !ok || !bytes.Equal(got, frame) {
			t.Fatalf("%v %q, want %q", ok, got, frame)
		}
	})
}

// FuzzUnpack: whatever is stored, unpacking takes no more than it says, and
// gives as many octets as the frame has.
func FuzzUnpack(f *testing.F) {
	c := testCoder(f)
	f.Add(pack(lines(random(600), 76), c.compress), 824)
	f.Add([]byte{0, 1, 0, 48, 2, 0}, 100)
	f.Fuzz(func(t *testing.T, stored []byte, octets int) {
		octets = int(uint(octets) % (frameOctets + 1))
		got, ok := expandFrame(nil, framePacked, stored, octets, c.prefix)
		if ok && len(got) != octets {
			t.Fatalf("%d octets, want %d", len(got), octets)
		}
	})
}

func TestEncodeBase64(t *testing.T) {
	for n := 0; n < 300; n += 3 {
		got := make([]byte, n/3*4)
		encodeBase64(got, random(n))
		if want := base64.StdEncoding.EncodeToString(random(n)); string(got) != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

func BenchmarkEncodeBase64(b *testing.B) {
	src, dst := random(57), make([]byte, 76)
	b.SetBytes(76)
	b.Run("own", func(b *testing.B) {
		b.SetBytes(76)
		for range b.N {
			encodeBase64(dst, src)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.SetBytes(76)
		for range b.N {
			base64.StdEncoding.Encode(dst, src)
		}
	})
}

// TestFramePanics: a frame whose coding panics is kept as it is.
func TestFramePanics(t *testing.T) {
	c := &coder{} // without an encoder
	if stored, coding := c.frame([]byte("text")); string(stored) != "text" || coding != 0 {
		t.Errorf("%q, %d", stored, coding)
	}
}
