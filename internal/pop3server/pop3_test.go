package pop3server

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

type testServer struct {
	*servertest.Server
	addr string
	acct *store.Account
	box  *store.Mailbox
}

// newTestServer has three messages in ada's INBOX.
func newTestServer(t testing.TB, o Options) *testServer {
	t.Helper()
	s := &testServer{Server: servertest.New(t)}
	o.Log, o.Events = s.Log, s.Events
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "pop3", Refuse: Refuse, Handler: New(s.Store, s.Auth, o).Handle})
	s.acct = s.Account(t, "ada@localhost")
	for _, m := range []string{"Subject: one\r\n\r\ntext\r\n.\r\n", "Subject: two\r\n\r\nline 1\r\nline 2\r\n", "Subject: three\n\nbare\n"} {
		s.append(t, m)
	}
	v, _ := s.acct.Snapshot()
	s.box, _ = v.Mailbox(mail.Inbox)
	return s
}

func (s *testServer) append(t testing.TB, m string) {
	t.Helper()
	stage, err := s.Store.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Discard()
	io.WriteString(stage, m)
	staged, err := stage.Seal()
	if err == nil {
		_, err = s.acct.Update(t.Context(), func(tx *store.Tx) error {
			box, err := tx.Snapshot().Mailbox(mail.Inbox)
			if err == nil {
				_, err = tx.Append(box.ID, staged, store.AppendOptions{})
			}
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (s *testServer) dial(t testing.TB) *servertest.Client {
	c := servertest.Dial(t, s.addr)
	if got := c.Line(); got != "+OK Angarium ready" {
		t.Fatalf("greeting: %q", got)
	}
	return c
}

func TestTranscripts(t *testing.T) {
	servertest.Transcripts(t, func(t *testing.T, _ string) func() *servertest.Client {
		s := newTestServer(t, Options{InUseTime: time.Millisecond})
		return func() *servertest.Client { return s.dial(t) }
	})
}

func TestKindCodes(t *testing.T) {
	for _, k := range errs.Kinds() {
		if kindCodes[k] == "" {
			t.Errorf("kind %v has no response code", k)
		}
	}
}

// converse logs in, says lines, and waits for the end of each answer that must
// be positive.
func converse(t *testing.T, c *servertest.Client, lines ...string) {
	t.Helper()
	for _, l := range append([]string{"USER ada", "PASS secret"}, lines...) {
		c.Send(t, l+"\r\n")
		if got := c.Line(); !strings.HasPrefix(got, "+OK") {
			t.Fatalf("%s: %s", l, got)
		}
		if strings.HasPrefix(l, "RETR") {
			for c.Line() != "." {
			}
		}
	}
}

func (s *testServer) flags(t *testing.T) (all []string) {
	t.Helper()
	_, list, err := s.acct.Messages(t.Context(), s.box.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Range(0, list.Len()) {
		all = append(all, m.Flags.String())
	}
	return all
}

// TestUpdate: what QUIT does under each option, and that nothing happens
// without QUIT (RFC 1939 §6, POP-18).
func TestUpdate(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
		want string
	}{
		{"default", Options{}, `\Seen|`},
		{"keep seen", Options{KeepSeen: true}, `|`},
		{"flag only", Options{FlagOnly: true}, `\Seen|\Deleted|`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newTestServer(t, tc.o)
			c := s.dial(t)
			converse(t, c, "RETR 1", "DELE 2")
			c.Close()
			if got := strings.Join(s.flags(t), "|"); got != "||" {
				t.Errorf("without QUIT: %q", got)
			}
			converse(t, s.dial(t), "RETR 1", "DELE 2", "QUIT") // when the first session has ended
			if got := strings.Join(s.flags(t), "|"); got != tc.want {
				t.Errorf("after QUIT: %q, want %q", got, tc.want)
			}
		})
	}
}

// TestInUse: who logs in while another session has the account waits for its end,
// and is refused only when that does not come.
func TestInUse(t *testing.T) {
	s := newTestServer(t, Options{InUseTime: time.Minute})
	first, second := s.dial(t), s.dial(t)
	converse(t, first)
	second.Send(t, "USER ada\r\nPASS secret\r\n")
	first.Send(t, "QUIT\r\n")
	second.Line()
	if got := second.Line(); got != "+OK Logged in" {
		t.Errorf("after the first session: %s", got)
	}
}

// TestSnapshot: numbers do not change while IMAP works beside (invariant 1).
func TestSnapshot(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	converse(t, c, "NOOP")
	if _, err := s.acct.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Expunge(s.box.ID, mail.NewUIDSet(1))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.append(t, "new\r\n")
	for _, l := range [][2]string{{"STAT", "+OK 3 78"}, {"RETR 2", "+OK 32 octets"}} {
		c.Send(t, l[0]+"\r\n")
		if got := c.Line(); got != l[1] {
			t.Errorf("%s: %s", l[0], got)
		}
	}
	for c.Line() != "." {
	}
	// Deleting what is gone already is no failure.
	c.Send(t, "DELE 1\r\nQUIT\r\n")
	if a, b := c.Line(), c.Line(); a != "+OK Deleted at QUIT" || b != "+OK Bye" {
		t.Error(a, b)
	}
	if n := len(s.flags(t)); n != 3 {
		t.Errorf("%d messages", n)
	}
}

// TestLines: whatever the lines of a message are like, they come as those of a
// multi-line response (RFC 1939 §3), with RETR and with TOP.
func TestLines(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	long := strings.Repeat("text of a line, ", piece/8)
	var all []string
	for _, body := range []string{
		"", "text", "text\r\n", "text\r", "text\n", ".", ".\r\n", "\r\n.\r\n", "\n.\n", "..\r\ntext", "text\r\n.",
		long, long + "\r\n.\r\n" + long, long[:piece-1] + "\r\n" + long, // the second piece begins with LF
		long[:piece-2] + "\r\n.\r\n" + long, long[:piece-10] + "\r\n.\r\n" + long, // with a dot, without and with the header
		long + "\n" + long, strings.Repeat("text\r\n", piece), strings.Repeat(".text\r\n", piece),
	} {
		all = append(all, "S: x\r\n\r\n"+body, body)
	}
	for _, m := range all {
		s.append(t, m)
	}
	converse(t, c)
	for i, m := range all {
		lines := strings.SplitAfter(strings.ReplaceAll(strings.ReplaceAll(m, "\r\n", "\n"), "\n", "\r\n"), "\n")
		if lines[len(lines)-1] == "" {
			lines = lines[:len(lines)-1]
		}
		header := slices.Index(lines, "\r\n") + 1
		for _, cmd := range []string{"RETR %d", "TOP %d 1"} {
			want := lines
			if cmd[0] == 'T' && header > 0 {
				want = lines[:min(header+1, len(lines))]
			} else if cmd[0] == 'T' {
				continue // where the header of such a message ends is not for this test
			}
			c.Send(t, fmt.Sprintf(cmd+"\r\n", i+4))
			if got := c.Line(); !strings.HasPrefix(got, "+OK") {
				t.Fatalf("%s of %.40q: %s", cmd, m, got)
			}
			for n, line := range want {
				line = strings.TrimRight(line, "\r\n")
				if strings.HasPrefix(line, ".") {
					line = "." + line
				}
				if got := c.Line(); got != line {
					t.Fatalf("%s of %.40q: line %d is %.40q, not %.40q", cmd, m, n, got, line)
				}
			}
			if got := c.Line(); got != "." {
				t.Fatalf("%s of %.40q: behind it comes %.40q", cmd, m, got)
			}
		}
	}
}

// TestNoPrivacy: without TLS no password is taken, nor offered; STLS brings it
// (RFC 2595 §4).
func TestNoPrivacy(t *testing.T) {
	s := newTestServer(t, Options{Anonymous: true})
	s.Net.SetRequireTLS(true)
	c := s.dial(t)
	capa := func() (all []string) {
		c.Send(t, "CAPA\r\n")
		for l := c.Line(); l != "."; l = c.Line() {
			all = append(all, l)
		}
		return all
	}
	if got := strings.Join(capa(), " "); strings.Contains(got, "USER") || !strings.Contains(got, "STLS") || strings.Contains(got, "IMPLEMENTATION") {
		t.Error(got)
	}
	c.Send(t, "USER ada\r\n")
	if got := c.Line(); got != "-ERR [AUTH] Passwords are taken over TLS only" {
		t.Error(got)
	}
	c.Send(t, "STLS\r\n")
	if got := c.Line(); got != "+OK Begin TLS" {
		t.Fatal(got)
	}
	c.StartTLS(t)
	if got := strings.Join(capa(), " "); !strings.Contains(got, "USER") || strings.Contains(got, "STLS") {
		t.Error(got)
	}
	converse(t, c, "STAT")
}

// TestTimes: who stays silent is sent away, and nothing is deleted.
func TestTimes(t *testing.T) {
	s := newTestServer(t, Options{IdleTime: 50 * time.Millisecond})
	c := s.dial(t)
	c.Send(t, "USER ada\r\nPASS secret\r\nDELE 1\r\n") // at once: the time runs only while the server waits
	for range 3 {
		if got := c.Line(); !strings.HasPrefix(got, "+OK") {
			t.Fatal(got)
		}
	}
	if got := c.Line(); got != "-ERR [SYS/TEMP] Silent for too long; nothing was deleted" {
		t.Error(got)
	}
	if n := len(s.flags(t)); n != 3 {
		t.Errorf("%d messages", n)
	}
	s = newTestServer(t, Options{LoginTime: 50 * time.Millisecond})
	c = s.dial(t)
	if got := c.Line(); !strings.HasPrefix(got, "-ERR [SYS/TEMP] Silent") {
		t.Error(got)
	}
}

func TestLimits(t *testing.T) {
	s := newTestServer(t, Options{})
	for n, want := range map[int]string{lineMax - 1: "-ERR Unknown command", lineMax: "-ERR Unknown command", lineMax + 1: "-ERR The line is too long"} {
		c := s.dial(t)
		c.Send(t, strings.Repeat("x", n)+"\r\n")
		if got := c.Line(); got != want {
			t.Errorf("a line of %d octets: %s", n, got)
		}
	}
	c := s.dial(t)
	for range badBeforeLoginMax {
		c.Send(t, "FOO\r\n")
		c.Line()
	}
	if got := c.Line(); got != "-ERR Too many bad commands" {
		t.Error(got)
	}
}

func FuzzSession(f *testing.F) {
	f.Add([]byte("USER ada\r\nPASS secret\r\nLIST\r\nUIDL\r\nTOP 1 1\r\nRETR 3\r\nDELE 9\r\nRSET\r\n"))
	f.Add([]byte("CAPA\r\nSTLS\r\nUSER\r\n"))
	s := newTestServer(f, Options{Shared: true})
	f.Fuzz(func(t *testing.T, in []byte) { servertest.Talk(t, s.addr, in) })
}

// TestEvents: commands are counted by what came of them.
func TestEvents(t *testing.T) {
	s := newTestServer(t, Options{})
	c := servertest.Dial(t, s.addr)
	c.Line()
	for _, line := range []string{"user ada", "PASS wrong", "USER ada", "PASS secret", "DELE 9", "WHAT", "QUIT"} {
		c.Send(t, line+"\r\n")
		c.Line()
	}
	c.Line() // the end
	got := s.Figures(t)
	for _, want := range []string{
		`angarium_command_seconds_count{cmd="USER",kind="ok",protocol="pop3"} 2`,
		`angarium_command_seconds_count{cmd="PASS",kind="bad_credentials",protocol="pop3"} 1`,
		`angarium_command_seconds_count{cmd="PASS",kind="ok",protocol="pop3"} 1`,
		`angarium_command_seconds_count{cmd="DELE",kind="refused",protocol="pop3"} 1`,
		`angarium_command_seconds_count{cmd="unknown",kind="bad",protocol="pop3"} 1`,
		`angarium_command_seconds_count{cmd="QUIT",kind="ok",protocol="pop3"} 1`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestA29 is the attack of that name in the reliability paper: whose password or
// account was taken away gets nothing more, and deletes nothing.
func TestA29(t *testing.T) {
	for _, command := range []string{"RETR 1", "LIST", "QUIT"} {
		for _, deleted := range []bool{false, true} {
			s := newTestServer(t, Options{})
			c := s.dial(t)
			c.Send(t, "USER ada\r\nPASS secret\r\nDELE 1\r\n")
			for range 3 {
				if got := c.Line(); !strings.HasPrefix(got, "+OK") {
					t.Fatal(got)
				}
			}
			err := s.Store.SetPassword(t.Context(), "ada@localhost", "{PLAIN}other")
			if deleted {
				err = s.Store.DeleteAccount(t.Context(), "ada@localhost")
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Send(t, command+"\r\n")
			if got := c.Line(); !strings.HasPrefix(got, "-ERR [AUTH] ") {
				t.Errorf("%s: %s", command, got)
			}
			if got := c.Line(); !strings.HasPrefix(got, "<") {
				t.Errorf("%s: then %s", command, got)
			}
			if deleted {
				continue
			}
			_, list, err := s.acct.Messages(t.Context(), s.box.ID)
			if err != nil || list.Len() != 3 {
				t.Errorf("%s: %d messages, %v", command, list.Len(), err)
			}
		}
	}
}
