package servertest_test

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/trace"
)

// traced returns what was written of ada's sessions of a protocol, without time
// stamps, as soon as it holds want.
func traced(t *testing.T, s *servertest.Server, protocol, want string) (all string) {
	t.Helper()
	return tracedOf(t, s, "ada@localhost", protocol, want)
}

func tracedOf(t *testing.T, s *servertest.Server, user, protocol, want string) (all string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all = ""
		files, _ := filepath.Glob(filepath.Join(s.Traces, user, protocol+"-*.txt"))
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all += regexp.MustCompile(`(?m)^\S+Z `).ReplaceAllString(string(b), "")
		}
		if strings.Contains(all, want) {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("no %q in\n%s", want, all)
		}
	}
}

func startTrace(t *testing.T, s *servertest.Server, o trace.Options) {
	t.Helper()
	o.User, o.Time = cmp.Or(o.User, "ada@localhost"), time.Hour
	if o.Protocol == "" {
		o.Protocol = trace.All
	}
	if _, err := s.Net.StartTrace(o); err != nil {
		t.Fatal(err)
	}
}

// TestTraceOpen: a session that is open, and waits in IDLE inside TLS and
// compression, is traced from what it is told next, and no longer than asked.
func TestTraceOpen(t *testing.T) {
	s, all := protocols(t)
	c, other := servertest.Dial(t, all[0].plain), servertest.Dial(t, all[0].plain)
	say := func(c *servertest.Client, text string, answers ...string) {
		t.Helper()
		c.Send(t, text)
		for _, want := range answers {
			if got := c.Line(); !strings.HasPrefix(got, want) {
				t.Fatalf("%q: %q, want %q", text, got, want)
			}
		}
	}
	say(c, "a STARTTLS\r\n", "* OK", "a OK")
	c.StartTLS(t)
	say(c, "b LOGIN ada secret\r\nc COMPRESS DEFLATE\r\n", "b OK")
	if got := c.Line(); !strings.HasPrefix(got, "c OK") {
		t.Fatal(got)
	}
	c.Compress(t)
	say(c, "d ENABLE CONDSTORE\r\ne EXAMINE INBOX\r\n", "* ENABLED", "d OK")
	for !strings.HasPrefix(c.Line(), "e OK") {
	}
	say(c, "f IDLE\r\n", "+ idling")
	say(other, "a LOGIN bela secret\r\n", "* OK", "a OK")

	startTrace(t, s, trace.Options{})
	if _, err := s.Net.StartTrace(trace.Options{User: "ada@localhost", Protocol: trace.All, Time: time.Hour}); !errs.Is(err, errs.Exists) {
		t.Errorf("a second trace: %v", err)
	}
	third := servertest.Dial(t, all[0].plain)
	say(third, "a AUTHENTICATE PLAIN AGFkYQBzZWNyZXQ=\r\nb APPEND INBOX {300+}\r\n"+strings.Repeat("x", 300)+"\r\nc LOGIN ada secret\r\nd LOGOUT\r\n", "* OK", "a OK", "b OK", "c BAD", "* BYE", "d OK")
	for !strings.HasPrefix(c.Line(), "* 1 EXISTS") {
	}
	say(c, "DONE\r\n")
	say(other, "b NOOP\r\n", "b OK")
	for !strings.HasPrefix(c.Line(), "f OK") {
	}
	got := traced(t, s, "imap", "S f OK IDLE completed\n")
	for _, want := range []string{
		", TLS: it was open already\n", "\nS * 1 EXISTS\n", "\nC DONE\nS f OK IDLE completed\n", // the first one
		", no TLS\nS a OK [CAPABILITY IMAP4rev1", "\nC b APPEND INBOX {300+}\nC [300 octets]\nC \nS b OK [APPENDUID ", "\nC c LOGIN ***\nS c BAD ***\nC d LOGOUT\nS * BYE ", // the other
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q", want)
		}
	}
	for _, wrong := range []string{"secret", "NOOP", "IDLE\n", "xxx", "AGFk"} {
		if strings.Contains(got, wrong) {
			t.Errorf("there is %q", wrong)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	if infos := s.Net.Traces(); len(infos) != 1 || infos[0].Sessions != 2 || infos[0].User != "ada@localhost" || infos[0].Octets == 0 {
		t.Errorf("%+v", infos)
	}
	if info, err := s.Net.StopTrace("ada@localhost"); err != nil || info.Sessions != 2 {
		t.Errorf("%+v, %v", info, err)
	}
	say(c, "g NOOP\r\n", "g OK")
	if got := traced(t, s, "imap", "the trace ends: it was stopped"); strings.Contains(got, "g NOOP") {
		t.Error(got)
	}
	if _, err := s.Net.StopTrace("ada@localhost"); !errs.Is(err, errs.NotFound) || len(s.Net.Traces()) != 0 {
		t.Errorf("stopped twice: %v", err)
	}
}

// TestTraceEnds: who logs out of a session that goes on is traced no more, nor
// is who logs in behind.
func TestTraceEnds(t *testing.T) {
	s, all := protocols(t)
	startTrace(t, s, trace.Options{Protocol: "imap"})
	c := servertest.Dial(t, all[0].plain)
	c.Send(t, "a LOGIN ada secret\r\nb UNAUTHENTICATE\r\nc LOGIN bela secret\r\nd NOOP\r\n")
	for !strings.HasPrefix(c.Line(), "d OK") {
	}
	got := traced(t, s, "imap", "goes on for another user")
	if !strings.Contains(got, "\nC b UNAUTHENTICATE\n") || strings.Contains(got, "bela") || strings.Contains(got, "NOOP") {
		t.Error(got)
	}
	c = servertest.Dial(t, all[1].plain)
	c.Send(t, "USER ada\r\nPASS secret\r\nQUIT\r\n")
	rest(t, c)
	if files, _ := filepath.Glob(filepath.Join(s.Traces, "*", "pop3*")); len(files) > 0 {
		t.Errorf("%v is no IMAP", files)
	}
}

// TestTraceMessages: POP3 from the login on, and LMTP while there is a message
// for the user.
func TestTraceMessages(t *testing.T) {
	for bodies, hidden := range map[bool]string{false: "[%d octets]", true: "Subject: hidden"} {
		s, all := protocols(t)
		startTrace(t, s, trace.Options{Bodies: bodies})
		c := servertest.Dial(t, all[2].plain)
		text := "LHLO me\r\n" +
			"MAIL FROM:<not@traced>\r\nRCPT TO:<bela@localhost>\r\nDATA\r\nSubject: hidden\r\n.\r\n" +
			"MAIL FROM:<x@y>\r\nRCPT TO:<bela@localhost>\r\nRCPT TO:<ada+box@localhost>\r\nDATA\r\nSubject: hidden\r\n\r\nhello\r\n.\r\n" +
			"MAIL FROM:<x@z>\r\nRCPT TO:<ada@localhost>\r\nBDAT 17 LAST\r\nSubject: hidden\r\nQUIT\r\n"
		io.WriteString(c, text)
		rest(t, c)
		got := traced(t, s, "lmtp", "from <x@z>")
		show := func(n int) string {
			if bodies {
				return hidden
			}
			return fmt.Sprintf(hidden, n)
		}
		for _, want := range []string{": a message from <x@y> to <ada+box@localhost>\nS 250 2.1.5 OK\nC DATA\nS 354 End with <CRLF>.<CRLF>\nC " + show(29) + "\n",
			"\nS 250 2.0.0 <bela@localhost> Delivered\nS 250 2.0.0 <ada+box@localhost> Delivered\n", "\nC BDAT 17 LAST\nC " + show(17) + "\nS 250 2.0.0 <ada@localhost> Delivered\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in\n%s", want, got)
			}
		}
		if strings.Contains(got, "not@traced") {
			t.Error(got)
		}
		c = servertest.Dial(t, all[1].plain)
		c.Send(t, "USER ada\r\nPASS secret\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n")
		rest(t, c)
		got = traced(t, s, "pop3", "S +OK Bye\n")
		if !strings.Contains(got, "\nS +OK Logged in\nC PASS ***\nS -ERR ***\nC RETR 1\nS +OK ") || strings.Contains(got, "secret") ||
			strings.Contains(got, "hidden") != bodies || !strings.Contains(got, "\nS .\nC QUIT\n") {
			t.Error(got)
		}
	}
}

