package servertest_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/lmtpserver"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/pop3server"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/test/harness/flood"
)

// The names of these tests are those of the attacks in the reliability paper.
// What they try is the same in all protocols.

type protocol struct {
	name            string
	startTLS, ready string // the command, and how its answer begins
	inject, done    string // a command that must not be carried out, likewise
	listener        netserver.ListenerOptions
	plain, implicit string // addresses
}

func protocols(t *testing.T) (*servertest.Server, []*protocol) {
	t.Helper()
	s := servertest.New(t)
	return s, protocolsOn(t, s, 0)
}

// protocolsOn serves all protocols, with a time for the login.
func protocolsOn(t *testing.T, s *servertest.Server, login time.Duration) []*protocol {
	t.Helper()
	imap := imapserver.New(s.Store, s.Auth, imapserver.Options{Log: s.Log, Events: s.Events, LoginTime: login})
	pop3 := pop3server.New(s.Store, s.Auth, pop3server.Options{Log: s.Log, Events: s.Events, LoginTime: login})
	lmtp := lmtpserver.New(s.Store, s.Dir, lmtpserver.Options{Events: s.Events, Hostname: "localhost", IdleTime: login})
	all := []*protocol{
		{name: "imap", startTLS: "A STARTTLS\r\n", ready: "A OK", inject: "B LOGIN ada secret\r\n", done: "B OK",
			listener: netserver.ListenerOptions{Protocol: "imap", ALPN: []string{imapserver.ALPN}, Handler: imap.On("imap")}},
		{name: "pop3", startTLS: "STLS\r\n", ready: "+OK Begin", inject: "USER ada\r\nPASS secret\r\n", done: "+OK Now",
			listener: netserver.ListenerOptions{Protocol: "pop3", ALPN: []string{pop3server.ALPN}, Handler: pop3.Handle}},
		{name: "lmtp", startTLS: "STARTTLS\r\n", ready: "220 2.0.0", inject: "LHLO evil\r\nMAIL FROM:<>\r\n", done: "250",
			listener: netserver.ListenerOptions{Protocol: "lmtp", Handler: lmtp.Handle}},
	}
	for _, p := range all {
		p.plain = s.Listen(t, p.listener)
		p.listener.ImplicitTLS = true
		p.implicit = s.Listen(t, p.listener)
	}
	return all
}

// rest reads until the server closes.
func rest(t *testing.T, nc net.Conn) string {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	out, err := io.ReadAll(nc)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the connection stays open after %q", out)
	}
	return string(out)
}

// drip sends a text, and then an octet now and then until the connection ends.
func drip(nc net.Conn, text string) {
	_, err := io.WriteString(nc, text)
	for err == nil {
		_, err = io.WriteString(nc, "A")
		time.Sleep(20 * time.Millisecond) // a slow client
	}
}

// TestA1: before a login brackets, literals, responses and halves of them cost
// the server next to nothing, whatever is sent and whoever does not read the
// answers, and so does half a handshake (S1).
func TestA1(t *testing.T) {
	const n, heapMax, tlsMax = 20, 32 << 10, 32 << 10 // octets
	_, all := protocols(t)
	for _, p := range all {
		for _, f := range flood.Known[p.name] {
			addr, most := p.plain, int64(heapMax)
			switch {
			case f.TLS == flood.InsideTLS:
				continue // the client's own memory is as much; test/hostile has it in another process
			case f.TLS == flood.Handshake:
				addr = p.implicit
				fallthrough
			case strings.Contains(f.Name, "handshake"):
				most += tlsMax
			}
			before := servertest.Held()
			conns := begin(t, n, &f, addr)
			// The sessions may still be at work, and then more is garbage.
			grown := int64(0)
			for end := time.Now().Add(5 * time.Second); ; {
				grown = (servertest.Held().Heap - before.Heap) / n
				if grown <= most || time.Now().After(end) {
					break
				}
			}
			t.Logf("%s, %s: %d octets a connection", p.name, f.Name, grown)
			if grown > most {
				t.Errorf("%s, %s: %d octets a connection", p.name, f.Name, grown)
			}
			for _, nc := range conns {
				nc.Close()
			}
			servertest.AwaitReleased(t, before)
		}
	}
}

