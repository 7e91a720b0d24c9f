package harness

import (
	"bytes"
	"fmt"
	"net"
	"time"
)

// Bulk is an IMAP connection for measuring: it reads answers into one buffer,
// looks only for their end, and allocates nothing. It is used by one goroutine.
type Bulk struct {
	nc     net.Conn
	buf    []byte
	Octets int64 // of the last answer
}

// DialBulk connects and logs in. Connections that read one at a time may share
// a buffer, which must not be small.
func DialBulk(addr, user, password string, buf []byte) (*Bulk, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	c := &Bulk{nc: nc, buf: buf}
	if err = c.await("* OK "); err == nil {
		err = c.Do(fmt.Sprintf("LOGIN %q %q", user, password))
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// Do sends a command, with its non-synchronising literals, and reads its
// answer. One that is not OK is an *Answer error.
func (c *Bulk) Do(command string) error {
	if _, err := c.nc.Write([]byte("a " + command + "\r\n")); err != nil {
		return err
	}
	return c.await("a OK ")
}

// Close closes the connection without LOGOUT.
func (c *Bulk) Close() error { return c.nc.Close() }

// await reads until a line that begins with the text, which must be the last.
func (c *Bulk) await(text string) error {
	c.Octets = 0
	have := 0
	for {
		c.nc.SetReadDeadline(time.Now().Add(120 * time.Second))
		n, err := c.nc.Read(c.buf[have:])
		if err != nil {
			return err
		}
		c.Octets += int64(n)
		have += n
		last := bytes.LastIndexByte(c.buf[:max(have-1, 0)], '\n') + 1
		line := c.buf[last:have]
		switch {
		case line[len(line)-1] == '\n' && bytes.HasPrefix(line, []byte(text)):
			return nil
		case line[len(line)-1] == '\n' && bytes.HasPrefix(line, []byte("a ")):
			return &Answer{"a", string(bytes.TrimSpace(line[2:]))}
		}
		// A line that is longer than half of the buffer is no last line.
		have = copy(c.buf, line[max(0, len(line)-len(c.buf)/2):])
	}
}
