package trace

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/errs"
)

type fixture struct {
	*Trace
	dir string
	log *bytes.Buffer
}

func begin(t *testing.T, o Options) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), log: &bytes.Buffer{}}
	o.User = "ada@localhost"
	if o.Time == 0 {
		o.Time = time.Hour
	}
	if o.Protocol == "" {
		o.Protocol = All
	}
	var err error
	if f.Trace, err = Begin(f.dir, o, slog.New(slog.NewTextHandler(f.log, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.End("the test is over") })
	return f
}

// text returns what was written of a session, without time stamps and the
// trace's own lines.
func (f *fixture) text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "ada@localhost", name))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(b)) {
		stamp, rest, _ := strings.Cut(line, " ")
		if _, err := time.Parse("2006-01-02T15:04:05.000000Z", stamp); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(rest, "*") {
			out.WriteString(rest)
		}
	}
	return out.String()
}

// play tells a tap of a conversation: "C " begins a command, "c " is a line
// within one, "L " a literal, "S " a line of the server, "s " a part of one.
func play(p *Tap, script []string) {
	for _, s := range script {
		kind, text := s[0], s[2:]
		switch kind {
		case 'C':
			p.Boundary()
			p.Line([]byte(text))
		case 'c':
			p.Line([]byte(text))
		case 'L':
			p.Octets([]byte(text))
		case 'S':
			p.Sent([]byte(text + "\r\n"))
		case 's':
			p.Sent([]byte(text))
		}
	}
}

const aToken = "01a4473744909de610943775f9038a4b3c2d1e0f01a4473744909de610943775f9"

