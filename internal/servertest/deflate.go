package servertest

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// deflated is a connection with a DEFLATE layer on it (RFC 4978).
type deflated struct {
	net.Conn
	wire *bufio.Reader
	w    *flate.Writer
	out  bytes.Buffer
}

// Compress puts DEFLATE streams both ways on the connection. What is sent is
// flushed each time, and cut into pieces anywhere.
func (c *Client) Compress(t testing.TB) {
	t.Helper()
	d := &deflated{Conn: c.Conn, wire: c.r}
	w, err := flate.NewWriter(&d.out, 1+rand.IntN(9))
	if err != nil {
		t.Fatal(err)
	}
	d.w = w
	c.Conn, c.deflated, c.r = d, d, bufio.NewReaderSize(flate.NewReader(c.r), 1<<16)
}

// endDeflated takes the layer off behind the answer to UNAUTHENTICATE, where
// the server's stream must end (RFC 8437 §4.1).
func (c *Client) endDeflated(answer string) (wrong string) {
	if c.deflated == nil || !strings.HasSuffix(answer, " OK UNAUTHENTICATE completed\r\n") {
		return ""
	}
	if _, err := c.r.ReadByte(); err != io.EOF {
		return "<the compressed stream goes on>"
	}
	c.Conn, c.r, c.deflated = c.deflated.Conn, c.deflated.wire, nil
	return ""
}

// Write compresses and sends.
func (d *deflated) Write(p []byte) (int, error) {
	d.w.Write(p) // into memory
	d.w.Flush()
	for d.out.Len() > 0 {
		if _, err := d.Conn.Write(d.out.Next(1 + rand.IntN(2*len(p)+1))); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// Plain is the connection below the layer.
func (c *Client) Plain() net.Conn { return c.deflated.Conn }
