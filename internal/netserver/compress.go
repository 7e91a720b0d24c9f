package netserver

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/angarium/angarium/internal/inflate"
)

const (
	// sentMax is how much of what was sent the next output may refer to. More
	// compresses answers little better, and is held while the peer thinks.
	sentMax = 2 << 10
	// compressMax is how much is compressed at a time.
	compressMax = 64 << 10
	// emptyMax is how many octets a peer may send one behind the other that
	// mean nothing (reliability paper A42).
	emptyMax = 64 << 10
)

// ErrCompression is input that no compression layer makes sense of.
var ErrCompression = errors.New("the compressed input is damaged")

// compression is a layer of raw DEFLATE streams (RFC 1951) between the buffers
// of a connection and the wire. Limits of input hold for what comes out of it,
// which is never more than the reader asked for.
type compression struct {
	inflater inflate.Reader
	in       *[readBuffer]byte // from the wire, in[r:w] not inflated; nil while there is none
	r, w     int
	empty    int    // octets since the last that gave output
	over     bool   // the peer's stream ended
	err      error  // of the input
	sent     []byte // the end of what was sent
	ending   bool   // EndCompression was called: output is plain
}

// Compressed reports whether output is compressed.
func (c *Conn) Compressed() bool { return c.compressed != nil && !c.compressed.ending }

// Compress puts a compression layer on the connection. The output buffer must
// have been flushed, and nothing may be pending.
func (c *Conn) Compress() {
	c.releaseInput()
	c.compressed = &compression{}
}

// EndCompression sends the output buffer as the end of the compressed stream.
// From then on output is plain, and so is input behind the end of the peer's
// stream (RFC 8437 §4.1). What the peer has already said inside the layer is an
// error: its stream ends with the command that ended it.
func (c *Conn) EndCompression() error {
	c.compressed.ending = true
	if c.outErr == nil {
		n := c.n
		c.n = 0
		c.sendCompressed(c.AvailableBuffer()[:n], true)
	}
	c.forgetSent()
	if c.r < c.w {
		return ErrCompression
	}
	return c.Flush()
}

// packed holds output on its way through the compressor.
var packed = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// sendCompressed compresses octets and puts them on the wire, flushed: the peer
// sees all of them.
func (c *Conn) sendCompressed(p []byte, last bool) {
	b := packed.Get().(*bytes.Buffer)
	defer packed.Put(b)
	b.Reset()
	flate.StatelessDeflate(b, p, last, c.compressed.sent) // a bytes.Buffer takes everything
	c.compressed.remember(p)
	c.send(b.Bytes())
}

// remember keeps the end of what was sent.
func (z *compression) remember(p []byte) {
	if z.sent == nil {
		z.sent = make([]byte, 0, sentMax)
	}
	p = p[max(0, len(p)-sentMax):]
	if over := len(z.sent) + len(p) - sentMax; over > 0 {
		z.sent = z.sent[:copy(z.sent, z.sent[over:])]
	}
	z.sent = append(z.sent, p...)
}

// forgetSent makes the next output refer to nothing before it, for which the
// peer needs to know nothing.
func (c *Conn) forgetSent() {
	if c.compressed != nil {
		c.compressed.sent = nil
	}
}

// pending reports whether there may be output without further input.
func (z *compression) pending() bool { return z.in != nil || z.inflater.More() }

// readCompressed is read inside the layer.
func (c *Conn) readCompressed(p []byte) (int, error) {
	for {
		if n, err := c.inflate(p); n > 0 || err != nil {
			return n, err
		}
		if c.compressed == nil {
			return c.readWire(p)
		}
		if err := c.take(); err != nil {
			return 0, err
		}
	}
}

// take waits for octets from the wire. All before were inflated.
func (c *Conn) take() error {
	z := c.compressed
	in := readBuffers.Get().(*[readBuffer]byte)
	n, err := c.readWire(in[:])
	if n == 0 {
		readBuffers.Put(in)
		return readError(err)
	}
	z.in, z.r, z.w = in, 0, n
	return nil
}

// inflateMore puts what is there already into the input buffer, up to the next
// flush, and reports whether that was something.
func (c *Conn) inflateMore() bool {
	if !c.compressed.pending() {
		return false
	}
	c.room()
	n, _ := c.inflate(c.in[c.w:]) // an error stays
	c.w += n
	c.received += int64(n)
	return n > 0
}

// arrived takes what came from the wire, and reports whether reading has
// something to tell: octets, or an error.
func (c *Conn) arrived() bool {
	if c.take() != nil || c.inflateMore() || c.compressed == nil || c.compressed.err != nil {
		return true
	}
	c.releaseInput()
	return false
}

// inflate puts out what is there already, up to the next flush: 0 octets and no
// error mean that more is needed from the wire.
func (c *Conn) inflate(p []byte) (n int, err error) {
	z := c.compressed
	switch {
	case z.err != nil:
		return 0, z.err
	case z.ending:
		n = z.unwind(p)
	default:
		n = z.inflate(p)
	}
	if z.in != nil && z.r == z.w {
		z.release()
		if z.ending && z.over {
			c.compressed = nil
		}
	}
	if n > 0 {
		return n, nil
	}
	return 0, z.err
}

// inflate is Conn.inflate for a stream that goes on.
func (z *compression) inflate(p []byte) int {
	var in []byte
	if z.in != nil {
		in = z.in[z.r:z.w]
	}
	n, used, err := z.inflater.Inflate(p, in)
	z.r += used
	if z.empty += used; n > 0 {
		z.empty = 0
	}
	z.over = err == io.EOF
	switch {
	case z.over && n == 0:
		z.err = io.EOF
	case err != nil && !z.over, z.empty > emptyMax:
		z.err = ErrCompression
	}
	return n
}

// unwind is Conn.inflate for a stream that ends: what is left of it says
// nothing, and what is behind it is plain. A peer that ends its stream without a
// last block stops between two of them, and no command begins with an octet that
// begins one of those that say nothing.
func (z *compression) unwind(p []byte) int {
	for z.r < z.w {
		if z.over = z.over || z.inflater.Between() && z.in[z.r] >= 8; z.over {
			n := copy(p, z.in[z.r:z.w])
			z.r += n
			return n
		}
		var none [1]byte
		n, _, err := z.inflater.Inflate(none[:], z.in[z.r:z.r+1])
		z.r++
		if z.over = err == io.EOF; n > 0 || err != nil && !z.over {
			z.err = ErrCompression
			return 0
		}
	}
	return 0
}

// release gives the buffer back.
func (z *compression) release() {
	if z.in != nil {
		readBuffers.Put(z.in)
		z.in = nil
	}
}
