// Package flood is what the worst clients send, for tests and for commands.
package flood

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// Flood is what somebody sends, without a login, who wants the server to keep
// as much for him as it can (reliability paper A1 to A4, A9, A10).
type Flood struct {
	Name   string
	Before string // what is sent first, until there is
	Ready  string // in the answers
	Text   string
	TLS    TLS
}

// TLS is how a flood has to do with it.
type TLS int

const (
	NoTLS     TLS = iota
	Handshake     // it is sent where a handshake is expected
	InsideTLS     // it is sent behind one
)

// halfHello begins a TLS handshake message of 64 KiB, in records as large as may
// be (RFC 8446 §4, §5.1), and says no more.
var halfHello = "\x16\x03\x01\x40\x00\x01\x00\xff\xff" + strings.Repeat("x", 16380) +
	strings.Repeat("\x16\x03\x01\x40\x00"+strings.Repeat("x", 16384), 2) + "\x16\x03\x01\x40\x00" + strings.Repeat("x", 16000)

// Known are the worst that are known, by protocol.
var Known = map[string][]Flood{
	"imap": {
		{Name: "nothing", Text: ""},
		{Name: "open brackets", Text: "a NOOP " + strings.Repeat("(", 8000)},
		{Name: "no literals", Text: "a NOOP " + strings.Repeat("{}", 4000)},
		{Name: "a tag", Text: strings.Repeat("a", 8000)},
		{Name: "too many brackets", Text: "a NOOP " + strings.Repeat("(", 100_000)},
		{Name: "a literal begun", Text: "a LOGIN {8000+}\r\n" + strings.Repeat("x", 7900)},
		{Name: "a literal behind answers", Text: strings.Repeat("a CAPABILITY\r\n", 10) + "a LOGIN {8000+}\r\n" + strings.Repeat("x", 7900)},
		{Name: "a literal refused behind answers", Text: strings.Repeat("a CAPABILITY\r\n", 10) + "a NOOP {500000+}\r\n" + strings.Repeat("x", 100_000)},
		{Name: "a string and a literal", Text: "a ID (" + longID + ")\r\na LOGIN \"" + strings.Repeat("x", 8000) + "\" {100+}\r\nx"},
		{Name: "half a string and a literal", Text: "a ID (" + longID + ")\r\na LOGIN \"" + strings.Repeat("x", 4000) + "\" {4100+}\r\n" + strings.Repeat("x", 4000)},
		{Name: "a literal too long", Text: "a LOGIN {100000+}\r\n" + strings.Repeat("x", 90_000)},
		{Name: "many literals", Text: "a LOGIN " + strings.Repeat("{7+}\r\nxxxxxxx", 1000)},
		{Name: "answers not read", Text: "a ID (" + longID + ")\r\n" + strings.Repeat("a CAPABILITY\r\n", 40_000)},
		{Name: "ID", Text: "a ID (" + strings.Repeat(`"a" "`+strings.Repeat("b", 250)+`" `, 30)},
		{Name: "a response", Text: "a AUTHENTICATE PLAIN\r\n" + strings.Repeat("A", 16384)},
		{Name: "a response of the longest", Text: "a ID (" + longID + ")\r\na AUTHENTICATE PLAIN\r\n" + strings.Repeat("A", 8190)},
		{Name: "exchanges one behind the other", Text: strings.Repeat("a AUTHENTICATE LOGIN\r\nQUFB\r\n*\r\n", 2) + "a AUTHENTICATE LOGIN\r\n" + strings.Repeat("QUFB", 300) + "\r\n" + strings.Repeat("A", 8190)},
		{Name: "a wrong password", Text: "a ID (" + longID + ")\r\na LOGIN \"" + strings.Repeat("x", 1024) + "\" \"" + strings.Repeat("x", 1024) + "\"\r\n" + strings.Repeat("a", 16384)},
		{Name: "half a handshake", Text: halfHello, TLS: Handshake},
		{Name: "most of a handshake", Text: halfHello[:16_389] + "\x16\x03\x01\x0c\x00" + strings.Repeat("x", 3000), TLS: Handshake},
		{Name: "STARTTLS and half a handshake", Before: "a STARTTLS\r\n", Ready: "a OK", Text: halfHello},
		{Name: "a literal inside TLS", Text: "a LOGIN {8000+}\r\n" + strings.Repeat("x", 7900), TLS: InsideTLS},
		{Name: "answers not read inside TLS", Text: strings.Repeat("a CAPABILITY\r\n", 40_000), TLS: InsideTLS},
	},
	"pop3": {
		{Name: "half a line", Text: strings.Repeat("a", 2000)},
		{Name: "half a password", Text: "USER " + strings.Repeat("a", 2000) + "\r\nPASS " + strings.Repeat("a", 2000)},
		{Name: "a wrong password", Text: "USER " + strings.Repeat("a", 2000) + "\r\nPASS " + strings.Repeat("a", 2000) + "\r\n" + strings.Repeat("CAPA\r\n", 3000)},
		{Name: "answers not read", Text: strings.Repeat("CAPA\r\n", 100_000)},
		{Name: "half a handshake", Text: halfHello, TLS: Handshake},
		{Name: "answers not read inside TLS", Text: strings.Repeat("CAPA\r\n", 100_000), TLS: InsideTLS},
	},
	"lmtp": {
		{Name: "half a line", Text: "LHLO " + strings.Repeat("a", 4000) + "\r\nLHLO " + strings.Repeat("a", 4000)},
		{Name: "a sender", Text: "LHLO " + strings.Repeat("a", 4000) + "\r\nMAIL FROM:<" + strings.Repeat("a", 900) + "@b>\r\nRCPT TO:<" + strings.Repeat("a", 4000)},
		{Name: "nobody as recipient", Text: "LHLO me\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<"+strings.Repeat("a", 900)+"@b>\r\n", 50)},
		{Name: "BDAT for nobody", Text: "LHLO me\r\nBDAT 1000000\r\n" + strings.Repeat("x", 100_000)},
		{Name: "answers not read", Text: "LHLO " + strings.Repeat("a", 4000) + "\r\n" + strings.Repeat("LHLO "+strings.Repeat("a", 5)+"\r\n", 60_000)},
	},
}

// longID are the two fields of ID that are kept.
var longID = `"name" "` + strings.Repeat("n", 1000) + `" "version" "` + strings.Repeat("v", 1000) + `"`

// Begin connects and sends the flood. What does not go through within some time
// is left: the server does not take it. One that is not read has a small window,
// so that a server soon notices.
func (f *Flood) Begin(addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := nc
	if f.TLS == InsideTLS {
		c = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	}
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	if f.TLS != Handshake {
		_, err = c.Read(make([]byte, 2000)) // the greeting
	}
	if err == nil && f.Before != "" {
		err = await(c, f.Before, f.Ready)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	for text := f.Text; text != ""; {
		piece := text[:min(len(text), 64<<10)]
		nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := io.WriteString(c, piece); err != nil {
			break // what is too much ends the connection meanwhile
		}
		text = text[len(piece):]
	}
	return nc, nil
}

// await sends a text and reads until something is in the answers.
func await(c net.Conn, text, ready string) error {
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	var got []byte
	for !bytes.Contains(got, []byte(ready)) {
		piece := make([]byte, 4096)
		n, err := c.Read(piece)
		if got = append(got, piece[:n]...); err != nil {
			return fmt.Errorf("no %q after %.500q: %w", ready, got, err)
		}
	}
	return nil
}
