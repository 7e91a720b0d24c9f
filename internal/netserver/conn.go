package netserver

import (
	"bytes"
	"container/list"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/fair"
)

const (
	readBuffer  = 16 << 10 // a whole TLS record's text, so that none stays inside the TLS layer while parked
	writeBuffer = 16 << 10
	// firstWriteBuffer is for answers to a peer without LargeOutput: with it, a
	// full read buffer and a command, nobody costs more than 32 KiB
	// (reliability paper S1).
	firstWriteBuffer = 4 << 10
	// How long a client may take no output (reliability paper 4.4): one that
	// must show soon who it is, and any other unless the options say otherwise.
	stalledBeforeDeadlineMax = 30 * time.Second
	stalledMax               = 5 * time.Minute
	// handshakeMax is how long a TLS handshake may take, unless the options say otherwise.
	handshakeMax = 30 * time.Second
)

// Errors of reading.
var (
	ErrLineTooLong = errors.New("the line is too long")
	ErrTimeout     = errors.New("the client was silent for too long")
)

var readBuffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}
var writeBuffers = sync.Pool{New: func() any { return new([writeBuffer]byte) }}
var firstWriteBuffers = sync.Pool{New: func() any { return new([firstWriteBuffer]byte) }}

// Conn is one client connection.
type Conn struct {
	nc    net.Conn // TLS or plain
	plain net.Conn
	// raw is that of plain, and onInput is takeInput: what each wait for a command
	// would make. They are nil before the first one.
	raw     syscall.RawConn
	onInput func(fd uintptr) (there bool)
	s       *Server
	tls     *tls.Conn
	// records is what is between TLS and the wire.
	records *recordConn
	// tlsConfig is that of the listener: tickets of one connection resume another.
	tlsConfig *tls.Config
	id        string
	timeout   time.Duration
	deadline  time.Time   // in the place of timeout, unless it is zero
	secure    bool        // the octets do not leave the machine
	large     bool        // the next output buffer is
	stopped   atomic.Bool // Interrupt was called

	listener *ListenerOptions
	resume   func(ctx context.Context) // of MaySleep
	until    time.Time                 // when the wait ends that may go on asleep; zero: there is none
	asleep   bool                      // the handler was told so
	watched  bool                      // the kernel knows it; fd and this are under the sleepers' lock
	fd       int32                     // of plain, since it slept first

	anonymous *list.Element // under the server's lock; nil once the peer is known
	users     []string      // under the server's lock; whose session it is
	// taps are what is told to traces: nil, mostly. They are replaced under the
	// server's lock.
	taps atomic.Pointer[[]tap]

	wake struct {
		sync.Mutex
		waiting bool // ParkForWake is, or slept
		pending bool // Wake was called since it returned
	}

	in     *[readBuffer]byte // nil while parked
	r, w   int               // in[r:w] is unread
	out    []byte            // a whole buffer of one of the pools, or nil
	n      int               // out[:n] is unwritten
	outErr error

	compressed *compression // nil: octets go as they are

	work *fair.Work
	traffic
}

func newConn(s *Server, nc net.Conn, config *tls.Config) *Conn {
	var id [10]byte
	rand.Read(id[:])
	return &Conn{nc: nc, plain: nc, s: s, tlsConfig: config, id: base32.StdEncoding.EncodeToString(id[:]), timeout: time.Minute, work: s.turns.NewWork()}
}

// Work is what takes turns with other connections. It is at work whenever the
// connection does not wait for its peer.
func (c *Conn) Work() *fair.Work { return c.work }

// ID returns a short name of the session for logs.
func (c *Conn) ID() string { return c.id }

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// Remote returns the client's address; the zero value for a UNIX socket.
func (c *Conn) Remote() netip.AddrPort { return addrPort(c.plain.RemoteAddr()) }

// Local returns the server's address; the zero value for a UNIX socket.
func (c *Conn) Local() netip.AddrPort { return addrPort(c.plain.LocalAddr()) }

// IsUnix reports whether the connection came over a UNIX socket.
func (c *Conn) IsUnix() bool { _, ok := c.plain.LocalAddr().(*net.UnixAddr); return ok }

// IsTLS reports whether the connection is encrypted.
func (c *Conn) IsTLS() bool { return c.tls != nil }

// TLSAvailable reports whether StartTLS can be offered.
func (c *Conn) TLSAvailable() bool { return c.tls == nil && c.s.certificates != nil }

// Secure reports whether passwords may be sent in clear: inside TLS or when
// the octets do not leave the machine.
func (c *Conn) Secure() bool { return c.secure || c.tls != nil }

// SetReadTimeout sets how long each following wait for input may take.
func (c *Conn) SetReadTimeout(d time.Duration) { c.timeout, c.deadline = d, time.Time{} }