// secrets are conversations whose secrets are "secret", "c2VjcmV0" and aToken.
var secrets = []struct {
	name, protocol string
	script         []string
	want           string
}{
	{"LOGIN", "imap", []string{"C a LOGIN ada secret", "S a BAD LOGIN is not possible in this state: secret"}, "C a LOGIN ***\nS a BAD ***\n"},
	{"quoted", "imap", []string{`C a login "ada" "secret"`}, "C a login ***\n"},
	{"quoted at once", "imap", []string{`C a LOGIN"ada" "secret"`}, "C a LOGIN ***\n"},
	{"literals", "imap", []string{"C a LOGIN {3}", "S + OK", "L ada", "c  {6+}", "L sec", "L ret", "c ", "S a BAD secret"}, "C a LOGIN ***\nS + ***\nC ***\nC ***\nC ***\nC ***\nS a BAD ***\n"},
	{"no tag", "imap", []string{"C LOGIN ada secret", "S LOGIN BAD unknown command secret"}, "C LOGIN ***\nS LOGIN BAD ***\n"},
	{"tab", "imap", []string{"C a\tLogin\tada secret"}, "C a\tLogin ***\n"},
	{"two spaces", "imap", []string{"C a  LOGIN  ada secret"}, "C a  LOGIN ***\n"},
	{"UID LOGIN", "imap", []string{"C a UID LOGIN ada secret"}, "C a UID LOGIN ***\n"},
	{"initial response", "imap", []string{"C a AUTHENTICATE PLAIN c2VjcmV0", "S a BAD no"}, "C a AUTHENTICATE ***\nS a BAD ***\n"},
	{"response", "imap", []string{"C a AUTHENTICATE PLAIN", "S + c2VjcmV0", "c c2VjcmV0", "S a OK secret"}, "C a AUTHENTICATE ***\nS + ***\nC ***\nS *** OK ***\n"},
	{"refused exchange", "imap", []string{"C a AUTHENTICATE LOGIN", "S a BAD no", "C c2VjcmV0", "S c2VjcmV0 BAD secret", "C c2VjcmV0", "S * BAD c2VjcmV0", "C b NOOP", "S b OK done"},
		"C a AUTHENTICATE ***\nS a BAD ***\nC ***\nS *** BAD ***\nC ***\nS * BAD ***\nC b NOOP\nS b OK done\n"},
	{"pipelined exchange", "imap", []string{"C a authenticate PLAIN", "C c2VjcmV0", "C *"}, "C a authenticate ***\nC ***\nC ***\n"},
	{"in mid exchange", "imap", []string{"c c2VjcmV0", "S a OK [CAPABILITY IMAP4rev1] Logged in"}, "C ***\nS a OK [CAPABILITY IMAP4rev1] Logged in\n"},
	{"PASS", "pop3", []string{"C PASS secret", "S -ERR secret"}, "C PASS ***\nS -ERR ***\n"},
	{"PASS with spaces", "pop3", []string{"C pass my secret word"}, "C pass ***\n"},
	{"APOP", "pop3", []string{"C APOP ada c2VjcmV0"}, "C APOP ***\n"},
	{"AUTH", "pop3", []string{"C AUTH PLAIN c2VjcmV0", "S -ERR no", "C c2VjcmV0", "C AUTH", "C c2VjcmV0", "S -ERR c2VjcmV0", "C LIST 1", "S +OK"},
		"C AUTH ***\nS -ERR ***\nC ***\nC ***\nC ***\nS -ERR ***\nC LIST 1\nS +OK\n"},
	{"LMTP AUTH", "lmtp", []string{"C AUTH PLAIN c2VjcmV0", "S 500 5.5.1 Unknown command", "C c2VjcmV0"}, "C AUTH ***\nS 500 ***\nC ***\n"},
	{"MAIL AUTH", "lmtp", []string{"C MAIL FROM:<a@b> AUTH=<>", "C DATA"}, "C MAIL FROM:<a@b> AUTH=<>\nC DATA\n"},
	{"GENURLAUTH", "imap", []string{`C a GENURLAUTH "imap://ada@h/INBOX/;uid=1;urlauth=submit+ada" INTERNAL`, `S * GENURLAUTH "imap://ada@h/INBOX/;uid=1;urlauth=submit+ada:internal:` + aToken + `"`, "S a OK done"},
		"C a GENURLAUTH \"imap://ada@h/INBOX/;uid=1;urlauth=submit+ada\" INTERNAL\nS * GENURLAUTH \"imap://ada@h/INBOX/;uid=1;urlauth=submit+ada:internal:***\"\nS a OK done\n"},
	{"URLFETCH", "imap", []string{"C a URLFETCH imap://ada@h/INBOX/;uid=1;URLAUTH=anonymous:INTERNAL:" + aToken + " imap://h/x:" + aToken},
		"C a URLFETCH imap://ada@h/INBOX/;uid=1;URLAUTH=anonymous:INTERNAL:*** imap://h/x:***\n"},
	{"URLFETCH in pieces", "imap", []string{"s * URLFETCH imap://ada@h/INBOX/;uid=1;urlauth=anonymous:inter", "s nal:" + aToken[:20], "S " + aToken[20:] + " NIL"},
		"S * URLFETCH imap://ada@h/INBOX/;uid=1;urlauth=anonymous:internal:*** NIL\n"},
	{"URL in a literal", "imap", []string{"C a URLFETCH {104}", "S + OK", "L ;urlauth=anonymous:internal:" + aToken[:9], "L " + aToken[9:], "c ", "S a OK done"},
		"C a URLFETCH {104}\nS + OK\nC ;urlauth=anonymous:internal:***\nC \nS a OK done\n"},
	{"URL that is cut", "imap", []string{"C a URLFETCH " + strings.Repeat("x", lineMax-60) + ";urlauth=anonymous:internal:" + aToken}, "C a URLFETCH " + strings.Repeat("x", lineMax-60) + ";urlauth=anonymous:internal:*** [...]\n"},
}

// TestSecrets: every form of a secret is masked, with and without bodies.
func TestSecrets(t *testing.T) {
	for _, tc := range secrets {
		for _, bodies := range []bool{false, true} {
			f := begin(t, Options{Bodies: bodies})
			p := f.Tap(Session{Protocol: tc.protocol, ID: "S"}, true)
			play(p, tc.script)
			p.Close()
			got := f.text(t, tc.protocol+"-S.txt")
			if got != tc.want {
				t.Errorf("%s, bodies %v:\n%.500swant\n%.500s", tc.name, bodies, got, tc.want)
			}
			for _, secret := range []string{"secret", "c2VjcmV0", aToken[:20], aToken[40:]} {
				if strings.Contains(got, secret) {
					t.Errorf("%s: the secret is in %s", tc.name, got)
				}
			}
		}
	}
}

