package imapserver

import (
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
)

// testServer is a real server on loopback over the memory engine.
type testServer struct {
	*servertest.Server
	addr string
}

func newTestServer(t testing.TB, o Options) *testServer {
	t.Helper()
	s := &testServer{Server: servertest.New(t)}
	o.Log = s.Log
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "imap", Refuse: Refuse, ALPN: []string{ALPN}, Handler: New(s.Store, s.Auth, o).Handle})
	return s
}

func (s *testServer) dial(t testing.TB) *servertest.Client {
	t.Helper()
	return servertest.Dial(t, s.addr)
}

// TestTranscripts plays testdata/*.txt. Connections are greeted and, with
// "login" in the first line, logged in as ada.
func TestTranscripts(t *testing.T) {
	servertest.Transcripts(t, func(t *testing.T, first string) func() *servertest.Client {
		s := newTestServer(t, Options{})
		return func() *servertest.Client {
			c := s.dial(t)
			if got := c.Line(); !strings.HasPrefix(got, "* OK [CAPABILITY ") {
				t.Fatalf("greeting: %q", got)
			}
			if strings.Contains(first, "login") {
				c.Send(t, "l LOGIN ada secret\r\n")
				if got := c.Line(); !strings.HasPrefix(got, "l OK [CAPABILITY ") {
					t.Fatalf("login: %q", got)
				}
			}
			return c
		}
	})
}
