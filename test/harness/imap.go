package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/flate"
)

// IMAP is a client connection. It is used by one goroutine.
type IMAP struct {
	nc  net.Conn
	r   *bufio.Reader
	w   io.Writer // nc, or a layer on it
	tag int

	skipped []byte // buffer of Skip
}

// DialIMAP connects and reads the greeting.
func DialIMAP(addr string) (*IMAP, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return newIMAP(nc)
}

// DialIMAPS is DialIMAP over TLS. The certificate is not checked: it is the
// server's own.
func DialIMAPS(addr string) (*IMAP, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return newIMAP(tls.Client(nc, &tls.Config{InsecureSkipVerify: true}))
}

func newIMAP(nc net.Conn) (*IMAP, error) {
	c := &IMAP{nc: nc, w: nc, r: bufio.NewReaderSize(nc, 1024)}
	nc.SetReadDeadline(time.Now().Add(60 * time.Second))
	if _, err := c.line(); err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// Compress puts COMPRESS=DEFLATE on the connection. What is sent is compressed
// without any state, so that many clients fit into one process.
func (c *IMAP) Compress() error {
	if _, err := c.Do("COMPRESS DEFLATE"); err != nil {
		return err
	}
	c.w, c.r = flate.NewStatelessWriter(c.nc), bufio.NewReaderSize(flate.NewReader(c.r), 1024)
	return nil
}

// Login logs in with quoted strings.
func (c *IMAP) Login(user, password string) error {
	_, err := c.Do(fmt.Sprintf("LOGIN %q %q", user, password))
	return err
}

// Do sends a command and returns its untagged responses, literals in place. An
// answer that is not OK is an *Answer error.
func (c *IMAP) Do(command string) ([]string, error) {
	if err := c.Send(command); err != nil {
		return nil, err
	}
	return c.Await()
}

// Answer is a tagged NO or BAD: the server refused, and nothing happened.
type Answer struct{ Command, Text string }

func (a *Answer) Error() string { return a.Command + ": " + a.Text }

// Send sends a command without waiting for its answer.
func (c *IMAP) Send(command string) error {
	c.tag++
	_, err := fmt.Fprintf(c.w, "t%d %s\r\n", c.tag, command)
	return err
}

// Await reads up to the tagged response of the last command.
func (c *IMAP) Await() ([]string, error) {
	var untagged []string
	tag := fmt.Sprintf("t%d ", c.tag)
	for {
		c.nc.SetReadDeadline(time.Now().Add(120 * time.Second))
		line, err := c.line()
		switch {
		case err != nil:
			return untagged, err
		case !strings.HasPrefix(line, tag):
			untagged = append(untagged, line)
			if strings.HasPrefix(line, "+ ") {
				return untagged, nil
			}
		case strings.HasPrefix(line[len(tag):], "OK"):
			return append(untagged, line[len(tag):]), nil
		default:
			return untagged, &Answer{tag, line[len(tag):]}
		}
	}
}

// Skip is Do for who does not want the responses: it takes them in large reads
// and keeps nothing, so that the client costs little.
func (c *IMAP) Skip(command string) error {
	if err := c.Send(command); err != nil {
		return err
	}
	tag := fmt.Appendf(nil, "t%d ", c.tag)
	const lineMax = 4096 // of the tagged response
	if c.skipped == nil {
		c.skipped = make([]byte, lineMax+64<<10)
	}
	buf, kept := c.skipped, 0 // octets of what came before
	for {
		c.nc.SetReadDeadline(time.Now().Add(120 * time.Second))
		n, err := c.r.Read(buf[kept:])
		if err != nil {
			return err
		}
		got := buf[:kept+n]
		if line, whole := bytes.CutSuffix(got, []byte("\r\n")); whole {
			line = line[bytes.LastIndexByte(line, '\n')+1:]
			if text, mine := bytes.CutPrefix(line, tag); mine {
				if !bytes.HasPrefix(text, []byte("OK")) {
					return &Answer{string(tag), string(text)}
				}
				return nil
			}
		}
		kept = copy(buf, got[max(0, len(got)-lineMax):])
	}
}

// Append appends a message with a non-synchronising literal.
func (c *IMAP) Append(mailbox, flags, message string) ([]string, error) {
	return c.Do(fmt.Sprintf("APPEND %q (%s) {%d+}\r\n%s", mailbox, flags, len(message), message))
}

// line reads one response with its literals, without the final CRLF.
func (c *IMAP) line() (string, error) {
	var b strings.Builder
	for {
		s, err := c.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		s = strings.TrimRight(s, "\r\n")
		b.WriteString(s)
		n, ok := literalSize(s)
		if !ok {
			return b.String(), nil
		}
		b.WriteString("\r\n")
		if _, err := io.CopyN(&b, c.r, n); err != nil {
			return "", err
		}
	}
}

func literalSize(s string) (int64, bool) {
	if !strings.HasSuffix(s, "}") {
		return 0, false
	}
	i := strings.LastIndexByte(s, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(s[i+1:len(s)-1], 10, 64)
	return n, err == nil && n >= 0
}

// Number returns the number that follows key in one of the responses, e.g.
// "[UIDVALIDITY ".
func Number(responses []string, key string) (uint64, bool) {
	for _, r := range responses {
		if i := strings.Index(r, key); i >= 0 {
			rest := r[i+len(key):]
			end := 0
			for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
				end++
			}
			if n, err := strconv.ParseUint(rest[:end], 10, 64); err == nil {
				return n, true
			}
		}
	}
	return 0, false
}

// Listen reads untagged responses for a while.
func (c *IMAP) Listen(d time.Duration) (lines []string, err error) {
	end := time.Now().Add(d)
	for {
		c.nc.SetReadDeadline(end)
		if _, err := c.r.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			return lines, err
		}
		c.nc.SetReadDeadline(time.Now().Add(60 * time.Second)) // the rest of what has begun
		line, err := c.line()
		if err != nil {
			return lines, err
		}
		lines = append(lines, line)
	}
}

// Done ends IDLE; its tagged response is to be awaited.
func (c *IMAP) Done() error {
	_, err := io.WriteString(c.nc, "DONE\r\n")
	return err
}

// Close closes the connection without LOGOUT.
func (c *IMAP) Close() error { return c.nc.Close() }

// AwaitUntagged reads until an untagged response ends with suffix.
func (c *IMAP) AwaitUntagged(suffix string) error {
	for {
		c.nc.SetReadDeadline(time.Now().Add(30 * time.Second))
		line, err := c.line()
		if err != nil {
			return err
		}
		if strings.HasPrefix(line, "* ") && strings.HasSuffix(line, suffix) {
			return nil
		}
	}
}
