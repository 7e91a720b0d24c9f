package imapserver

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// TestKindCodes: every kind of failure has a response code.
func TestKindCodes(t *testing.T) {
	for _, k := range errs.Kinds() {
		if kindCodes[k] == "" {
			t.Errorf("kind %v has no response code", k)
		}
	}
}

// TestPattern checks the automaton against the plain definition of RFC 3501
// §6.3.8.
func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a/b", true}, {"%", "a/b", false}, {"%", "a", true}, {"%/%", "a/b", true}, {"%/%", "a/b/c", false},
		{"a*", "a", true}, {"a%", "a/", false}, {"*b", "a/b", true}, {"%*%", "a/b", true}, {"", "a", false},
		{"inbox", "INBOX", true}, {"InBoX/%", "INBOX/a", true}, {"inbox", "INBOXES", false}, {"a", "A", false}, {"inb*", "INBOX", true},
		{strings.Repeat("x", 130) + "%", strings.Repeat("x", 130) + "yy", true},
		{strings.Repeat("x*", 100), strings.Repeat("x", 300), true}, {strings.Repeat("x*", 100) + "y", strings.Repeat("x", 300), false},
	} {
		if got := compilePattern(tc.pattern).match(tc.name); got != tc.want {
			t.Errorf("%.20q matches %.20q: %v", tc.pattern, tc.name, got)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a%*/b", "a/x/b")
	f.Fuzz(func(t *testing.T, p, name string) {
		if len(p)+len(name) > 400 {
			return
		}
		var expr strings.Builder
		for i := range len(p) {
			switch p[i] {
			case '*':
				expr.WriteString(`(?s:.*)`)
			case '%':
				expr.WriteString(`[^/]*`)
			default:
				expr.WriteString(regexp.QuoteMeta(string(rune(p[i]))))
			}
		}
		latin := func(s string) string {
			r := make([]rune, len(s))
			for i := range len(s) {
				r[i] = rune(s[i])
			}
			return string(r)
		}
		if strings.HasPrefix(name, mail.Inbox) {
			return // matches in any case
		}
		want := regexp.MustCompile("^(?:" + expr.String() + ")$").MatchString(latin(name))
		if got := compilePattern(p).match(name); got != want {
			t.Errorf("%q matches %q: %v", p, name, got)
		}
	})
}

// TestLimits: the limits of a session at the limit and beyond.
func TestLimits(t *testing.T) {
	s := newTestServer(t, Options{SessionsMax: 2, MessageMax: 3000, LiteralMinus: true, Offer: Optional})
	login := func() (*servertest.Client, string) {
		c := s.dial(t)
		c.Line()
		c.Send(t, "a LOGIN ada secret\r\n")
		return c, c.Line()
	}
	first, _ := login()
	login()
	if _, answer := login(); answer != "a NO [LIMIT] too many sessions of this account" {
		t.Error(answer)
	}
	for n, want := range map[int]string{2999: "a OK", 3000: "a OK", 3001: "a NO [TOOBIG]"} {
		first.Send(t, fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s\r\n", n, strings.Repeat("x", n)))
		if got := first.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("a message of %d octets: %s", n, got)
		}
	}
	// LITERAL- (RFC 7888 §5)
	for n, want := range map[int]string{4095: "a NO [TOOBIG]", 4096: "a NO [TOOBIG]", 4097: "a BAD a non-synchronising literal"} {
		first.Send(t, fmt.Sprintf("a APPEND INBOX {%d+}\r\n%s\r\n", n, strings.Repeat("x", n)))
		if got := first.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("a literal of %d octets: %s", n, got)
		}
	}
	for n, want := range map[int]string{patternsMax: "a OK", patternsMax + 1: "a BAD"} {
		first.Send(t, "a LIST \"\" ("+strings.TrimSpace(strings.Repeat("z ", n))+")\r\n")
		if got := first.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("%d patterns: %s", n, got)
		}
	}
	first.Send(t, "a SELECT INBOX\r\n")
	for !strings.HasPrefix(first.Line(), "a ") {
	}
	for n, want := range map[int]string{labelsMax: "a OK", labelsMax + 1: "a BAD too many labels"} {
		first.Send(t, "a UID STORE 99 -X-GM-LABELS ("+strings.TrimSpace(strings.Repeat("z ", n))+")\r\n")
		if got := first.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("%d labels: %s", n, got)
		}
	}
	for n, want := range map[int]string{patternMax: "a OK", patternMax + 1: "a BAD"} {
		first.Send(t, "a LIST \"\" "+strings.Repeat("z", n)+"\r\n")
		if got := first.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("a pattern of %d octets: %s", n, got)
		}
	}
	for n, want := range map[int]string{idFieldsMax: "* ID", idFieldsMax + 1: "a BAD"} {
		first.Send(t, "a ID ("+strings.TrimSpace(strings.Repeat(`"a" NIL `, n))+")\r\n")
		got := first.Line()
		if !strings.HasPrefix(got, want) {
			t.Errorf("%d fields of ID: %s", n, got)
		}
		if want == "* ID" {
			first.Line()
		}
	}
	// The line before login, and after it.
	for n, want := range map[int]string{imapwire.BeforeLoginMax - 1: "a BAD", imapwire.BeforeLoginMax: "a BAD", imapwire.BeforeLoginMax + 1: "* BYE [LIMIT]"} {
		c := s.dial(t)
		c.Line()
		c.Send(t, "a "+strings.Repeat("x", n-2)+"\r\n")
		if got := c.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("a line of %d octets: %s", n, got)
		}
	}
	first.Send(t, "a "+strings.Repeat("x", imapwire.CommandMax)+"\r\n")
	if got := first.Line(); !strings.HasPrefix(got, "* BYE [LIMIT]") {
		t.Error(got)
	}
}