// begin begins n floods at once.
func begin(t *testing.T, n int, f *flood.Flood, addr string) []net.Conn {
	t.Helper()
	conns, failed := make([]net.Conn, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { conns[i], failed[i] = f.Begin(addr) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	return conns
}

// TestA2: who sends an octet now and then is sent away when the time for the
// login or the handshake is over, before, inside and behind TLS. LMTP has no
// login: there it is the time for a line, and for a message.
func TestA2(t *testing.T) {
	const limit = 200 * time.Millisecond
	s := servertest.NewImpatient(t, limit, 0)
	all := protocolsOn(t, s, limit)
	// The begin of a TLS record of so many octets: of a handshake, and of data.
	const hello, data = "\x16\x03\x01\x40\x00", "\x17\x03\x03\x40\x00"
	upgraded := func(t *testing.T, p *protocol) *servertest.Client {
		c := servertest.Dial(t, p.plain)
		c.Line()
		c.Send(t, p.startTLS)
		if got := c.Line(); !strings.HasPrefix(got, p.ready) {
			t.Fatal(got)
		}
		return c
	}
	before := servertest.Held()
	dripping := func(addr, text string) func() (net.Conn, func()) {
		return func() (net.Conn, func()) {
			c := servertest.Dial(t, addr)
			return c.Conn, func() { drip(c.Conn, text) }
		}
	}
	const recipient = "LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\n"
	for name, begin := range map[string]func() (net.Conn, func()){
		"behind a command":  dripping(all[0].plain, "a NOOP\r\n"),
		"a password":        dripping(all[1].plain, "USER ada\r\nPASS "),
		"a recipient":       dripping(all[2].plain, recipient+"RCPT TO:<"),
		"DATA":              dripping(all[2].plain, recipient+"DATA\r\n"),
		"BDAT":              dripping(all[2].plain, recipient+"BDAT 1000000\r\n"),
		"BDAT, refused":     dripping(all[2].plain, "LHLO me\r\nBDAT 1000000\r\n"),
		"BDAT, the address": dripping(all[2].plain, recipient+"BDAT 3 LAST\r\nx\r\nRCPT TO:<"),
	} {
		endsSoon(t, name, limit, begin)
	}
	for _, p := range all {
		for name, begin := range map[string]func() (net.Conn, func()){
			"a line": dripping(p.plain, ""),
			"implicit TLS": func() (net.Conn, func()) {
				c := servertest.Dial(t, p.implicit)
				return c.Conn, func() { drip(c.Conn, hello) }
			},
			"nothing of TLS":     func() (net.Conn, func()) { c := servertest.Dial(t, p.implicit); return c.Conn, func() {} },
			"behind STARTTLS":    func() (net.Conn, func()) { c := upgraded(t, p); return c.Conn, func() { drip(c.Conn, hello) } },
			"silent at STARTTLS": func() (net.Conn, func()) { c := upgraded(t, p); return c.Conn, func() {} },
			"inside TLS": func() (net.Conn, func()) {
				c := upgraded(t, p)
				c.StartTLS(t)
				return c.Conn, func() { drip(c.Conn, "") }
			},
			"inside a record": func() (net.Conn, func()) {
				c := upgraded(t, p)
				plain := c.Conn
				c.StartTLS(t)
				return plain, func() { drip(plain, data) }
			},
		} {
			endsSoon(t, p.name+", "+name, limit, begin)
		}
	}
	servertest.AwaitReleased(t, before)
}

// endsSoon fails the test unless the server soon ends a connection while its
// client goes on.
func endsSoon(t *testing.T, name string, limit time.Duration, begin func() (nc net.Conn, goOn func())) {
	t.Helper()
	nc, goOn := begin()
	defer nc.Close()
	begun := time.Now()
	go goOn()
	rest(t, nc)
	if took := time.Since(begun); took > 10*limit {
		t.Errorf("%s: it took %v", name, took)
	}
}

// TestA24: who asks for much and reads nothing is sent away after the time that
// an answer may be stuck, in clear, inside TLS and compression; who reads slowly
// is not.
func TestA24(t *testing.T) {
	s := servertest.NewImpatient(t, 0, 300*time.Millisecond)
	all := protocolsOn(t, s, 0)
	random := make([]byte, 3<<18)
	rand.NewChaCha8([32]byte{}).Read(random)
	message := base64.StdEncoding.EncodeToString(random) // 1 MiB, and not much less when compressed
	c := servertest.Dial(t, all[0].plain)
	c.Send(t, fmt.Sprintf("a LOGIN ada secret\r\nb APPEND INBOX {%d+}\r\n%s\r\n", len(message), message))
	for !strings.HasPrefix(c.Line(), "b OK") {
	}
	c.Close()
	fetch := strings.Repeat("f UID FETCH 1:* BODY.PEEK[]\r\n", 40)
	retr := strings.Repeat("RETR 1\r\n", 40)
	before := servertest.Held()
	for name, begin := range map[string]func() net.Conn{
		"imap": func() net.Conn {
			c := servertest.Dial(t, all[0].plain)
			c.Send(t, "a LOGIN ada secret\r\nb EXAMINE INBOX\r\n"+fetch)
			return c
		},
		"imap, TLS": func() net.Conn {
			c := dialTLS(t, all[0].implicit, nil)
			io.WriteString(c, "a LOGIN ada secret\r\nb EXAMINE INBOX\r\n"+fetch)
			return c
		},
		"imap, DEFLATE": func() net.Conn {
			c := servertest.Dial(t, all[0].plain)
			compressed(t, c, "a LOGIN ada secret\r\nb EXAMINE INBOX\r\n", fetch)
			return c
		},
		"imap, TLS and DEFLATE": func() net.Conn {
			c := servertest.Dial(t, all[0].plain)
			c.Line()
			c.Send(t, all[0].startTLS)
			c.Line()
			c.StartTLS(t)
			compressed(t, c, "a LOGIN ada secret\r\nb EXAMINE INBOX\r\n", fetch)
			return c
		},
		"pop3": func() net.Conn {
			c := servertest.Dial(t, all[1].plain)
			c.Send(t, "USER ada\r\nPASS secret\r\n"+retr)
			return c
		},
		"pop3, TLS": func() net.Conn {
			c := dialTLS(t, all[1].implicit, nil)
			io.WriteString(c, "USER ada\r\nPASS secret\r\n"+retr)
			return c
		},
	} {
		nc := begin()
		nc.Read(make([]byte, 1)) // it is served
		for end := time.Now().Add(20 * time.Second); !strings.Contains(s.Figures(t), `angarium_sessions{protocol="`+name[:4]+`"} 0`); {
			if time.Now().After(end) {
				t.Fatalf("%s: a client that reads nothing stays", name)
			}
			time.Sleep(5 * time.Millisecond) // sessions end by themselves
		}
		nc.Close()
	}
	servertest.AwaitReleased(t, before)

	// A slow reader gets everything.
	nc, err := net.Dial("tcp", all[0].plain)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, "a LOGIN ada secret\r\nb EXAMINE INBOX\r\n"+strings.Repeat("f UID FETCH 1:* BODY.PEEK[]\r\n", 4)+"z LOGOUT\r\n")
	got := 0
	for piece := make([]byte, 256<<10); ; {
		n, err := io.ReadFull(nc, piece)
		got += n
		if err != nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // a slow client
	}
	if got < 4*len(message) {
		t.Errorf("a slow reader got %d octets", got)
	}
}

// compressed says something, and then something inside COMPRESS=DEFLATE.
func compressed(t *testing.T, c *servertest.Client, before, inside string) {
	t.Helper()
	c.Send(t, before+"c COMPRESS DEFLATE\r\n")
	for line := ""; !strings.HasPrefix(line, "c OK"); {
		if line = c.Line(); strings.HasPrefix(line, "<") {
			t.Fatal(line)
		}
	}
	c.Compress(t)
	c.Send(t, inside)
}

// TestA6: whatever stands behind the command for TLS in clear, in the same
// packet or a later one, is never carried out, and ends the connection.
func TestA6(t *testing.T) {
	_, all := protocols(t)
	for _, p := range all {
		text := p.startTLS + p.inject
		for cut := len(p.startTLS) - 1; cut <= len(text); cut++ {
			c := servertest.Dial(t, p.plain)
			c.Line()
			c.Send(t, text[:cut])
			if cut < len(text) {
				c.Send(t, text[cut:])
			}
			if got := rest(t, c); strings.Contains(got, p.done) {
				t.Fatalf("%s, cut at %d: %q", p.name, cut, got)
			}
			c.Close()
		}
		// Between the answer and the handshake.
		c := servertest.Dial(t, p.plain)
		c.Line()
		c.Send(t, p.startTLS)
		if got := c.Line(); !strings.HasPrefix(got, p.ready) {
			t.Fatalf("%s: %s", p.name, got)
		}
		c.Send(t, p.inject)
		tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
		tc.SetDeadline(time.Now().Add(20 * time.Second))
		if err := tc.Handshake(); err == nil {
			t.Errorf("%s: a handshake after octets in clear", p.name)
		}
		c.Close()
	}
}

// TestA7: what was said before TLS is forgotten inside it, and in clear
// nobody can log in.
func TestA7(t *testing.T) {
	s, all := protocols(t)
	s.Net.SetRequireTLS(true)
	for _, tc := range []struct {
		p                    *protocol
		before, inside, want string
		greeting             []string // is not in it
	}{
		{all[0], "", "c SELECT INBOX\r\n", "c BAD", []string{"PREAUTH", "AUTH="}},
		{all[1], "USER ada\r\n", "PASS secret\r\n", "-ERR", nil},
		{all[2], "LHLO me\r\n", "MAIL FROM:<>\r\n", "503", nil},
	} {
		c := servertest.Dial(t, tc.p.plain)
		greeting := c.Line()
		for _, word := range tc.greeting {
			if strings.Contains(greeting, word) {
				t.Errorf("%s: %s", tc.p.name, greeting)
			}
		}
		c.Send(t, tc.before+tc.p.startTLS)
		for got := c.Line(); !strings.HasPrefix(got, tc.p.ready); got = c.Line() {
			if strings.HasPrefix(got, "<") {
				t.Fatalf("%s: %s", tc.p.name, got)
			}
		}
		c.StartTLS(t)
		c.Send(t, tc.inside)
		if got := c.Line(); !strings.HasPrefix(got, tc.want) {
			t.Errorf("%s: %s", tc.p.name, got)
		}
		c.Close()
	}
}

// TestA8: when TLS ends within a message, the message is not taken, and what
// follows in clear is not read.
func TestA8(t *testing.T) {
	s, all := protocols(t)
	message := "Subject: half\r\n\r\nhalf"
	for _, tc := range []struct {
		p             *protocol
		begin, finish string
	}{
		{all[0], fmt.Sprintf("a LOGIN ada secret\r\nb APPEND INBOX {%d+}\r\n%s", len(message)+6, message), "way up\r\nc LOGOUT\r\n"},
		{all[2], "LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\nDATA\r\n" + message, "way up\r\n.\r\nQUIT\r\n"},
		{all[2], fmt.Sprintf("LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\nBDAT %d LAST\r\n%s", len(message)+6, message), "way up\r\nQUIT\r\n"},
	} {
		nc, err := net.Dial("tcp", tc.p.implicit)
		if err != nil {
			t.Fatal(err)
		}
		c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		io.WriteString(c, tc.begin)
		c.CloseWrite()
		io.WriteString(nc, tc.finish)
		rest(t, c)
		nc.Close()
	}
	acct := s.Account(t, "ada@localhost")
	v, _ := acct.Snapshot()
	if n, _ := v.Usage(); n != 0 {
		t.Errorf("%d halves of messages were taken", n)
	}
}

// TestA11: a browser that is led here learns nothing and does nothing: another
// protocol's name ends the handshake, and its first line the conversation.
func TestA11(t *testing.T) {
	_, all := protocols(t)
	for _, p := range all {
		for _, method := range []string{"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE"} {
			c := dialTLS(t, p.implicit, nil)
			io.WriteString(c, method+" /<script> HTTP/1.1\r\nHost: mail.example\r\nCookie: key=hidden\r\n\r\n"+p.inject)
			got := rest(t, c)
			for _, word := range []string{"<script>", "mail.example", "hidden", p.done + " "} {
				if _, answer, _ := strings.Cut(got, "\r\n"); strings.Contains(answer, word) {
					t.Errorf("%s, %s: %q", p.name, method, got)
				}
			}
			c.Close()
		}
		if p.listener.ALPN == nil {
			continue
		}
		for _, name := range []string{"http/1.1", "h2", "smtp", "ftp"} {
			nc, err := net.Dial("tcp", p.implicit)
			if err != nil {
				t.Fatal(err)
			}
			c := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{name}})
			if err := c.Handshake(); err == nil {
				t.Errorf("%s: a handshake for %s", p.name, name)
			}
			nc.Close()
		}
		dialTLS(t, p.implicit, p.listener.ALPN).Close()
	}
}

