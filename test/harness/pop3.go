package harness

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// POP3 is a client connection. It is used by one goroutine.
type POP3 struct {
	nc net.Conn
	r  *bufio.Reader
}

// DialPOP3 connects and logs in.
func DialPOP3(addr, user, password string) (*POP3, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	p := &POP3{nc, bufio.NewReader(nc)}
	if _, err = p.line(); err == nil {
		if _, err = p.Do("USER " + user); err == nil {
			_, err = p.Do("PASS " + password)
		}
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return p, nil
}

// Do sends a command and returns the text of +OK. -ERR is an *Answer error.
func (p *POP3) Do(command string) (string, error) {
	if _, err := fmt.Fprintf(p.nc, "%s\r\n", command); err != nil {
		return "", err
	}
	line, err := p.line()
	if err != nil {
		return "", err
	}
	text, ok := strings.CutPrefix(line, "+OK")
	if !ok {
		return "", &Answer{command, line}
	}
	return strings.TrimSpace(text), nil
}

// Lines is Do for a multi-line response, without what RFC 1939 §3 stuffed.
func (p *POP3) Lines(command string) ([]string, error) {
	if _, err := p.Do(command); err != nil {
		return nil, err
	}
	var lines []string
	for {
		line, err := p.line()
		if err != nil || line == "." {
			return lines, err
		}
		lines = append(lines, strings.TrimPrefix(line, "."))
	}
}

// Close closes the connection without QUIT.
func (p *POP3) Close() error { return p.nc.Close() }

func (p *POP3) line() (string, error) {
	p.nc.SetReadDeadline(time.Now().Add(60 * time.Second))
	line, err := p.r.ReadString('\n')
	return strings.TrimRight(line, "\r\n"), err
}
