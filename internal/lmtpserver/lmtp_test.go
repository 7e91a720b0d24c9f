package lmtpserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/smtpwire"
	"github.com/angarium/angarium/internal/store"
)

type testServer struct {
	*servertest.Server
	addr string
}

func newTestServer(t testing.TB, max int64) *testServer {
	s := &testServer{Server: servertest.New(t)}
	srv := New(s.Store, s.Dir, Options{Events: s.Events, Hostname: "mail.example", MessageMax: max})
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "lmtp", Refuse: Refuse, Handler: srv.Handle})
	return s
}

func (s *testServer) dial(t testing.TB) *servertest.Client {
	c := servertest.Dial(t, s.addr)
	if got := c.Line(); got != "220 mail.example LMTP Angarium ready" {
		t.Fatalf("greeting: %q", got)
	}
	return c
}

func TestTranscripts(t *testing.T) {
	servertest.Transcripts(t, func(t *testing.T, _ string) func() *servertest.Client {
		s := newTestServer(t, 1000)
		return func() *servertest.Client { return s.dial(t) }
	})
}

// TestKindReplies: every kind of failure has a reply, and whatever may be over
// later is temporary, so that the MTA keeps the message.
func TestKindReplies(t *testing.T) {
	permanent := map[errs.Kind]bool{errs.NotFound: true, errs.Denied: true, errs.Invalid: true, errs.TooBig: true}
	for _, k := range errs.Kinds() {
		r := kindReplies[k]
		if len(r) != 9 || r[0] != r[4] {
			t.Errorf("kind %v: %q", k, r)
		} else if (r[0] == '5') != permanent[k] {
			t.Errorf("kind %v answers %s", k, r)
		}
	}
}

