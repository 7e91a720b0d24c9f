package imapserver

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/servertest"
)

// loggedIn is a connection that ada logged in on.
func (s *testServer) loggedIn(t testing.TB) *servertest.Client {
	t.Helper()
	c := s.dial(t)
	c.Line()
	c.Send(t, "l LOGIN ada secret\r\n")
	if got := c.Line(); !strings.HasPrefix(got, "l OK ") {
		t.Fatal(got)
	}
	return c
}

// compressed is one inside COMPRESS=DEFLATE.
func (s *testServer) compressed(t testing.TB) *servertest.Client {
	t.Helper()
	c := s.loggedIn(t)
	compress(t, c)
	return c
}

func expect(t testing.TB, c *servertest.Client, want string) {
	t.Helper()
	if got := c.Line(); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// deflate compresses a text as one stream, with a last block or with a flush.
func deflate(text string, last bool) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	w.Write([]byte(text))
	if last {
		w.Close()
	} else {
		w.Flush()
	}
	return b.String()
}

const emptyBlock = "\x00\x00\x00\xff\xff"

// TestCompressionBombs: what is compressed counts as what it becomes, and what
// becomes nothing counts too (reliability paper A42).
func TestCompressionBombs(t *testing.T) {
	s := newTestServer(t, Options{})
	raw := func() *servertest.Client {
		c := s.loggedIn(t)
		c.Send(t, "c COMPRESS DEFLATE\r\n")
		expect(t, c, "c OK")
		return c
	}
	// 1 : 1000 within a line.
	c := s.compressed(t)
	c.Send(t, "a "+strings.Repeat("x", 2*imapwire.CommandMax)+"\r\n")
	expect(t, c, "* BYE [LIMIT] The command is too long")
	// Within a literal.
	c = s.compressed(t)
	c.Send(t, "a STATUS {9999999+}\r\n"+strings.Repeat("x", 100_000))
	expect(t, c, "* BYE [LIMIT] The command is too long")
	// Blocks of nothing: 10^4 are a client's own business, without end they are not.
	c = raw()
	c.Send(t, strings.Repeat(emptyBlock, 10_000)+deflate("d NOOP\r\n", false))
	c.Compress(t)
	expect(t, c, "d OK")
	c = raw()
	c.Send(t, strings.Repeat(emptyBlock, 20_000))
	c.Compress(t)
	expect(t, c, "* BYE The compressed data is damaged")
}

// TestCompressDamaged: input that is not compressed ends the connection.
func TestCompressDamaged(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.loggedIn(t)
	c.Send(t, "c COMPRESS DEFLATE\r\n")
	expect(t, c, "c OK")
	c.Send(t, "\xff plain text\r\n")
	c.Compress(t)
	expect(t, c, "* BYE The compressed data is damaged")
}

// TestCompressBehind: a client must not send before the answer (RFC 4978 §3).
// One that does is refused, and what it sent is taken as it is.
func TestCompressBehind(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.loggedIn(t)
	c.Send(t, "a COMPRESS DEFLATE\r\nb NOOP\r\n")
	expect(t, c, "a BAD COMPRESS must wait for its answer")
	expect(t, c, "b OK")
	compress(t, c)
	c.Send(t, "d NOOP\r\n")
	expect(t, c, "d OK")
}

// TestCompressOff: what is switched off is neither shown nor accepted.
func TestCompressOff(t *testing.T) {
	c := newTestServer(t, Options{Cuts: []Cut{{Capabilities: []string{"COMPRESS=DEFLATE"}}}}).loggedIn(t)
	c.Send(t, "a CAPABILITY\r\n")
	if got := c.Line(); strings.Contains(got, "COMPRESS") {
		t.Error(got)
	}
	c.Line()
	c.Send(t, "b COMPRESS DEFLATE\r\n")
	expect(t, c, "b BAD unknown command COMPRESS")
}

// TestCompressIdle: what means nothing does not make a session in IDLE deaf.
func TestCompressIdle(t *testing.T) {
	s := newTestServer(t, Options{})
	c, other := s.compressed(t), s.loggedIn(t)
	c.Send(t, "a SELECT INBOX\r\n")
	for !strings.HasPrefix(c.Line(), "a OK") {
	}
	c.Send(t, "b IDLE\r\n")
	expect(t, c, "+ idling")
	for range 3 {
		c.Send(t, "") // an empty block
		other.Send(t, "c APPEND INBOX {3+}\r\nabc\r\n")
		expect(t, other, "c OK")
		for !strings.HasSuffix(c.Line(), " EXISTS") {
		}
		c.Line() // RECENT
	}
	c.Send(t, "DONE\r\n")
	expect(t, c, "b OK")
}

// TestCompressUnauthenticate: plain commands may follow the end of the
// client's stream at once, however it ended (RFC 8437 §3 and §4.1).
func TestCompressUnauthenticate(t *testing.T) {
	s := newTestServer(t, Options{})
	const command = "b UNAUTHENTICATE\r\n"
	for name, sent := range map[string][]string{
		"a last block":                   {deflate(command, true)},
		"a flush":                        {deflate(command, false)},
		"a flush and a last block":       {deflate(command, false) + "\x03\x00"},
		"a flush, and a last block late": {deflate(command, false), "\x01\x00\x00\xff\xff"},
		"half of the flush late":         {deflate(command, false)[:len(deflate(command, false))-2], "\xff\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.loggedIn(t)
			c.Send(t, "a COMPRESS DEFLATE\r\n")
			expect(t, c, "a OK")
			c.Compress(t)
			wire := c.Plain()
			for i, part := range sent {
				if i > 0 {
					expect(t, c, "b OK UNAUTHENTICATE") // so that the rest comes alone
				}
				wire.Write([]byte(part))
			}
			wire.Write([]byte("c LOGIN bela secret\r\nd NOOP\r\n"))
			if len(sent) == 1 {
				expect(t, c, "b OK UNAUTHENTICATE")
			}
			expect(t, c, "c OK")
			expect(t, c, "d OK")
		})
	}
	c := s.compressed(t)
	io.WriteString(c, command+"c LOGIN bela secret\r\n") // inside the layer; the end of it may not be read any more
	expect(t, c, "b OK")
	if got := c.Line(); !strings.HasPrefix(got, "* BYE The compressed data is damaged") {
		t.Error(got)
	}
}

// TestCompressTLS: whatever comes first, what is sent is compressed and then
// encrypted (RFC 4978 §3).
func TestCompressTLS(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.compressed(t)
	c.Send(t, "a UNAUTHENTICATE\r\n")
	expect(t, c, "a OK")
	c.Send(t, "b STARTTLS\r\n")
	expect(t, c, "b OK")
	c.StartTLS(t)
	c.Send(t, "c LOGIN ada secret\r\n")
	expect(t, c, "c OK")
	compress(t, c)
	c.Send(t, "d APPEND INBOX {100000+}\r\n"+strings.Repeat("many words ", 10_000)[:100_000]+"\r\ne SELECT INBOX\r\nf FETCH 1 BODY.PEEK[]\r\n")
	expect(t, c, "d OK")
	for got := ""; !strings.HasPrefix(got, "e OK"); got = c.Line() {
	}
	if got := c.Line(); len(got) < 100_000 {
		t.Error(got[:min(len(got), 200)])
	}
	expect(t, c, "f OK")
}
