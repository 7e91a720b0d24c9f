package netserver

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
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

// together is a connection whose writes wait for send.
type together struct {
	net.Conn
	held bytes.Buffer
	hold bool
}

func (c *together) Write(p []byte) (int, error) {
	if c.hold {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *together) send() {
	c.Conn.Write(c.held.Bytes())
	c.held.Reset()
}

// TestWakeInside: a TLS record that says nothing inside compression, and came with
// one that does, does not end the wait for Wake.
func TestWakeInside(t *testing.T) {
	conns := make(chan *Conn, 1)
	f := start(t, Options{}, ListenerOptions{Protocol: "wake", ImplicitTLS: true, Handler: func(_ context.Context, c *Conn) {
		c.Compress()
		conns <- c
		for {
			woken, err := c.ParkForWake()
			line := []byte("woken")
			if err == nil && !woken {
				line, err = c.ReadLine(100)
			}
			if err != nil {
				return
			}
			c.WriteString(string(line) + "\n")
			c.Flush()
		}
	}})
	nc, _ := dial(t, f.addr)
	wire := &together{Conn: nc}
	tc := tls.Client(wire, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	c := <-conns
	r := bufio.NewReader(flate.NewReader(tc))
	w, _ := flate.NewWriter(tc, 6)
	wire.hold = true
	for range 20 {
		io.WriteString(w, "x\n")
		w.Flush()
		w.Flush() // says nothing, in a record of its own
		wire.send()
		if got, err := r.ReadString('\n'); got != "x\n" {
			t.Fatal(got, err)
		}
		c.Wake()
		if got, err := r.ReadString('\n'); got != "woken\n" {
			t.Fatal(got, err)
		}
	}
}