// messages returns the octets of an account's messages in a mailbox.
func (s *testServer) messages(t *testing.T, account, mailbox string) (all []string) {
	t.Helper()
	a := s.Account(t, account)
	v, _ := a.Snapshot()
	box, err := v.Mailbox(mailbox)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Messages(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Range(0, list.Len()) {
		b, err := s.Store.ReadBody(t.Context(), m, 0, m.Size)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// deliver sends one message and returns the last reply.
func deliver(t *testing.T, c *servertest.Client, message string, to ...string) string {
	t.Helper()
	c.Send(t, "MAIL FROM:<from@x.example>\r\n")
	c.Line()
	for _, r := range to {
		c.Send(t, "RCPT TO:<"+r+">\r\n")
		if got := c.Line(); !strings.HasPrefix(got, "250") {
			return got
		}
	}
	c.Send(t, "DATA\r\n")
	c.Line()
	c.Send(t, message+".\r\n")
	for range to[1:] {
		c.Line()
	}
	return c.Line()
}

// TestTrace: the fields that delivery adds are there once (LMT-14).
func TestTrace(t *testing.T) {
	s := newTestServer(t, 0)
	c := s.dial(t)
	c.Send(t, "LHLO mta.example\r\n")
	for !strings.HasPrefix(c.Line(), "250 ") {
	}
	deliver(t, c, "return-path: <x@y>,\r\n\tfolded\r\nReturn-Path: <z@y>\r\nSubject: one\r\n\r\nReturn-Path: body\r\n", "ada@localhost")
	deliver(t, c, "Subject: two\r\n\r\n", "ada@localhost", "bela@localhost")
	got := s.messages(t, "ada@localhost", mail.Inbox)
	if len(got) != 2 {
		t.Fatal(got)
	}
	if !strings.HasPrefix(got[0], "Return-Path: <from@x.example>\r\nDelivered-To: ada@localhost\r\nReceived: from mta.example ([127.0.0.1])\r\n\tby mail.example (Angarium) with LMTP\r\n\tid ") ||
		!strings.Contains(got[0], " for <ada@localhost>;\r\n\t") || !strings.HasSuffix(got[0], "\r\nSubject: one\r\n\r\nReturn-Path: body\r\n") || strings.Contains(got[0], "folded") {
		t.Errorf("%q", got[0])
	}
	// Stored once for both: it names neither.
	if !strings.HasPrefix(got[1], "Return-Path: <from@x.example>\r\nReceived: from ") || strings.Contains(got[1], "localhost>") {
		t.Errorf("%q", got[1])
	}
	if other := s.messages(t, "bela@localhost", mail.Inbox); len(other) != 1 || other[0] != got[1] {
		t.Errorf("%q", other)
	}
}

// TestReturnPathFilter: what is cut off does not depend on how the octets
// come.
func TestReturnPathFilter(t *testing.T) {
	for in, want := range map[string]string{
		"Return-Path: <a>\r\nX: y\r\n":              "X: y\r\n",
		"Return-Path: <a>\r\n b\r\n\tc\r\nX: y\r\n": "X: y\r\n",
		"RETURN-PATH: <a>\nreturn-path:b\n\n":       "\n",
		"Return-Pat: a\r\n":                         "Return-Pat: a\r\n",
		"Return-P":                                  "Return-P",
		"X: y\r\nReturn-Path: <a>\r\n":              "X: y\r\nReturn-Path: <a>\r\n",
		"":                                          "",
		"Return-Path: " + strings.Repeat("x", headLineMax): "Return-Path: " + strings.Repeat("x", headLineMax),
	} {
		for _, size := range []int{1, 2, 5, 13, 1 << 20} {
			var f returnPathFilter
			var out strings.Builder
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				out.Write(f.next([]byte(rest[:n])))
				rest = rest[n:]
			}
			out.Write(f.rest())
			if out.String() != want {
				t.Errorf("%.40q in pieces of %d: %.60q", in, size, out.String())
			}
		}
	}
}

// TestDetail: user+detail goes to a mailbox that exists (LMT-06).
func TestDetail(t *testing.T) {
	s := newTestServer(t, 0)
	c := s.dial(t)
	c.Send(t, "LHLO mta.example\r\n")
	for !strings.HasPrefix(c.Line(), "250 ") {
	}
	for _, to := range []string{"ada+Archive@localhost", "ada+archive@localhost", "ada+nothing@localhost"} {
		if got := deliver(t, c, "x\r\n", to); !strings.HasPrefix(got, "250") {
			t.Error(got)
		}
	}
	if n := len(s.messages(t, "ada@localhost", "Archive")); n != 2 {
		t.Errorf("%d messages in Archive", n)
	}
	if n := len(s.messages(t, "ada@localhost", mail.Inbox)); n != 1 {
		t.Errorf("%d messages in INBOX", n)
	}
}

// TestLimits: message size and recipients, at the limit and beyond.
func TestLimits(t *testing.T) {
	s := newTestServer(t, 2000)
	c := s.dial(t)
	c.Send(t, "LHLO mta.example\r\n")
	for !strings.HasPrefix(c.Line(), "250 ") {
	}
	for n, want := range map[int]string{1999: "250 2.0.0", 2000: "250 2.0.0", 2001: "552 5.3.4"} {
		if got := deliver(t, c, strings.Repeat("x", n-2)+"\r\n", "ada@localhost"); !strings.HasPrefix(got, want) {
			t.Errorf("%d octets: %s", n, got)
		}
	}
	c.Send(t, "MAIL FROM:<>\r\n")
	c.Line()
	for i := range recipientsMax + 1 {
		c.Send(t, "RCPT TO:<ada@localhost>\r\n")
		want := "250 2.1.5"
		if i == recipientsMax {
			want = "452 4.5.3"
		}
		if got := c.Line(); !strings.HasPrefix(got, want) {
			t.Fatalf("recipient %d: %s", i+1, got)
		}
	}
	c.Send(t, "RSET\r\n")
	c.Line()
	for n, want := range map[int]string{smtpwire.LineMax - 1: "250", smtpwire.LineMax: "250"} {
		c.Send(t, "NOOP "+strings.Repeat("x", n-5)+"\r\n")
		if got := c.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("a line of %d octets: %s", n, got)
		}
	}
	c.Send(t, "NOOP "+strings.Repeat("x", smtpwire.LineMax-4)+"\r\n")
	if got := c.Line(); got != "500 5.5.2 The line is too long" {
		t.Error(got)
	}
	bad := s.dial(t)
	for i := range badMax {
		bad.Send(t, "FOO\r\n")
		if got := bad.Line(); got != "500 5.5.1 Unknown command" {
			t.Fatalf("bad command %d: %s", i+1, got)
		}
	}
	if got := bad.Line(); got != "421 4.7.0 Too many bad commands" {
		t.Error(got)
	}
}

// TestDeliveryIsVisible: the mail is there when the reply comes.
func TestDeliveryIsVisible(t *testing.T) {
	s := newTestServer(t, 0)
	c := s.dial(t)
	c.Send(t, "LHLO mta.example\r\n")
	for !strings.HasPrefix(c.Line(), "250 ") {
	}
	for i := range 20 {
		deliver(t, c, fmt.Sprintf("Subject: %d\r\n\r\n", i), "ada@localhost", "bela@localhost")
		for _, account := range servertest.Accounts {
			if n := len(s.messages(t, account, mail.Inbox)); n != i+1 {
				t.Fatalf("%s: %d messages after %d deliveries", account, n, i+1)
			}
		}
	}
}

// FuzzSession sends anything. The session must answer lines or close.
func FuzzSession(f *testing.F) {
	f.Add([]byte("LHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<ada>\r\nDATA\r\nReturn-Path: <a>\r\n..\r\n.\r\nQUIT\r\n"))
	f.Add([]byte("LHLO a\r\nMAIL FROM:<a@b> SIZE=1 BODY=8BITMIME\r\nRCPT TO:<ada+x@localhost>\r\nBDAT 3 LAST\r\nabcRSET\r\n"))
	s := newTestServer(f, 1<<20)
	f.Fuzz(func(t *testing.T, in []byte) { servertest.Talk(t, s.addr, in) })
}

// TestEvents: commands and recipients are counted by what came of them.
func TestEvents(t *testing.T) {
	s := newTestServer(t, 1000)
	c := s.dial(t)
	for _, line := range []string{"LHLO me", "MAIL FROM:<a@b>", "RCPT TO:<nobody@localhost>", "RCPT TO:<ada@localhost>", "WHAT"} {
		c.Send(t, line+"\r\n")
		for strings.HasPrefix(c.Line(), "250-") {
		}
	}
	c.Send(t, "DATA\r\n")
	c.Line()
	c.Send(t, "hello\r\n.\r\nQUIT\r\n")
	for c.Line() != "<EOF>" {
	}
	got := s.Figures(t)
	for _, want := range []string{
		`angarium_command_seconds_count{cmd="RCPT",kind="ok",protocol="lmtp"} 1`,
		`angarium_command_seconds_count{cmd="RCPT",kind="refused",protocol="lmtp"} 1`,
		`angarium_command_seconds_count{cmd="unknown",kind="bad",protocol="lmtp"} 1`,
		`angarium_command_seconds_count{cmd="DATA",kind="ok",protocol="lmtp"} 1`,
		`angarium_command_seconds_count{cmd="QUIT",kind="ok",protocol="lmtp"} 1`,
		`angarium_delivery_seconds_count{kind="ok"} 1`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestQuota: a full account refuses for itself alone, for now or for good (RFC
// 3463 §3.3, X.2.2).
func TestQuota(t *testing.T) {
	for bounce, want := range map[bool]string{false: "452 4.2.2 <ada@localhost> ", true: "552 5.2.2 <ada@localhost> "} {
		s := &testServer{Server: servertest.New(t)}
		srv := New(s.Store, s.Dir, Options{Events: s.Events, Hostname: "mail.example", Bounce: !bounce})
		srv.Configure(Options{Events: s.Events, Hostname: "mail.example", Bounce: bounce})
		s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "lmtp", Refuse: Refuse, Handler: srv.Handle})
		err := s.Store.EditQuota(t.Context(), "ada@localhost", func(q *store.Quota) { q.Set(store.MessageCount, 1) })
		if err != nil {
			t.Fatal(err)
		}
		c := s.dial(t)
		c.Send(t, "LHLO mta.example\r\n")
		for !strings.HasPrefix(c.Line(), "250 ") {
		}
		if got := deliver(t, c, "Subject: one\r\n\r\n", "bela@localhost", "ada@localhost"); !strings.HasPrefix(got, "250 ") {
			t.Error(got)
		}
		if got := deliver(t, c, "Subject: two\r\n\r\n", "bela@localhost", "ada@localhost"); got != want+"the account is full: its limit of MESSAGE is reached; nothing was added" {
			t.Error(got)
		}
		if ada, bela := s.messages(t, "ada@localhost", mail.Inbox), s.messages(t, "bela@localhost", mail.Inbox); len(ada) != 1 || len(bela) != 2 {
			t.Errorf("%d and %d messages", len(ada), len(bela))
		}
	}
}
