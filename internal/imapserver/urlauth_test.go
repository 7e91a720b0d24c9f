package imapserver

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
)

// urlMessage20 is what URLs in these tests name. Its section 1.2 is that of the
// example of RFC 4467 §7.
const urlMessage20 = "Subject: x\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
	"--b\r\n\r\none\r\n--b\r\n\r\nSi vis pacem, para bellum.\r\n\r\n--b--\r\n--a--\r\n"

// urlServer serves ada, whose INBOX has urlMessage20 as UID 20, bela, and a
// submission server.
func urlServer(t *testing.T) (s *testServer, login func(user string) *urlClient) {
	t.Helper()
	s = newTestServer(t, Options{SubmitUsers: []string{"Submit"}})
	if _, err := s.Store.CreateAccount(t.Context(), "submit@localhost", "{PLAIN}secret"); err != nil {
		t.Fatal(err)
	}
	for _, name := range servertest.Accounts { // checked in no time
		if err := s.Store.SetPassword(t.Context(), name, "{PLAIN}secret"); err != nil {
			t.Fatal(err)
		}
	}
	login = func(user string) *urlClient {
		c := &urlClient{s.dial(t), t}
		c.Line()
		c.do("LOGIN " + user + " secret")
		return c
	}
	ada := login("ada")
	ada.do("APPEND INBOX" + strings.Repeat(" {1+}\r\nx", 19) + fmt.Sprintf(" {%d+}\r\n%s", len(urlMessage20), urlMessage20))
	return s, login
}

// urlClient is one logged in.
type urlClient struct {
	*servertest.Client
	t *testing.T
}

// do runs a command that must succeed, and returns its untagged responses.
func (c *urlClient) do(command string) (answer []string) {
	c.t.Helper()
	c.Send(c.t, "t "+command+"\r\n")
	for {
		switch line := c.Line(); {
		case strings.HasPrefix(line, "* "):
			answer = append(answer, line)
		case strings.HasPrefix(line, "t OK "):
			return answer
		default:
			c.t.Fatalf("%s: %s", command, line)
		}
	}
}

var generated = regexp.MustCompile(`^\* GENURLAUTH "(.*)"$`)

// authorize returns a URL with its token.
func (c *urlClient) authorize(rump string) string {
	c.t.Helper()
	m := generated.FindStringSubmatch(c.do(`GENURLAUTH "` + rump + `" INTERNAL`)[0])
	if m == nil || !strings.HasPrefix(m[1], rump+":internal:") {
		c.t.Fatalf("%s became %s", rump, m)
	}
	return m[1]
}

// fetch returns what a URL gives, as it is on the wire.
func (c *urlClient) fetch(url string) string {
	c.t.Helper()
	answer := c.do(`URLFETCH "` + url + `"`)
	octets, ok := strings.CutPrefix(answer[0], `* URLFETCH "`+url+`" `)
	if len(answer) != 1 || !ok {
		c.t.Fatalf("%s: %q", url, answer)
	}
	return octets
}

const (
	part   = "imap://ada@example.com/INBOX/;uid=20/;section=1.2;urlauth="
	partIs = "{28}\r\nSi vis pacem, para bellum.\r\n"
)

// TestURLAccess: who may use a URL (RFC 4467 §3), with the example of §7.
func TestURLAccess(t *testing.T) {
	_, login := urlServer(t)
	users := map[string]*urlClient{"ada": login("ada"), "bela": login("bela"), "submit": login("submit")}
	for access, allowed := range map[string]string{
		"submit+fred": "submit", "submit+ada": "submit", "user+bela": "bela", "USER+BELA%40LocalHost": "bela", "user+ada": "ada",
		"user+submit": "submit", "user+nobody": "", "user+bela%40x.example": "", "authuser": "ada bela submit", "anonymous": "ada bela submit",
	} {
		url := users["ada"].authorize(part + access)
		for name, c := range users {
			want := "NIL"
			if strings.Contains(allowed, name) {
				want = partIs
			}
			if got := c.fetch(url); got != want {
				t.Errorf("%s by %s: %q", access, name, got)
			}
		}
	}
}