// SetReadDeadline sets when waiting for input ends, however much comes until
// then: a client that sends an octet now and then gains nothing.
func (c *Conn) SetReadDeadline(t time.Time) { c.deadline = t }

// Pending reports whether there is something of the peer's that was not read.
func (c *Conn) Pending() bool {
	return c.r < c.w || c.compressed != nil && c.compressed.pending()
}

// HasLine reports whether a whole line is there to be read without waiting.
func (c *Conn) HasLine() bool {
	for from := c.r; ; {
		if c.in != nil && bytes.IndexByte(c.in[from:c.w], '\n') >= 0 {
			return true
		}
		read := c.w - c.r
		if c.compressed == nil || !c.inflateMore() {
			return false
		}
		from = c.r + read
	}
}

// room makes sure that there is an input buffer.
func (c *Conn) room() {
	if c.in == nil {
		c.in = readBuffers.Get().(*[readBuffer]byte)
	}
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
}

// fill waits for more input. The buffer must have room.
func (c *Conn) fill() error {
	c.room()
	n, err := c.wait(c.in[c.w:])
	c.w += n
	return err
}

// wait waits for octets from the peer. What was answered goes before, so that
// no output is held while a peer sends half a command.
func (c *Conn) wait(p []byte) (int, error) {
	if c.n > 0 {
		c.Flush() // its error stays, and the peer may have more to say
	}
	c.startWait(false)
	n, err := c.read(p)
	c.endWait()
	c.received += int64(n)
	if n > 0 {
		return n, nil
	}
	return 0, readError(err)
}

func readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}

