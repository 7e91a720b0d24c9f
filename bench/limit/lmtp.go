package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strings"
)

// serveLMTP is one session. It keeps of a message that it came, and its octets in the
// log.
func (s *site) serveLMTP(conn net.Conn) {
	in := bufio.NewReaderSize(conn, 16<<10)
	conn.Write([]byte("220 ready\r\n"))
	var to []*account
	var octets, out []byte
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		verb, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		switch string(verb) {
		case "LHLO":
			out = append(out, "250-limit\r\n250 PIPELINING\r\n"...)
		case "RCPT": // TO:<user@domain>
			to = append(to, s.account(bytes.TrimPrefix(rest, []byte("TO:<"))))
			out = append(out, "250 ok\r\n"...)
		case "DATA":
			if _, err := conn.Write(append(out, "354 go on\r\n"...)); err != nil {
				return
			}
			if octets, err = readData(in, octets[:0]); err == nil {
				err = s.log.write(octets)
			}
			if err != nil {
				return
			}
			for _, a := range to {
				a.deliver()
			}
			out, to = append(out[:0], strings.Repeat("250 ok\r\n", len(to))...), to[:0]
		default:
			out = append(out, "250 ok\r\n"...)
		}
		if in.Buffered() > 0 {
			continue
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}

// readData appends lines up to a dot alone.
func readData(in *bufio.Reader, octets []byte) ([]byte, error) {
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull || string(line) == ".\r\n" {
			return octets, err
		}
		octets = append(octets, line...)
	}
}

// deliver adds a message to what was delivered, and tells who idles.
func (a *account) deliver() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delivered++
	for conn := range a.idling {
		fmt.Fprintf(conn, "* %d EXISTS\r\n", a.delivered)
	}
}

// idle hears of deliveries until the client says something.
func (c *session) idle() error {
	c.account.mu.Lock()
	c.account.idling[c.conn] = true
	c.account.mu.Unlock()
	defer func() {
		c.account.mu.Lock()
		delete(c.account.idling, c.conn)
		c.account.mu.Unlock()
	}()
	if _, err := c.conn.Write([]byte("+ idling\r\n")); err != nil {
		return err
	}
	_, err := c.in.ReadSlice('\n')
	return err
}