func dialTLS(t *testing.T, addr string, alpn []string) *tls.Conn {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: alpn})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestA59: a connection that is cut anywhere, after each third octet here,
// leaves no goroutine, no file and no lock behind.
func TestA59(t *testing.T) {
	_, all := protocols(t)
	scripts := []string{
		"a LOGIN {3+}\r\nada {6+}\r\nsecret\r\nb SELECT INBOX\r\nc APPEND INBOX (\\Seen) {5+}\r\nhello\r\nd UID FETCH 1:* (FLAGS BODY[])\r\ne IDLE\r\nDONE\r\nf MOVE 1 Trash\r\n",
		"USER ada\r\nPASS secret\r\nLIST\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n",
		"LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\nBDAT 3\r\nx\r\nBDAT 3 LAST\r\nx\r\n",
	}
	for i, p := range all {
		before := servertest.Held()
		for cut := 0; cut <= len(scripts[i]); cut += 3 {
			nc, err := net.Dial("tcp", p.plain)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(nc, scripts[i][:cut])
			if cut%2 == 0 {
				nc.(*net.TCPConn).SetLinger(0) // reset instead of an end
			}
			nc.Close()
		}
		servertest.AwaitReleased(t, before)
		c := servertest.Dial(t, p.plain)
		c.Line()
		c.Send(t, p.inject)
		got := c.Line()
		if p.name == "pop3" { // the account is held by one session at a time
			got += c.Line()
		}
		if !strings.HasPrefix(got, p.done) || strings.Contains(got, "-ERR") {
			t.Errorf("%s, afterwards: %s", p.name, got)
		}
		c.Close()
	}
}