// TestMessages: messages are left out, unless they are asked for.
func TestMessages(t *testing.T) {
	message := strings.Repeat("Subject: hidden\r\n", 20) + "\r\nend"
	for _, tc := range []struct {
		protocol     string
		script       []string
		want, bodies string
	}{
		{"imap", []string{"C a APPEND INBOX {345+}", "L " + message[:100], "L " + message[100:], "c ", "S a OK done"},
			"C a APPEND INBOX {345+}\nC [345 octets]\nC \nS a OK done\n",
			"C a APPEND INBOX {345+}\n" + strings.Repeat("C Subject: hidden\n", 20) + "C \nC end\nC \nS a OK done\n"},
		{"imap", []string{"C a FETCH 1 BODY[]", "s * 1 FETCH (BODY[] {345}\r", "s \n" + message[:7], "S " + message[7:] + " FLAGS ())", "S a OK done"},
			"C a FETCH 1 BODY[]\nS * 1 FETCH (BODY[] {345}\nS [345 octets]\nS  FLAGS ())\nS a OK done\n",
			"C a FETCH 1 BODY[]\nS * 1 FETCH (BODY[] {345}\n" + strings.Repeat("S Subject: hidden\n", 20) + "S \nS end\nS  FLAGS ())\nS a OK done\n"},
		{"imap", []string{"C a SELECT {5}", "S + OK", "L IN\x1bBO", "c ", "S * 1 LIST () {3}\r\na\r\n"}, "C a SELECT {5}\nS + OK\nC IN\\x1bBO\nC \nS * 1 LIST () {3}\nS a\\r\\n\nS \n", "C a SELECT {5}\nS + OK\nC IN\\x1bBO\nC \nS * 1 LIST () {3}\nS a\nS \n"},
		{"pop3", []string{"C RETR 1", "S +OK", "S hidden", "s hid", "S den", "S .", "C NOOP", "S +OK", "C TOP 9 0", "S -ERR no", "C LIST", "S +OK", "S 1 2", "S ."},
			"C RETR 1\nS +OK\nS [16 octets]\nS .\nC NOOP\nS +OK\nC TOP 9 0\nS -ERR no\nC LIST\nS +OK\nS 1 2\nS .\n",
			"C RETR 1\nS +OK\nS hidden\nS hidden\nS .\nC NOOP\nS +OK\nC TOP 9 0\nS -ERR no\nC LIST\nS +OK\nS 1 2\nS .\n"},
		{"lmtp", []string{"C DATA", "S 354 go", "L hidden\r\n.\r\n", "S 250 taken"}, "C DATA\nS 354 go\nC [11 octets]\nS 250 taken\n", "C DATA\nS 354 go\nC hidden\nC .\nS 250 taken\n"},
		{"imap", []string{"C a SEARCH TEXT " + strings.Repeat("x", lineMax), "S * " + strings.Repeat("y", lineMax)},
			"C a SEARCH TEXT " + strings.Repeat("x", lineMax-14) + " [...]\nS * " + strings.Repeat("y", lineMax-2) + " [...]\n",
			"C a SEARCH TEXT " + strings.Repeat("x", lineMax-14) + " [...]\nS * " + strings.Repeat("y", lineMax-2) + " [...]\n"},
	} {
		for bodies, want := range map[bool]string{false: tc.want, true: tc.bodies} {
			f := begin(t, Options{Bodies: bodies})
			p := f.Tap(Session{Protocol: tc.protocol, ID: "S"}, true)
			play(p, tc.script)
			p.Close()
			if got := f.text(t, tc.protocol+"-S.txt"); got != want {
				t.Errorf("bodies %v:\n%.500swant\n%.500s", bodies, got, want)
			}
		}
	}
}

// TestOpened: of a session that was open, what is under way is not written: it
// may be the midst of a message or of a password.
func TestOpened(t *testing.T) {
	f := begin(t, Options{Bodies: true})
	p := f.Tap(Session{Protocol: "imap", ID: "S"}, false)
	play(p, []string{"L secret", "c secret", "S secret", "C b NOOP", "S b OK done"})
	p.Close()
	if got := f.text(t, "imap-S.txt"); got != "C b NOOP\nS b OK done\n" {
		t.Error(got)
	}
}