// TestTraceRecipients: of a message to several users that are traced, each one's
// trace has it, once, and none has the others' messages.
func TestTraceRecipients(t *testing.T) {
	s, all := protocols(t)
	startTrace(t, s, trace.Options{})
	startTrace(t, s, trace.Options{User: "bela@localhost", Bodies: true})
	c := servertest.Dial(t, all[2].plain)
	io.WriteString(c, "LHLO me\r\n"+
		"MAIL FROM:<both@y>\r\nRCPT TO:<bela@localhost>\r\nRCPT TO:<ada+x@localhost>\r\nRCPT TO:<ada@localhost>\r\nDATA\r\nSubject: hidden\r\n.\r\n"+
		"MAIL FROM:<one@y>\r\nRCPT TO:<bela@localhost>\r\nBDAT 3 LAST\r\nx\r\nQUIT\r\n")
	rest(t, c)
	const delivered = "\nS 250 2.0.0 <bela@localhost> Delivered\nS 250 2.0.0 <ada+x@localhost> Delivered\nS 250 2.0.0 <ada@localhost> Delivered\n"
	for user, want := range map[string]struct {
		begins, hidden, other string
		messages              int
	}{
		"ada@localhost":  {": a message from <both@y> to <ada+x@localhost>\nS 250 2.1.5 OK\nC RCPT TO:<ada@localhost>\n", "\nC [20 octets]\n", "<one@y>", 1},
		"bela@localhost": {": a message from <both@y> to <bela@localhost>\nS 250 2.1.5 OK\nC RCPT TO:<ada+x@localhost>\n", "\nC Subject: hidden\n", "", 2},
	} {
		got := tracedOf(t, s, user, "lmtp", "goes on for another user")
		if !strings.Contains(got, want.begins) || !strings.Contains(got, want.hidden) || !strings.Contains(got, delivered) ||
			strings.Count(got, "a message from") != want.messages || want.other != "" && strings.Contains(got, want.other) {
			t.Errorf("%s:\n%s", user, got)
		}
	}
}
