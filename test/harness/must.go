package harness

import "strings"

// T is what tests give to functions that end them when something fails.
type T interface {
	Helper()
	Fatal(args ...any)
	Cleanup(func())
}

// MustLogin logs in over IMAP until the test ends.
func (s *Server) MustLogin(t T, user, password string) *IMAP {
	t.Helper()
	c, err := DialIMAP(s.IMAP)
	if err == nil {
		err = c.Login(user, password)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// MustDeliver delivers messages over LMTP.
func (s *Server) MustDeliver(t T, from, to string, messages ...string) {
	t.Helper()
	c, err := DialLMTP(s.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range messages {
		if r, err := c.Deliver(from, []string{to}, m); err != nil || !strings.HasPrefix(r[0], "250") {
			t.Fatal(r, err)
		}
	}
}

// MustDo runs a command that has to succeed.
func (c *IMAP) MustDo(t T, command string) []string {
	t.Helper()
	out, err := c.Do(command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