// TestNoPrivacy: without TLS no password is taken, nor asked for (RFC 3501
// §11.1, §6.2.3; RFC 5530 §3), and inside TLS they are.
func TestNoPrivacy(t *testing.T) {
	s := newTestServer(t, Options{})
	s.Net.SetRequireTLS(true)
	c := s.dial(t)
	if got := c.Line(); !strings.Contains(got, " STARTTLS LOGINDISABLED]") || strings.Contains(got, "AUTH=") {
		t.Error(got)
	}
	for _, command := range []string{"LOGIN ada secret", "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN AGFkYQBzZWNyZXQ="} {
		c.Send(t, "a "+command+"\r\n")
		if got := c.Line(); got != "a NO [PRIVACYREQUIRED] passwords are taken over TLS only" {
			t.Errorf("%s: %s", command, got)
		}
	}
	c.Send(t, "b STARTTLS\r\n")
	if got := c.Line(); got != "b OK Begin TLS negotiation" {
		t.Fatal(got)
	}
	c.StartTLS(t)
	c.Send(t, "c CAPABILITY\r\n")
	if got := c.Line(); strings.Contains(got, "STARTTLS") || strings.Contains(got, "LOGINDISABLED") || !strings.Contains(got, "AUTH=PLAIN") {
		t.Error(got)
	}
	c.Line()
	c.Send(t, "d STARTTLS\r\n")
	if got := c.Line(); got != "d NO TLS is not available" {
		t.Error(got)
	}
	c.Send(t, "e LOGIN ada secret\r\n")
	if got := c.Line(); !strings.HasPrefix(got, "e OK") {
		t.Error(got)
	}
}

// TestBadCommands: a client that sends nothing else is sent away.
func TestBadCommands(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	c.Line()
	c.Send(t, "a LOGIN ada secret\r\n")
	c.Line()
	bad := func(n int) {
		for i := range n {
			c.Send(t, "b FOO\r\n")
			if got := c.Line(); got != "b BAD unknown command FOO" {
				t.Fatalf("bad command %d: %s", i+1, got)
			}
		}
	}
	bad(badMax - 1)
	c.Send(t, "c NOOP\r\n")
	if got := c.Line(); got != "c OK NOOP completed" {
		t.Error(got)
	}
	bad(badMax)
	if got := c.Line(); got != "* BYE [LIMIT] Too many bad commands" {
		t.Error(got)
	}
}

// TestPlaces: sessions of an account from one address are limited by
// themselves, but not from loopback.
func TestPlaces(t *testing.T) {
	srv := New(nil, nil, Options{SessionsMax: 5, SessionsPerAddressMax: 2})
	at := func(addr string) place { return place{1, netip.MustParseAddr(addr)} }
	for i, tc := range []struct {
		addr string
		want bool
	}{{"192.0.2.1", true}, {"192.0.2.1", true}, {"192.0.2.1", false}, {"192.0.2.2", true}, {"127.0.0.1", true}, {"127.0.0.1", true}, {"192.0.2.2", false}} {
		if got := srv.enter(at(tc.addr)); got != tc.want {
			t.Errorf("session %d from %s: %v", i+1, tc.addr, got)
		}
	}
	srv.leave(at("192.0.2.1"))
	if !srv.enter(at("192.0.2.1")) || srv.enter(at("192.0.2.2")) {
		t.Error("leaving did not count")
	}
}

