package imapserver

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The names of tests in hostile_*_test.go are those of the attacks in the
// reliability paper.

// newHostileServer is a test server on which ada has logged in once: what the
// first check of a password takes is not the attack's.
func newHostileServer(t testing.TB, o Options) *testServer {
	t.Helper()
	s := newTestServer(t, o)
	if out := s.talk(t, []byte("a LOGIN ada secret\r\n")); !strings.Contains(out, "a OK") && o.LoginTime == 0 {
		t.Fatal(out)
	}
	return s
}

// talk sends a text and its end, and returns the answers.
func (s *testServer) talk(t testing.TB, text []byte) string {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(60 * time.Second))
	go func() {
		nc.Write(text)
		nc.(*net.TCPConn).CloseWrite()
	}()
	out, err := io.ReadAll(nc)
	if err != nil && !isReset(err) {
		t.Errorf("%.100q: %v after %.200q", text, err, out)
	}
	return string(out)
}

// isReset reports whether a connection ended because the server closed it
// before it had read everything.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