// TestURLParts: what a URL names (RFC 5092 §6, RFC 5550).
func TestURLParts(t *testing.T) {
	_, login := urlServer(t)
	ada, bela := login("ada"), login("bela")
	large := strings.Repeat("0123456789abcde\n", 40_000)
	ada.do(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(large), large))
	literal := func(text string) string { return fmt.Sprintf("{%d}\r\n%s", len(text), text) }
	for rest, want := range map[string]string{
		"/;uid=20":                                                 literal(urlMessage20),
		"/;uid=20/;partial=9":                                      literal(urlMessage20[9:]),
		"/;uid=20/;partial=0.10":                                   literal("Subject: x"),
		"/;uid=20/;partial=100000":                                 `""`,
		"/;uid=20/;section=1.2/;partial=3.9999":                    literal("vis pacem, para bellum.\r\n"),
		"/;uid=20/;section=HEADER.FIELDS%20(SUBJECT)":              literal("Subject: x\r\n\r\n"),
		"/;uid=20/;section=HEADER.FIELDS%20(SUBJECT)/;partial=9.1": literal("x"),
		"/;uid=20/;section=HEADER.FIELDS%20(SUBJECT)/;partial=11":  literal("\n\r\n"),
		"/;uid=20/;section=7":                                      `""`, // RFC 4467 §8: the part is not there
		"/;uid=21":                                                 literal(large),
		"/;uid=21/;partial=16.600000":                              literal(large[16:600016]),
		"/;uid=22":                                                 "NIL",
		";uidvalidity=1795435200/;uid=20/;partial=0.1":             literal("S"),
	} {
		if got := bela.fetch(ada.authorize("imap://ada@example.com/INBOX" + rest + ";urlauth=user+bela")); got != want {
			t.Errorf("%s: %.200q, want %.200q", rest, got, want)
		}
	}
	if got := bela.do("SELECT INBOX")[2]; got != "* 0 EXISTS" {
		t.Error(got)
	}
	if got := ada.do("STATUS INBOX (UNSEEN)")[0]; got != "* STATUS INBOX (UNSEEN 21)" {
		t.Error("URLFETCH sets a flag:", got)
	}
}