// TestTimes: who does not log in, or stays silent, is told and sent away.
func TestTimes(t *testing.T) {
	s := newTestServer(t, Options{LoginTime: 50 * time.Millisecond})
	c := s.dial(t)
	c.Line()
	if got := c.Line(); got != "* BYE Nobody logged in" {
		t.Error(got)
	}
	s = newTestServer(t, Options{IdleTime: 50 * time.Millisecond})
	for _, command := range []string{"", "b IDLE\r\n", "b APPEND INBOX {5}\r\n"} {
		c = s.dial(t)
		c.Line()
		c.Send(t, "a LOGIN ada secret\r\n"+command) // at once: the time runs only while the server waits
		c.Line()
		if command != "" {
			c.Line()
		}
		if got := c.Line(); got != "* BYE Silent for too long" {
			t.Errorf("after %q: %s", command, got)
		}
	}
}

// TestStop: a server that stops tells its sessions, the idling ones too.
func TestStop(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	c.Line()
	c.Send(t, "a LOGIN ada secret\r\n")
	c.Line()
	c.Send(t, "b IDLE\r\n")
	c.Line()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.Net.Shutdown(ctx)
	if got := c.Line(); got != "* BYE [UNAVAILABLE] The server is stopping; please connect again" {
		t.Error(got)
	}
}

// simulated is a client that keeps the books which RFC 3501 lets it keep: a
// list of messages that only EXISTS and EXPUNGE change.
type simulated struct {
	c     *servertest.Client
	n     int
	uids  []int // 0: not known yet
	flags []string
}