// ReadLine returns the next line without its end, CRLF or LF, of at most max
// octets. It is valid until the next read. After ErrLineTooLong the rest of
// the line is unread.
func (c *Conn) ReadLine(max int) ([]byte, error) {
	var long []byte // what did not fit into the buffer
	seen := 0
	for {
		if c.in != nil {
			if i := bytes.IndexByte(c.in[c.r+seen:c.w], '\n'); i >= 0 {
				line := c.in[c.r : c.r+seen+i]
				c.r += seen + i + 1
				if long != nil {
					line = append(long, line...)
				}
				line = bytes.TrimSuffix(line, []byte("\r"))
				if len(line) > max {
					return nil, ErrLineTooLong
				}
				for _, tap := range c.traced() {
					tap.Line(line)
				}
				return line, nil
			}
		}
		seen = c.w - c.r
		if len(long)+seen > max+1 {
			return nil, ErrLineTooLong
		}
		if c.in != nil && c.w == len(c.in) {
			if c.r > 0 {
				copy(c.in[:], c.in[c.r:c.w])
				c.r, c.w = 0, seen
			} else {
				if cap(long)-len(long) < len(c.in) {
					long = slices.Grow(long, len(long)+len(c.in)) // append would grow by a quarter
				}
				long = append(long, c.in[:]...)
				c.r, c.w, seen = 0, 0, 0
			}
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// read takes octets from the peer, through the compression layer if there is one.
func (c *Conn) read(p []byte) (int, error) {
	if c.compressed != nil {
		return c.readCompressed(p)
	}
	return c.readWire(p)
}

// readWire takes octets from the peer as they are, or as TLS gives them.
func (c *Conn) readWire(p []byte) (int, error) {
	n, err := c.nc.Read(p)
	if n > 0 && c.records != nil {
		c.records.useless = 0
	}
	return n, err
}

// Read returns octets, those in the buffer first.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.readSome(p)
	for _, tap := range c.traced() {
		tap.Octets(p[:n])
	}
	return n, err
}

func (c *Conn) readSome(p []byte) (int, error) {
	if c.r == c.w {
		if len(p) >= readBuffer {
			return c.wait(p)
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.in[c.r:c.w])
	c.r += n
	return n, nil
}

// ReadSlice returns what is in the buffer, waiting for it if need be. It is
// valid until the next read; Discard says how much of it was used.
func (c *Conn) ReadSlice() ([]byte, error) {
	if c.r == c.w {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	return c.in[c.r:c.w], nil
}

// Discard drops n buffered octets.
func (c *Conn) Discard(n int) {
	for _, tap := range c.traced() {
		tap.Octets(c.in[c.r : c.r+n])
	}
	c.r += n
}

// releaseInput gives an empty read buffer back.
func (c *Conn) releaseInput() {
	if c.in != nil && c.r == c.w {
		readBuffers.Put(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
}

// Write puts octets into the output buffer, and writes when it is full.
func (c *Conn) Write(p []byte) (int, error) {
	n := len(p)
	c.written += int64(n)
	for _, tap := range c.traced() {
		tap.Sent(p)
	}
	for len(p) > 0 && c.outErr == nil {
		if c.n == 0 && len(p) >= writeBuffer {
			c.writeOut(p)
			break
		}
		c.outRoom()
		k := copy(c.out[c.n:], p)
		c.n += k
		if p = p[k:]; c.n == len(c.out) {
			c.Flush()
		}
	}
	return n, c.outErr
}

// WriteString is Write for a string.
func (c *Conn) WriteString(s string) (int, error) {
	n := len(s)
	c.written += int64(n)
	for _, tap := range c.traced() {
		tap.Sent([]byte(s))
	}
	for len(s) > 0 && c.outErr == nil {
		c.outRoom()
		k := copy(c.out[c.n:], s)
		c.n += k
		if s = s[k:]; c.n == len(c.out) {
			c.Flush()
		}
	}
	return n, c.outErr
}

// AvailableBuffer returns an empty slice of the free part of the output
// buffer, to be appended to and given to Write at once.
func (c *Conn) AvailableBuffer() []byte {
	c.outRoom()
	return c.out[c.n:c.n]
}

// LargeOutput says whether much output may wait to be sent at once: to a peer
// that nobody knows there is little to say.
func (c *Conn) LargeOutput(large bool) { c.large = large }

// outRoom makes sure that there is an output buffer.
func (c *Conn) outRoom() {
	switch {
	case c.out != nil:
	case c.large:
		c.out = writeBuffers.Get().(*[writeBuffer]byte)[:]
	default:
		c.out = firstWriteBuffers.Get().(*[firstWriteBuffer]byte)[:]
	}
}

// releaseOutput gives the output buffer back.
func (c *Conn) releaseOutput() {
	switch len(c.out) {
	case writeBuffer:
		writeBuffers.Put((*[writeBuffer]byte)(c.out))
	case firstWriteBuffer:
		firstWriteBuffers.Put((*[firstWriteBuffer]byte)(c.out))
	}
	c.out = nil
}

func (c *Conn) writeOut(p []byte) {
	for len(p) > 0 && c.outErr == nil {
		// Each piece has its own time, so that a slow reader of a large
		// message is not taken for one that reads nothing.
		piece := p[:min(len(p), 256<<10)]
		if c.Compressed() {
			piece = p[:min(len(p), compressMax)]
			c.sendCompressed(piece, false)
		} else {
			c.send(piece)
		}
		p = p[len(piece):]
	}
}

// send puts octets on the wire.
func (c *Conn) send(p []byte) {
	stalled := c.s.opts.StalledTime
	if !c.deadline.IsZero() {
		stalled = min(stalled, stalledBeforeDeadlineMax)
	}
	c.work.Rest()
	c.waitBegan = time.Now()
	c.nc.SetWriteDeadline(c.waitBegan.Add(stalled))
	_, c.outErr = c.nc.Write(p)
	c.endWait()
}

// Flush writes the output buffer and gives it back.
func (c *Conn) Flush() error {
	for _, tap := range c.traced() {
		tap.Flush()
	}
	if c.n > 0 {
		n := c.n
		c.n = 0
		c.writeOut(c.out[:n])
	}
	c.releaseOutput()
	return c.outErr
}

// StartTLS makes the connection a TLS one. It refuses when the client sent
// octets behind the command: they might be an attacker's (RFC 3501 §6.2.1).
// After an error the connection is closed.
func (c *Conn) StartTLS(ctx context.Context) error {
	if c.Pending() {
		c.Close()
		return errs.New("netserver.StartTLS", errs.Invalid, "octets before the TLS handshake")
	}
	c.releaseInput()
	return c.handshake(ctx)
}

func (c *Conn) handshake(ctx context.Context) error {
	records := &recordConn{Conn: c.plain}
	t := tls.Server(records, c.tlsConfig)
	ctx, cancel := context.WithTimeout(ctx, c.s.opts.HandshakeTime)
	defer cancel()
	// On a goroutine of its own, so that the session's stack stays small.
	done := make(chan error, 1)
	go func() { done <- t.HandshakeContext(ctx) }()
	if err := <-done; err != nil {
		c.plain.Close()
		return errs.As("netserver.handshake", errs.Temporary, "", err)
	}
	records.useless = 0
	c.nc, c.tls, c.records = t, t, records
	return nil
}

// Close closes the connection without flushing.
func (c *Conn) Close() error { return c.plain.Close() }

// release gives all buffers back when the session has ended.
func (c *Conn) release() {
	if c.in != nil {
		readBuffers.Put(c.in)
		c.in, c.r, c.w = nil, 0, 0
	}
	c.releaseOutput()
	if c.compressed != nil {
		c.compressed.release()
	}
}
