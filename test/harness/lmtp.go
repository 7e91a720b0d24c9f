package harness

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"
)

// LMTP is a client connection. It is used by one goroutine.
type LMTP struct {
	nc net.Conn
	r  *bufio.Reader
}

// DialLMTP connects to host:port or to the path of a UNIX socket and says LHLO.
func DialLMTP(addr string) (*LMTP, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	nc, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	l := &LMTP{nc, bufio.NewReader(nc)}
	if _, err = l.reply(); err == nil {
		err = l.expect("250", "LHLO harness.example")
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return l, nil
}

// Deliver sends one message, whose lines end in CRLF, to the recipients, and
// returns one reply for each: that to DATA's end or, for one refused before,
// that to RCPT. The error is for a broken connection, after which nothing is
// known of the message.
func (l *LMTP) Deliver(from string, to []string, message string) ([]string, error) {
	if err := l.expect("250", "MAIL FROM:<"+from+">"); err != nil {
		return nil, err
	}
	replies := make([]string, len(to))
	accepted := 0
	for i, rcpt := range to {
		r, err := l.command("RCPT TO:<" + rcpt + ">")
		if err != nil {
			return nil, err
		}
		if replies[i] = r; strings.HasPrefix(r, "250") {
			accepted++
			replies[i] = ""
		}
	}
	if accepted == 0 {
		return replies, l.expect("250", "RSET")
	}
	if err := l.expect("354", "DATA"); err != nil {
		return nil, err
	}
	body := strings.ReplaceAll("\r\n"+message, "\r\n.", "\r\n..")[2:]
	if !strings.HasSuffix(body, "\r\n") {
		body += "\r\n"
	}
	if _, err := l.nc.Write([]byte(body + ".\r\n")); err != nil {
		return nil, err
	}
	for i := range replies {
		if replies[i] == "" {
			r, err := l.reply()
			if err != nil {
				return nil, err
			}
			replies[i] = r
		}
	}
	return replies, nil
}

// DeliverOne is Deliver to one recipient, and an error when that is refused.
func (l *LMTP) DeliverOne(to, message string) error {
	replies, err := l.Deliver("harness@harness.example", []string{to}, message)
	if err == nil && !strings.HasPrefix(replies[0], "250") {
		err = fmt.Errorf("delivery to %s: %s", to, replies[0])
	}
	return err
}

// Close says QUIT and closes.
func (l *LMTP) Close() error {
	fmt.Fprint(l.nc, "QUIT\r\n")
	return l.nc.Close()
}

func (l *LMTP) expect(code, command string) error {
	r, err := l.command(command)
	if err == nil && !strings.HasPrefix(r, code) {
		err = fmt.Errorf("%s: %s", command, r)
	}
	return err
}

func (l *LMTP) command(s string) (string, error) {
	if _, err := l.nc.Write([]byte(s + "\r\n")); err != nil {
		return "", err
	}
	return l.reply()
}

// reply returns the last line of a reply.
func (l *LMTP) reply() (string, error) {
	for {
		l.nc.SetReadDeadline(time.Now().Add(60 * time.Second))
		line, err := l.r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if len(line) < 4 || line[3] != '-' {
			return strings.TrimRight(line, "\r\n"), nil
		}
	}
}
