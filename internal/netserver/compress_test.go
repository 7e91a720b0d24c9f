package netserver

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// compressing answers each line with itself inside a compression layer, and
// parks before each. What it holds while parked goes to held.
func compressing(held func(c *Conn)) Handler {
	return func(_ context.Context, c *Conn) {
		c.Compress()
		for {
			if err := c.Await(); err != nil {
				return
			}
			line, err := c.ReadLine(1 << 20)
			if err != nil {
				return
			}
			if string(line) == "held" {
				held(c)
			}
			c.Write(append(line, '\n'))
		}
	}
}

// TestCompression: lines of all lengths come back, however they were cut.
func TestCompression(t *testing.T) {
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", Handler: compressing(nil)})
	nc, wire := dial(t, f.addr)
	r := flate.NewReader(wire)
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, 6)
	for range 60 {
		var sent bytes.Buffer
		for range 1 + rand.IntN(5) {
			for range rand.IntN(1 << rand.IntN(17)) {
				sent.WriteByte('a' + byte(rand.IntN(1+rand.IntN(20))))
			}
			sent.WriteByte('\n')
			if rand.IntN(2) == 0 {
				w.Write(sent.Bytes()[:0])
				w.Flush()
			}
		}
		w.Write(sent.Bytes())
		w.Flush()
		go func(b []byte) { // the answers may fill the wire before all is sent
			for len(b) > 0 {
				k := min(len(b), 1+rand.IntN(5000))
				nc.Write(b[:k])
				b = b[k:]
			}
		}(bytes.Clone(out.Bytes()))
		out.Reset()
		got := make([]byte, sent.Len())
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, sent.Bytes()) {
			t.Fatalf("of %d octets: %v", sent.Len(), err)
		}
	}
}

// TestCompressionHolds: what a connection holds while it waits (invariant 2).
func TestCompressionHolds(t *testing.T) {
	report := make(chan string, 1)
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", Handler: compressing(func(c *Conn) {
		c.Write([]byte("answer\n"))
		c.Flush()
		c.Wake()
		between := len(c.compressed.sent)
		c.ParkForWake()
		report <- fmt.Sprint(c.in == nil, c.out == nil, c.compressed.in == nil, between, c.compressed.sent == nil)
	})})
	nc, wire := dial(t, f.addr)
	r := flate.NewReader(wire)
	w, _ := flate.NewWriter(nc, 6)
	for _, tc := range []struct {
		lines int
		want  string
	}{{1, "true true true 7 true"}, {2000, "true true true 2048 true"}} {
		text := strings.Repeat("x\n", tc.lines-1) + "held\n"
		io.WriteString(w, text)
		w.Flush()
		if _, err := io.ReadFull(r, make([]byte, len(text)+len("answer\n"))); err != nil {
			t.Fatal(err)
		}
		if got := <-report; got != tc.want {
			t.Errorf("%d lines: %s, want %s", tc.lines, got, tc.want)
		}
	}
}