// take applies an untagged line.
func (s *simulated) take(t *testing.T, line string, mayExpunge bool) {
	m := regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|RECENT|FETCH)(?: \((.*)\))?$`).FindStringSubmatch(line)
	if m == nil {
		return
	}
	n, _ := strconv.Atoi(m[1])
	switch m[2] {
	case "EXISTS":
		if n < len(s.uids) {
			t.Errorf("EXISTS shrank from %d to %d", len(s.uids), n)
		}
		for len(s.uids) < n {
			s.uids, s.flags = append(s.uids, 0), append(s.flags, "?")
		}
	case "EXPUNGE":
		if !mayExpunge {
			t.Errorf("%s where it must not be", line)
		}
		if n < 1 || n > len(s.uids) {
			t.Errorf("%s of %d messages", line, len(s.uids))
			return
		}
		s.uids, s.flags = slices.Delete(s.uids, n-1, n), slices.Delete(s.flags, n-1, n)
	case "FETCH":
		if n < 1 || n > len(s.uids) {
			t.Errorf("%s of %d messages", line, len(s.uids))
			return
		}
		if u := regexp.MustCompile(`UID (\d+)`).FindStringSubmatch(m[3]); u != nil {
			uid, _ := strconv.Atoi(u[1])
			if s.uids[n-1] != 0 && s.uids[n-1] != uid {
				t.Errorf("message %d was UID %d and is now %d", n, s.uids[n-1], uid)
			}
			s.uids[n-1] = uid
		}
		if f := regexp.MustCompile(`FLAGS \(([^)]*)\)`).FindStringSubmatch(m[3]); f != nil {
			s.flags[n-1] = strings.TrimSpace(strings.ReplaceAll(f[1], `\Recent`, ""))
		}
	}
}

// do runs a command and applies what comes.
func (s *simulated) do(t *testing.T, command string) string {
	s.n++
	tag := fmt.Sprintf("x%d", s.n)
	s.c.Send(t, tag+" "+command+"\r\n")
	verb := strings.Fields(command)[0]
	mayExpunge := verb != "FETCH" && verb != "STORE" && verb != "SEARCH"
	for {
		line := s.c.Line()
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			return rest
		}
		if strings.HasPrefix(line, "<") || strings.HasPrefix(line, "* BYE") {
			t.Fatalf("%s: %s", command, line)
		}
		s.take(t, line, mayExpunge)
	}
}

// TestConcurrentSessions lets sessions work on one mailbox at once. Afterwards
// what each has been told is what there is (RFC 2180; invariants 3 to 6).
func TestConcurrentSessions(t *testing.T) {
	s := newTestServer(t, Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const sessions, steps = 6, 150
	clients := make([]*simulated, sessions)
	for i := range clients {
		clients[i] = &simulated{c: s.dial(t)}
		clients[i].c.Line()
		clients[i].do(t, "LOGIN ada secret")
		clients[i].do(t, "SELECT INBOX")
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for range steps {
				if t.Failed() {
					return
				}
				step(t, c, rng)
			}
		})
	}
	wg.Wait()
	for _, c := range clients {
		c.do(t, "NOOP")
	}
	acct := s.Account(t, "ada@localhost")
	v, _ := acct.Snapshot()
	box, _ := v.Mailbox(mail.Inbox)
	_, list, err := acct.Messages(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		check(t, i, c, list)
	}
}

func step(t *testing.T, c *simulated, rng *rand.Rand) {
	n := len(c.uids)
	pick := func() string {
		a, b := rng.IntN(n)+1, rng.IntN(n)+1
		return fmt.Sprintf("%d:%d", min(a, b), min(max(a, b), min(a, b)+3))
	}
	op := rng.IntN(10)
	if n == 0 && op > 2 {
		op = 0
	}
	switch op {
	case 0, 1, 2:
		c.do(t, "APPEND INBOX {5+}\r\nhello")
	case 3:
		c.do(t, "STORE "+pick()+" +FLAGS (\\Deleted)")
	case 4:
		c.do(t, "EXPUNGE")
	case 5:
		c.do(t, fmt.Sprintf("STORE %s FLAGS (\\Seen k%d)", pick(), rng.IntN(5)))
	case 6:
		// The client knows what its own silent STORE did.
		set := rng.IntN(n) + 1
		if got := c.do(t, fmt.Sprintf("STORE %d FLAGS.SILENT (\\Flagged)", set)); strings.HasPrefix(got, "OK") {
			c.do(t, fmt.Sprintf("FETCH %d (UID FLAGS)", set))
		}
	case 7:
		c.do(t, "FETCH "+pick()+" (UID FLAGS)")
	case 8:
		c.do(t, "COPY "+pick()+" INBOX")
	case 9:
		c.do(t, "NOOP")
	}
}

func check(t *testing.T, i int, c *simulated, list *store.MessageList) {
	if len(c.uids) != list.Len() {
		t.Errorf("session %d believes in %d messages, there are %d", i, len(c.uids), list.Len())
		return
	}
	for j, m := range list.Range(0, list.Len()) {
		if c.uids[j] != 0 && c.uids[j] != int(m.UID) {
			t.Errorf("session %d: message %d is UID %d, not %d", i, j+1, m.UID, c.uids[j])
		}
		if c.flags[j] != "?" && c.flags[j] != m.Flags.String() {
			t.Errorf("session %d: UID %d has the flags %q, not %q", i, m.UID, m.Flags.String(), c.flags[j])
		}
	}
}

// TestProgress: a client that waits for a long search is told how far it is (RFC
// 9585), unless that is cut.
func TestProgress(t *testing.T) {
	for _, cut := range []bool{false, true} {
		o := Options{ProgressEvery: time.Nanosecond}
		if cut {
			o.Cuts = []Cut{{Capabilities: []string{"INPROGRESS"}}}
		}
		c := newTestServer(t, o).dial(t)
		c.Line()
		c.Send(t, "a LOGIN ada secret\r\n")
		if got := c.Line(); strings.Contains(got, " INPROGRESS") == cut {
			t.Errorf("cut: %v: %s", cut, got)
		}
		for range 200 {
			c.Send(t, "b APPEND INBOX {4000+}\r\n"+strings.Repeat("word ", 800)+"\r\n")
			c.Line()
		}
		c.Send(t, "c SELECT INBOX\r\n")
		for !strings.HasPrefix(c.Line(), "c ") {
		}
		told := false
		for range 20 {
			c.Send(t, "d SEARCH BODY nothing\r\n")
			for line := ""; !strings.HasPrefix(line, "d OK"); {
				line = c.Line()
				told = told || strings.HasPrefix(line, `* OK [INPROGRESS ("d" `)
			}
		}
		if told == cut {
			t.Errorf("cut: %v; told in 20 searches: %v", cut, told)
		}
	}
}
