package imapserver

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// registered tells which devices of ada's are told of which mailboxes.
func registered(t *testing.T, s *testServer) string {
	t.Helper()
	a := s.Account(t, "ada@localhost")
	v, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range v.Pushes() {
		text := fmt.Sprintf("%x/%s v%d", p.Device, p.AccountID, p.Version)
		for _, id := range p.Mailboxes {
			box, err := v.MailboxByID(id)
			if err != nil {
				t.Fatal(err)
			}
			text += " " + box.Name
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

const register = `XAPPLEPUSHSERVICE aps-subtopic com.apple.mobilemail `

// TestApplePushRegistered: what is answered is what is kept.
func TestApplePushRegistered(t *testing.T) {
	s := newTestServer(t, Options{ApplePush: pushTopic})
	c := s.dial(t)
	c.Line()
	do := func(command string) {
		t.Helper()
		c.Send(t, "a "+command+"\r\n")
		for line := ""; !strings.HasPrefix(line, "a "); {
			if line = c.Line(); strings.HasPrefix(line, "<") {
				t.Fatal(line)
			}
		}
	}
	do("LOGIN ada secret")
	for _, tc := range []struct{ command, want string }{
		{register + "aps-version 2 aps-account-id A aps-device-token ab mailboxes (Sent INBOX Absent)", "ab/A v2 INBOX Sent"},
		{register + "aps-version 2 aps-account-id A aps-device-token AB mailboxes (INBOX)", "ab/A v2 INBOX"},
		{register + "aps-version 1 aps-account-id B aps-device-token AB mailboxes (Sent)", "ab/A v2 INBOX, ab/B v1 INBOX"},
		{register + "aps-version 7 aps-account-id A aps-device-token AB", "ab/B v1 INBOX, ab/A v2 INBOX"},
		{register + "aps-version 2 aps-account-id A aps-device-token AB mailboxes (Absent)", "ab/B v1 INBOX"},
		{register + "aps-version 2 aps-account-id B aps-device-token AB mailboxes ()", ""},
		{"XAPPLEPUSHSERVICE aps-subtopic com.apple.mail aps-version 2 aps-account-id A aps-device-token ab mailboxes (INBOX)", ""},
	} {
		if do(tc.command); registered(t, s) != tc.want {
			t.Errorf("%s: %q, want %q", tc.command, registered(t, s), tc.want)
		}
	}
	many := "(INBOX"
	for i := range store.PushMailboxesMax {
		do(fmt.Sprintf("CREATE M%d", i))
		many += fmt.Sprintf(" M%d", i)
	}
	do(register + "aps-version 2 aps-account-id A aps-device-token ab mailboxes " + many + ")")
	if got := registered(t, s); strings.Count(got, " ") != store.PushMailboxesMax+1 || !strings.Contains(got, " INBOX ") || strings.HasSuffix(got, "M99") {
		t.Errorf("more than may be: %s", got)
	}
}

// TestApplePushOff: without a switch there is no such command; without a good
// certificate it is neither advertised nor there, and one that ends while a
// session is there ends pushes.
func TestApplePushOff(t *testing.T) {
	command := register + "aps-version 2 aps-account-id A aps-device-token ab"
	var topic atomic.Value
	topic.Store("")
	off, on := newTestServer(t, Options{}), newTestServer(t, Options{ApplePush: func() string { return topic.Load().(string) }})
	const unknown, advertised = "a BAD unknown command XAPPLEPUSHSERVICE", " XAPPLEPUSHSERVICE"
	for name, s := range map[string]*testServer{"off": off, "no certificate": on} {
		for _, before := range []string{"", "!"} {
			if got := probe(t, s.addr, before+command); !strings.HasPrefix(got, unknown) {
				t.Errorf("%s: %s%s", name, before, got)
			}
			if got := probe(t, s.addr, before+"CAPABILITY"); strings.Contains(got, advertised) {
				t.Errorf("%s: %s%s", name, before, got)
			}
		}
	}
	topic.Store("com.apple.mail.x")
	if got := probe(t, on.addr, "!CAPABILITY"); strings.Contains(got, advertised) {
		t.Errorf("before login: %s", got)
	}
	c := on.dial(t)
	servertest.Play(t, []string{
		`S~ \* OK .*`,
		`C: a LOGIN ada secret`,
		`S~ a OK \[CAPABILITY .* XAPPLEPUSHSERVICE .*`,
	}, func() *servertest.Client { return c })
	topic.Store("")
	c.Send(t, "b "+command+"\r\n")
	if got := c.Line(); got != "b NO [UNAVAILABLE] there are no pushes now; the device was not registered" {
		t.Error(got)
	}
	if got := registered(t, on); got != "" {
		t.Error(got)
	}
}

// TestApplePushRevoked (A29): the device of a login that would fail now is not
// registered any more.
func TestApplePushRevoked(t *testing.T) {
	s := newTestServer(t, Options{ApplePush: pushTopic})
	if got := probe(t, s.addr, register+"aps-version 2 aps-account-id A aps-device-token ab"); !strings.Contains(got, "a OK") {
		t.Fatal(got)
	}
	if got := registered(t, s); got != "ab/A v2 INBOX" {
		t.Fatal(got)
	}
	if err := revocations["password"](t.Context(), s.Store, "ada@localhost"); err != nil {
		t.Fatal(err)
	}
	if got := registered(t, s); got != "" {
		t.Error(got)
	}
}