// TestLimits: a session's file and all of them are bounded, and a trace ends at
// its time.
func TestLimits(t *testing.T) {
	line := "C a " + strings.Repeat("x", 1000)
	f := begin(t, Options{SessionMax: 10_000, TotalMax: 25_000})
	for _, tc := range []struct {
		id          string
		size        int64
		over        bool
		last, other string
	}{
		{"A", 11_000, false, "the trace of this session ends: it is as large as it may be", ""},
		{"B", 11_000, false, "the trace of this session ends: it is as large as it may be", ""},
		{"C", 7_000, true, "the trace ends: it is as large as it may be", ""},
	} {
		p := f.Tap(Session{Protocol: "imap", ID: tc.id}, true)
		for range 100 {
			play(p, []string{line})
		}
		p.Flush()
		b, _ := os.ReadFile(filepath.Join(f.dir, "ada@localhost", "imap-"+tc.id+".txt"))
		if int64(len(b)) > tc.size || !strings.HasSuffix(string(b), "* "+tc.last+"\n") || f.Over() != tc.over {
			t.Errorf("%s: %d octets, over: %v, ...%s", tc.id, len(b), f.Over(), b[max(0, len(b)-100):])
		}
	}
	if f.Tap(Session{Protocol: "imap", ID: "D"}, true) != nil || f.Has("imap") {
		t.Error("it goes on")
	}
	if !strings.Contains(f.log.String(), `msg=trace_ended account=ada@localhost why="it is as large as it may be" sessions=3`) {
		t.Error(f.log)
	}
	short := begin(t, Options{Time: time.Millisecond})
	for end := time.Now().Add(10 * time.Second); !short.Over() && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if !short.Over() {
		t.Error("it did not end at its time")
	}
	for _, d := range []time.Duration{0, -1, TimeMax + 1} {
		if _, err := Begin(t.TempDir(), Options{User: "a@b", Time: d}, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %v", d, err)
		}
	}
}

// TestSessionsMax: a client that connects again and again does not fill the
// directory; one session that comes back counts once.
func TestSessionsMax(t *testing.T) {
	f := begin(t, Options{})
	for i := range sessionsMax {
		id := string(rune('A'+i%26)) + string(rune('A'+i/26%26)) + string(rune('A'+i/26/26))
		for range min(2, sessionsMax-i) {
			if p := f.Tap(Session{Protocol: "imap", ID: id}, true); p == nil {
				t.Fatalf("session %d is not written", i+1)
			} else {
				p.Close()
			}
		}
	}
	if f.Tap(Session{Protocol: "imap", ID: "more"}, true) != nil || !f.Over() {
		t.Error("it goes on")
	}
}

// TestUnwritable: a trace that cannot be written ends with a warning, and those
// who tell it notice nothing.
func TestUnwritable(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	f := begin(t, Options{})
	p := f.Tap(Session{Protocol: "imap", ID: "S"}, true)
	other := f.Tap(Session{Protocol: "imap", ID: "T"}, true)
	p.file.Close()
	p.file = full
	play(p, []string{"C a NOOP", "S a OK done"})
	p.Flush()
	play(p, []string{"C b NOOP", "L x", "S b OK done"})
	p.Close()
	other.Flush()
	if !f.Over() || !strings.Contains(f.log.String(), "level=WARN msg=trace_ended") || !strings.Contains(f.log.String(), syscall.ENOSPC.Error()) {
		t.Error(f.log)
	}
	if err := full.Close(); err == nil {
		t.Error("the file is open still")
	}
	if _, err := Begin("/dev/null/x", Options{User: "a@b", Time: time.Hour}, nil); !errs.Is(err, errs.Temporary) {
		t.Error(err)
	}
}

// TestFiles: only the server's user may read a trace.
func TestFiles(t *testing.T) {
	f := begin(t, Options{})
	f.Tap(Session{Protocol: "imap", ID: "S"}, true).Close()
	dir := filepath.Join(f.dir, "ada@localhost")
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "imap-S.txt"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}