// TestA13: NUL in a line makes it another one than without: it logs nobody in,
// and names no sender and no recipient.
func TestA13(t *testing.T) {
	_, all := protocols(t)
	for _, tc := range []struct {
		p            *protocol
		before, line string
		after, wrong string // what must not be answered
	}{
		{all[1], "", "USER ada", "PASS secret\r\n", "+OK Logged in"},
		{all[1], "USER ada\r\n", "PASS secret", "", "+OK Logged in"},
		{all[2], "LHLO me\r\n", "MAIL FROM:<x@y>", "", "250 2.1.0"},
		{all[2], "LHLO me\r\n", "MAIL FROM:<x@y> SIZE=1", "", "250 2.1.0"},
		{all[2], "LHLO me\r\nMAIL FROM:<>\r\n", "RCPT TO:<ada@localhost>", "", "250 2.1.5"},
		{all[2], "LHLO me\r\nMAIL FROM:<>\r\n", "RCPT TO:<ada+x@localhost>", "", "250 2.1.5"},
	} {
		for at := range len(tc.line) + 1 {
			c := servertest.Dial(t, tc.p.plain)
			c.Send(t, tc.before+tc.line[:at]+"\x00"+tc.line[at:]+"\r\n"+tc.after+"QUIT\r\n")
			if got := rest(t, c); strings.Contains(got, tc.wrong) {
				t.Errorf("%s: %q: %q", tc.p.name, tc.line[:at]+"\x00"+tc.line[at:], got)
			}
			c.Close()
		}
	}
}

// TestA28: POP3 and VRFY tell nobody who has an account. RCPT must tell the MTA
// (RFC 2033 §4.2).
func TestA28(t *testing.T) {
	_, all := protocols(t)
	for _, tc := range []struct {
		p    *protocol
		text string
	}{
		{all[1], "USER $\r\nPASS wrong\r\nQUIT\r\n"},
		{all[2], "LHLO me\r\nVRFY $\r\nQUIT\r\n"},
	} {
		want := ""
		for i, user := range []string{"ada", "nobody", "bela@localhost", "ada@elsewhere"} {
			c := servertest.Dial(t, tc.p.plain)
			c.Send(t, strings.ReplaceAll(tc.text, "$", user))
			got := rest(t, c)
			if i == 0 {
				want = got
			}
			if got != want || strings.Contains(got, "+OK Logged in") {
				t.Errorf("%s, %s: %q, another user: %q", tc.p.name, user, got, want)
			}
			c.Close()
		}
	}
}
