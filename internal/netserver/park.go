package netserver

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Park gives the buffers back and waits until there is input, its end, or the
// read timeout. Only what the operating system and the TLS layer keep is left
// of the connection meanwhile.
func (c *Conn) Park() error {
	if c.Pending() {
		return nil
	}
	c.releaseInput()
	c.startWait(true)
	err := c.waitInput()
	if c.fallsAsleep(err) {
		return ErrAsleep
	}
	c.endPark()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return nil // what is wrong with the connection, reading will tell
}

// Await waits for the next command, parked. Answers are written when no further
// whole line is waiting: pipelined commands are answered in one write, and half
// a line holds nothing back.
func (c *Conn) Await() error {
	if c.HasLine() {
		return nil
	}
	if err := c.Flush(); err != nil {
		return err
	}
	return c.Park()
}

// ParkForWake is Park that Wake ends too. What Wake said while nobody waited
// counts.
func (c *Conn) ParkForWake() (woken bool, err error) { return c.parkForWake(false) }

// SleepForWake is ParkForWake where mostly nothing comes for long: a connection that
// may sleep does so at once.
func (c *Conn) SleepForWake() (woken bool, err error) { return c.parkForWake(true) }

func (c *Conn) parkForWake(long bool) (woken bool, err error) {
	defer c.boundary()
	if c.Pending() {
		return false, nil
	}
	c.releaseInput()
	c.forgetSent()
	c.wake.Lock()
	if c.wake.pending {
		c.wake.pending, c.until = false, time.Time{}
		c.wake.Unlock()
		return true, nil
	}
	c.wake.waiting = true
	if long && c.sleepsAtOnce() {
		c.wake.Unlock()
		return false, ErrAsleep
	}
	c.startWait(true)
	c.wake.Unlock()
	return c.woken(c.waitInput())
}

// woken ends the wait of ParkForWake.
func (c *Conn) woken(err error) (woken bool, _ error) {
	c.wake.Lock()
	defer c.wake.Unlock()
	woken = c.wake.pending
	if !woken && c.fallsAsleep(err) {
		return false, ErrAsleep
	}
	c.endPark()
	c.wake.waiting, c.wake.pending = false, false
	switch {
	case woken:
		return true, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, ErrTimeout
	}
	return false, nil
}

// Wake ends a running ParkForWake, or one that sleeps, or the next, and disturbs nothing else. Any
// goroutine may call it; it does not wait.
func (c *Conn) Wake() {
	if c.wakes() {
		c.s.sleepers.rouse(c)
	}
}

// wakes ends a running ParkForWake, and reports whether there was one: it may be
// asleep.
func (c *Conn) wakes() bool {
	c.wake.Lock()
	defer c.wake.Unlock()
	c.wake.pending = true
	if c.wake.waiting {
		c.plain.SetReadDeadline(time.Unix(1, 0))
	}
	return c.wake.waiting
}

// startWait sets the deadline of the wait for input that begins, or goes on after the
// connection slept. Before one that may sleep comes the time to fall asleep.
func (c *Conn) startWait(maySleep bool) {
	deadline := c.beginWait()
	if maySleep && c.resume != nil {
		c.until = deadline
		if doze := c.waitBegan.Add(c.s.opts.DozeTime); doze.Before(deadline) {
			deadline = doze
		}
	}
	c.plain.SetReadDeadline(deadline)
	if c.stopped.Load() {
		c.plain.SetReadDeadline(time.Unix(1, 0))
	}
}

// beginWait returns when the wait ends that begins or goes on.
func (c *Conn) beginWait() (deadline time.Time) {
	c.work.Rest()
	c.waitBegan = time.Now()
	if deadline = cmp.Or(c.until, c.deadline); deadline.IsZero() {
		deadline = c.waitBegan.Add(c.timeout)
	}
	return deadline
}

// endWait counts the time since waitBegan.
func (c *Conn) endWait() {
	c.waited += time.Since(c.waitBegan)
	c.work.Start()
}

// endPark ends a wait that might have slept.
func (c *Conn) endPark() {
	c.until = time.Time{}
	c.endWait()
}

// Interrupt makes a running or later wait for input fail with ErrTimeout. Any
// goroutine may call it.
func (c *Conn) Interrupt() {
	c.stopped.Store(true)
	c.plain.SetReadDeadline(time.Unix(1, 0))
	c.s.sleepers.rouse(c)
}

// waitInput waits until there is something to be read, or the read deadline
// passes. What says nothing inside a compression layer wakes nobody.
func (c *Conn) waitInput() error {
	if c.tls == nil && c.compressed == nil {
		return c.waitRead()
	}
	look := isReadable
	if c.records != nil {
		look = c.records.look
	}
	for {
		err := onReadable(c.plain, look)
		if err != nil || c.compressed == nil || c.arrived() {
			return err
		}
	}
}

