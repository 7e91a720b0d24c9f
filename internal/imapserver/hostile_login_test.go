package imapserver

import (
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/sasl"
	"github.com/angarium/angarium/internal/servertest"
)

// The names of these tests are those of the attacks in the reliability paper.

// anonymousHeapMax is how much the heap may grow for a connection that nobody
// logged in on, whatever it sends, both ends included (reliability paper, S1).
// TestA1 is beside those of the other protocols, in servertest.
const anonymousHeapMax = 32 << 10

// flood opens connections, sends a text on each, and fails the test unless the
// heap soon holds no more than max octets for each of them.
func flood(t *testing.T, s *testServer, name, text string, max int64) {
	t.Helper()
	const n = 50
	before := servertest.Held()
	conns := make([]net.Conn, n)
	for i := range conns {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		conns[i] = nc
		greeting := make([]byte, 2000)
		if _, err := nc.Read(greeting); err != nil {
			t.Fatal(err)
		}
		nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(nc, text) // what is too much ends the connection meanwhile
	}
	// The sessions may still be at work, and then more is garbage.
	for deadline := time.Now().Add(10 * time.Second); ; {
		grown := (servertest.Held().Heap - before.Heap) / n
		if grown <= max {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%s: %d octets for each connection", name, grown)
			break
		}
	}
	for _, nc := range conns {
		nc.Close()
	}
	servertest.AwaitReleased(t, before)
}

// TestA1Ends: a line over the limit ends the connection, with a word.
func TestA1Ends(t *testing.T) {
	s := newHostileServer(t, Options{})
	for _, token := range []string{"(", ")", "((..))", "{}", "["} {
		c := s.dial(t)
		c.Line()
		go io.WriteString(c.Conn, "a NOOP "+strings.Repeat(token, 1_000_000/len(token))) // no line end
		if got := c.Line(); !strings.HasPrefix(got, "* BYE [LIMIT]") {
			t.Errorf("%s: %s", token, got)
		}
	}
}

// TestA1Login: names and passwords that are longer than any may be are no login,
// and are not held until a check of them has its turn.
func TestA1Login(t *testing.T) {
	s := newHostileServer(t, Options{})
	for n, want := range map[int]string{sasl.FieldMax: "\r\na NO [AUTHENTICATIONFAILED]", sasl.FieldMax + 1: "\r\na BAD"} {
		long := strings.Repeat("x", n)
		for _, login := range []string{"LOGIN ada " + long, "LOGIN " + long + " secret"} {
			if out := s.talk(t, []byte("a "+login+"\r\n")); !strings.Contains(out, want) {
				t.Errorf("%d octets, %.20s: %.200s", n, login, out[strings.Index(out, "\r\n")+2:])
			}
		}
	}
}

// TestA2: who sends an octet now and then is sent away when the time for the
// login is over, wherever in the conversation that is.
func TestA2(t *testing.T) {
	s := newHostileServer(t, Options{LoginTime: 300 * time.Millisecond})
	before := servertest.Held()
	for name, text := range map[string]string{
		"a line":                   "",
		"a literal":                "a LOGIN {8000+}\r\n",
		"a literal that is asked":  "a LOGIN {8000}\r\n",
		"a refused literal":        "a NOOP {8000+}\r\n",
		"a response":               "a AUTHENTICATE PLAIN\r\n",
		"behind another command":   "a CAPABILITY\r\n",
		"lines that mean nothing":  "a ID NIL\r\na NOOP\r\n",
		"a line behind a literal":  "a LOGIN {3+}\r\nada",
		"a string without its end": "a LOGIN \"",
	} {
		var conns []net.Conn
		for range 20 {
			nc, err := net.Dial("tcp", s.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			conns = append(conns, nc)
			io.WriteString(nc, text)
			go func() {
				for {
					if _, err := io.WriteString(nc, "A"); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond) // a slow client
				}
			}()
		}
		for i, nc := range conns {
			nc.SetReadDeadline(time.Now().Add(20 * time.Second))
			if out, err := io.ReadAll(nc); err != nil && !isReset(err) {
				t.Errorf("%s, connection %d: %v after %q", name, i, err, out)
			}
			nc.Close()
		}
	}
	servertest.AwaitReleased(t, before)
}

// literals are announcements that a server must not believe.
var literals = []string{"{4294967295}", "{18446744073709551616}", "{-1}", "{007}", "{1+", "{}", "{+}", "{1-}", "{0x10}", "{104857600}", "{104857600+}", "{9223372036854775807+}", "~{104857600}", "~{99999999+}"}

// TestA3: no command of the table allocates for a literal before its octets
// come, in any state, and each is answered or ends.
func TestA3(t *testing.T) {
	const most = 300 << 10 // of one session, login and buffers included
	s := newHostileServer(t, Options{})
	for _, login := range []string{"", "l LOGIN ada secret\r\nm SELECT INBOX\r\n"} {
		for _, name := range append(slices.Sorted(maps.Keys(New(nil, nil, Options{}).commands)), "UID FETCH", "UID SEARCH", "UID STORE", "UID COPY") {
			for _, before := range []string{" ", " INBOX ", ` "" `, " 1 ", " 1:* (", " (", " RETURN () ", " INBOX (\\Seen) "} {
				for _, literal := range literals {
					allocated := servertest.Allocated()
					s.talk(t, []byte(login+"a "+name+before+literal+"\r\n"))
					if got := servertest.Allocated() - allocated; got > most {
						t.Errorf("%s%s%s: %d octets allocated", name, before, literal, got)
					}
				}
			}
		}
	}
}

// TestA3Sum: many literals in one command, each allowed by itself, are
// refused together, before login sooner than after.
func TestA3Sum(t *testing.T) {
	s := newHostileServer(t, Options{})
	for _, tc := range []struct {
		name, login string
		size, n     int
		max         int64
	}{
		{"before login", "", 5000, 10_000, 1 << 20},
		{"after login", "l LOGIN ada secret\r\nm SELECT INBOX\r\n", imapwire.LiteralMax, 100, 8 << 20},
		{"small ones", "l LOGIN ada secret\r\nm SELECT INBOX\r\n", 1, 10_000, 8 << 20},
	} {
		word := fmt.Sprintf(" OR SUBJECT {%d+}\r\n%s", tc.size, strings.Repeat("x", tc.size))
		text := []byte(tc.login + "a SEARCH" + strings.Repeat(word, tc.n) + " ALL\r\n")
		allocated := servertest.Allocated()
		if out := s.talk(t, text); strings.Contains(out, "a OK") {
			t.Errorf("%s: %q", tc.name, out)
		}
		if got := servertest.Allocated() - allocated; got > tc.max && !servertest.Race {
			t.Errorf("%s: %d octets allocated", tc.name, got)
		}
	}
}

// TestA3Silent: a hundred MiB announced on each of many connections, and
// nothing sent, cost what the connections cost.
func TestA3Silent(t *testing.T) {
	s := newHostileServer(t, Options{SessionsMax: 1000, MessageMax: 1 << 30})
	for _, text := range []string{"a LOGIN {8000}\r\n", "a LOGIN {104857600}\r\n", "l LOGIN ada secret\r\na APPEND INBOX {104857600}\r\n", "l LOGIN ada secret\r\na LIST {131072} \r\n"} {
		flood(t, s, text, text, anonymousHeapMax+64<<10)
	}
}