// TestURLForged: whatever is changed in a URL, the answer is the same as for
// one that never was (RFC 4467 §6, reliability paper A30).
func TestURLForged(t *testing.T) {
	_, login := urlServer(t)
	ada, bela := login("ada"), login("bela")
	ada.do("SELECT INBOX")
	ada.do("COPY 20 Sent")
	url := ada.authorize(part + "user+bela")
	rump, token, _ := strings.Cut(url, ":internal:")
	_, own, _ := strings.Cut(bela.authorize(strings.Replace(part, "ada@", "bela@", 1)+"user+bela"), ":internal:")
	_, sent, _ := strings.Cut(ada.authorize(strings.Replace(part, "INBOX", "Sent", 1)+"user+bela"), ":internal:")
	forged := map[string]string{
		"another mailbox": strings.Replace(url, "INBOX", "Sent", 1), "another UID": strings.Replace(url, "uid=20", "uid=19", 1),
		"no such UID": strings.Replace(url, "uid=20", "uid=99", 1), "no such mailbox": strings.Replace(url, "INBOX", "Nowhere", 1),
		"another user": strings.Replace(url, "ada@", "bela@", 1), "no such user": strings.Replace(url, "ada@", "nobody@", 1),
		"another spelling": strings.Replace(url, "/INBOX", "/inbox", 1), "encoded": strings.Replace(url, "INBOX", "INBO%58", 1),
		"another server": strings.Replace(url, "example.com", "EXAMPLE.com", 1), "the whole message": strings.Replace(url, "/;section=1.2", "", 1),
		"another access": strings.Replace(url, "user+bela", "authuser", 1), "no verifier": rump, "no server": strings.TrimPrefix(url, "imap://ada@example.com"),
		"another mechanism": strings.Replace(url, ":internal:", ":xsample:", 1), "another algorithm": rump + ":internal:02" + token[2:],
		"half a token": rump + ":internal:" + token[:34], "an odd token": url + "0", "a longer token": url + "00",
		"no token": rump + ":internal:" + strings.Repeat("0", len(token)), "of another account": rump + ":internal:" + own, "of another key": rump + ":internal:" + sent,
	}
	for i := range token {
		digit := "0"
		if token[i] == '0' {
			digit = "1"
		}
		forged[fmt.Sprintf("digit %d", i)] = rump + ":internal:" + token[:i] + digit + token[i+1:]
	}
	for what, url := range forged {
		if got := bela.fetch(url); got != "NIL" {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := bela.fetch(rump + ":INTERNAL:" + strings.ToUpper(token)); got != partIs {
		t.Errorf("the mechanism's name and hexadecimal digits are of any case: %q", got)
	}
}

// TestURLExpires: a URL is good until its time, which included (RFC 4467 §3).
func TestURLExpires(t *testing.T) {
	_, login := urlServer(t)
	ada, bela := login("ada"), login("bela")
	for at, want := range map[string]string{
		"2026-11-23T12:00:00Z": partIs, "2026-11-23t11:59:59.999z": "NIL", "2026-11-23T13:00:00+01:00": partIs,
		"2026-11-23T12:59:59+01:00": "NIL", "0001-01-01T00:00:00Z": "NIL", "9999-12-31T23:59:59Z": partIs,
	} {
		url := ada.authorize(strings.Replace(part, ";urlauth", ";expire="+at+";urlauth", 1) + "authuser")
		if got := bela.fetch(url); got != want {
			t.Errorf("until %s: %q", at, got)
		}
	}
}

// TestURLRevoked: what was authorized ends at once, also for a session that
// used it before (RFC 4467 §7, reliability paper A29).
func TestURLRevoked(t *testing.T) {
	for what, tc := range map[string]struct {
		revoke func(s *testServer, ada *urlClient)
		still  bool
	}{
		"nothing":            {revoke: func(*testServer, *urlClient) {}, still: true},
		"key of another":     {revoke: func(_ *testServer, ada *urlClient) { ada.do("RESETKEY INBOX") }, still: true},
		"key of the mailbox": {revoke: func(_ *testServer, ada *urlClient) { ada.do("RESETKEY Box INTERNAL") }},
		"all keys":           {revoke: func(_ *testServer, ada *urlClient) { ada.do("RESETKEY") }},
		"all keys, and a new": {revoke: func(_ *testServer, ada *urlClient) {
			ada.do("RESETKEY")
			ada.do(`GENURLAUTH "imap://ada@x/Box/;uid=1;urlauth=authuser" INTERNAL`)
		}},
		"mailbox renamed": {revoke: func(_ *testServer, ada *urlClient) { ada.do("RENAME Box Other") }},
		"another of the name": {revoke: func(_ *testServer, ada *urlClient) {
			ada.do("RENAME Box Other")
			ada.do("CREATE Box")
			ada.do("APPEND Box {1+}\r\nx")
		}},
		"mailbox deleted": {revoke: func(_ *testServer, ada *urlClient) { ada.do("DELETE Box") }},
		"made again": {revoke: func(_ *testServer, ada *urlClient) {
			ada.do("DELETE Box")
			ada.do("CREATE Box")
			ada.do("APPEND Box {1+}\r\nx")
		}},
		"only a name": {revoke: func(_ *testServer, ada *urlClient) {
			ada.do("CREATE Box/x")
			ada.do("DELETE Box")
			ada.do("CREATE Box")
			ada.do("APPEND Box {1+}\r\nx")
		}},
		"message expunged": {revoke: func(_ *testServer, ada *urlClient) {
			ada.do("SELECT Box")
			ada.do(`STORE 1 +FLAGS (\Deleted)`)
			ada.do("EXPUNGE")
		}},
		"account deleted": {revoke: func(s *testServer, _ *urlClient) {
			if err := s.Store.DeleteAccount(t.Context(), "ada@localhost"); err != nil {
				t.Fatal(err)
			}
		}},
		"no submission server any more": {revoke: func(s *testServer, _ *urlClient) { s.imap.Configure(Options{Log: s.Log}) }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, login := urlServer(t)
			ada, submit := login("ada"), login("submit")
			ada.do("CREATE Box")
			ada.do("APPEND Box {1+}\r\nx")
			url := ada.authorize("imap://ada@x/Box/;uid=1;urlauth=submit+ada")
			if got := submit.fetch(url); got != "{1}\r\nx" {
				t.Fatalf("%q", got)
			}
			tc.revoke(s, ada)
			if got := submit.fetch(url); got != "NIL" && !tc.still {
				t.Errorf("%q", got)
			} else if tc.still && got != "{1}\r\nx" {
				t.Errorf("not revoked, and gone: %q", got)
			}
		})
	}
}

// TestURLLimits: the limit of one command, and beyond.
func TestURLLimits(t *testing.T) {
	_, login := urlServer(t)
	ada := login("ada")
	for n, ok := range map[int]bool{urlsMax: true, urlsMax + 1: false} {
		for _, command := range []string{"URLFETCH" + strings.Repeat(" x", n), "GENURLAUTH" + strings.Repeat(" imap://ada@x/INBOX/;UID=1;URLAUTH=authuser INTERNAL", n)} {
			ada.Send(t, "t "+command+"\r\n")
			line := ada.Line()
			for strings.HasPrefix(line, "* ") {
				line = ada.Line()
			}
			if strings.HasPrefix(line, "t OK") != ok || strings.HasPrefix(line, "t BAD too many URLs") == ok {
				t.Errorf("%d: %s", n, line)
			}
		}
	}
}