// waitRead is waitInput where nothing is between us and the wire.
func (c *Conn) waitRead() error {
	raw, err := c.socket()
	if raw == nil {
		return err
	}
	return raw.Read(c.onInput)
}

// socket is rawOf of the connection, made once.
func (c *Conn) socket() (raw syscall.RawConn, err error) {
	if c.raw == nil {
		c.raw, err = rawOf(c.plain)
		c.onInput = c.takeInput
	}
	return c.raw, err
}

// takeInput takes what there is: a look before would be one more system call for
// each command. Only while it looks the connection has a buffer.
func (c *Conn) takeInput(fd uintptr) (there bool) {
	c.room()
	n, err := unix.Read(int(fd), c.in[:])
	if n > 0 {
		c.w, c.received = n, c.received+int64(n)
	}
	c.releaseInput()
	return err != unix.EAGAIN && err != unix.EINTR
}

// isReadable looks whether there is input or its end.
func isReadable(fd int) (there bool) {
	var b [1]byte
	_, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return err != unix.EAGAIN && err != unix.EINTR
}

// onReadable calls look when there may be input, until it reports that there is
// or that there will be none, or the read deadline passes.
func onReadable(nc net.Conn, look func(fd int) (there bool)) error {
	raw, err := rawOf(nc)
	if raw == nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return look(int(fd)) })
}

// rawOf returns the socket of a connection; nil for a test's pipe, of which the read
// itself waits.
func rawOf(nc net.Conn) (syscall.RawConn, error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil, nil
	}
	return sc.SyscallConn()
}

// Gone reports whether the peer has closed the connection, at least its own
// side, and left nothing to be read: it waits for no answer then, since who
// does says goodbye before. Inside TLS and compression only a broken connection is seen.
func (c *Conn) Gone() bool {
	if c.Pending() || c.records != nil && c.records.in != nil {
		return false
	}
	raw, err := rawOf(c.plain)
	if raw == nil {
		return err != nil
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = err == nil && n == 0 || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return gone || err != nil
}

// recordConn hands one TLS record at a time to the TLS layer above it, so that
// no part of a further one is inside that layer while the connection is
// parked: what waits, waits in the kernel or in a buffer of its own, where look
// sees it.
//
// It also ends what only fills the memory of that layer, which by itself keeps
// handshake messages of 64 KiB, before and after the handshake.
type recordConn struct {
	net.Conn
	in      *[recordBuffer]byte // nil unless some of it is unread
	r, w    int                 // in[r:w] is
	left    int                 // octets of the current record still to be handed over
	header  [5]byte
	have    int // of the header
	given   int // of the header
	useless int // octets since the last of which the layer made text
}

// recordBuffer is how much a look takes at once: a command and more.
const recordBuffer = 4 << 10

var recordBuffers = sync.Pool{New: func() any { return new([recordBuffer]byte) }}

// uselessMax is how many octets TLS may take without giving any: a record of
// text has 16 KiB and some, the first message of a client mostly 2 KiB.
const uselessMax = 20 << 10

var errUseless = errors.New("the client sends TLS records that say nothing")

func (r *recordConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.left == 0 && r.given == r.have {
		r.have, r.given = 0, 0
	}
	for r.have < len(r.header) {
		n, err := r.take(r.header[r.have:])
		r.have += n
		if err != nil {
			if r.have > r.given {
				break // hand over what there is; the error comes again
			}
			return 0, err
		}
		if n == 0 {
			return 0, io.ErrNoProgress
		}
		if r.have == len(r.header) {
			r.left = int(r.header[3])<<8 | int(r.header[4])
			if r.useless += len(r.header) + r.left; r.useless > uselessMax {
				return 0, errUseless
			}
		}
	}
	if r.given < r.have {
		n := copy(p, r.header[r.given:r.have])
		r.given += n
		return n, nil
	}
	n, err := r.take(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// take reads octets, those of the last look first.
func (r *recordConn) take(p []byte) (int, error) {
	if r.in == nil {
		return r.Conn.Read(p)
	}
	n := copy(p, r.in[r.r:r.w])
	r.r += n
	r.release()
	return n, nil
}

// release gives an empty buffer back.
func (r *recordConn) release() {
	if r.r == r.w {
		recordBuffers.Put(r.in)
		r.in = nil
	}
}

// look looks whether there is input or its end. It takes the input where a record
// begins: a look that takes nothing, and reading each header alone, would be two more
// system calls for each command.
func (r *recordConn) look(fd int) (there bool) {
	switch {
	case r.in != nil:
		return true
	case r.left > 0 || r.given < r.have:
		return isReadable(fd)
	}
	r.in = recordBuffers.Get().(*[recordBuffer]byte)
	n, err := unix.Read(fd, r.in[:])
	r.r, r.w = 0, max(n, 0)
	r.release()
	return err != unix.EAGAIN && err != unix.EINTR
}
