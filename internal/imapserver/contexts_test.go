package imapserver

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/servertest"
)

// watcher is a client that keeps the results of searches up to date by ADDTO
// and REMOVEFROM alone (RFC 5267 §4.3.2 to §4.3.4).
type watcher struct {
	c        *servertest.Client
	n        int
	exists   int
	contexts map[string]*watched
}

type watched struct {
	command string // with %s for the result options
	results []int
}

func (w *watcher) do(t testing.TB, command string) (answer []string) {
	t.Helper()
	w.n++
	tag := fmt.Sprintf("w%d", w.n)
	w.c.Send(t, tag+" "+command+"\r\n")
	for {
		line := w.c.Line()
		if rest, ok := strings.CutPrefix(line, tag+" "); ok {
			if !strings.HasPrefix(rest, "OK") && !strings.HasPrefix(rest, "NO [EXPUNGEISSUED]") {
				t.Fatalf("%s: %s", command, rest)
			}
			return answer
		}
		answer = append(answer, line)
		w.take(t, line)
	}
}

var (
	numberLine = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE)$`)
	updateLine = regexp.MustCompile(`^\* ESEARCH \(TAG "(w\d+)"\)(?: UID)?((?: (?:ADDTO|REMOVEFROM) \([^)]*\))+)$`)
	updateItem = regexp.MustCompile(`(ADDTO|REMOVEFROM) \(([^)]*)\)`)
)

func (w *watcher) take(t testing.TB, line string) {
	t.Helper()
	if m := numberLine.FindStringSubmatch(line); m != nil {
		n, _ := strconv.Atoi(m[1])
		if m[2] == "EXISTS" {
			w.exists = n
			return
		}
		w.exists--
		for _, c := range w.contexts {
			if strings.HasPrefix(c.command, "UID") {
				continue
			}
			for i, have := range c.results {
				if have == n {
					t.Errorf("%s while it is in the results of %s", line, c.command)
				}
				if have > n {
					c.results[i]--
				}
			}
		}
	}
	m := updateLine.FindStringSubmatch(line)
	if m == nil {
		return
	}
	c := w.contexts[m[1]]
	if c == nil {
		t.Fatalf("%s: of no context", line)
	}
	for _, item := range updateItem.FindAllStringSubmatch(m[2], -1) {
		words := strings.Fields(item[2])
		for i := 0; i < len(words); i += 2 {
			at, _ := strconv.Atoi(words[i])
			c.apply(t, line, item[1] == "ADDTO", at, numbersOf(words[i+1]))
		}
	}
}

func (c *watched) apply(t testing.TB, line string, add bool, at int, numbers []int) {
	t.Helper()
	switch {
	case at == 0 && add:
		c.results = append(c.results, numbers...)
		slices.Sort(c.results)
		if len(slices.Compact(slices.Clone(c.results))) != len(c.results) {
			t.Errorf("%s: added twice", line)
		}
	case at == 0:
		before := len(c.results)
		c.results = slices.DeleteFunc(c.results, func(n int) bool { return slices.Contains(numbers, n) })
		if len(c.results) != before-len(numbers) {
			t.Errorf("%s: not all were there", line)
		}
	case add:
		c.results = slices.Insert(c.results, at-1, numbers...)
	default:
		if end := at - 1 + len(numbers); end > len(c.results) || !slices.Equal(c.results[at-1:end], numbers) {
			t.Fatalf("%s: does not stand there in %v", line, c.results)
		}
		c.results = slices.Delete(c.results, at-1, at-1+len(numbers))
	}
}

// numbersOf expands a set in the order it is written.
func numbersOf(set string) (all []int) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		if !isRange {
			last = first
		}
		a, _ := strconv.Atoi(first)
		b, _ := strconv.Atoi(last)
		for n := a; n <= b; n++ {
			all = append(all, n)
		}
	}
	return all
}

var allLine = regexp.MustCompile(` ALL (\S+)(?: MODSEQ \d+)?$`)

// search returns what a search finds, and makes a context of it if it is to.
func (w *watcher) search(t testing.TB, command, options string) []int {
	t.Helper()
	for _, line := range w.do(t, fmt.Sprintf(command, options)) {
		if m := allLine.FindStringSubmatch(line); m != nil {
			return numbersOf(m[1])
		}
	}
	return nil
}

func (w *watcher) watch(t testing.TB, command string) {
	t.Helper()
	w.contexts[fmt.Sprintf("w%d", w.n+1)] = &watched{command: command}
	c := w.contexts[fmt.Sprintf("w%d", w.n+1)]
	for _, line := range w.do(t, fmt.Sprintf(command, "UPDATE ALL")) {
		if m := allLine.FindStringSubmatch(line); m != nil && c.results == nil {
			c.results = numbersOf(m[1])
		}
	}
}

// check compares what the client keeps with what the searches find now.
func (w *watcher) check(t *testing.T) {
	t.Helper()
	w.do(t, "NOOP")
	for _, c := range w.contexts {
		if now := w.search(t, c.command, "ALL"); !slices.Equal(now, c.results) {
			t.Errorf("%s finds %v, its client believes in %v", c.command, now, c.results)
		}
	}
}

var watchedCommands = []string{
	"SEARCH RETURN (%s) UNSEEN", "UID SEARCH RETURN (%s) OR KEYWORD k1 UID *", "UID SEARCH RETURN (%s) UID 10:* NOT FLAGGED",
	"SORT RETURN (%s) (REVERSE ARRIVAL SUBJECT) UTF-8 UNDELETED", "UID SORT RETURN (%s) (SUBJECT SIZE) UTF-8 SUBJECT a",
	"UID SORT RETURN (%s) (FROM) UTF-8 OR FLAGGED MODSEQ 60", "SEARCH RETURN (%s) ALL", "UID SORT RETURN (%s) (SIZE REVERSE SUBJECT) UTF-8 ALL",
}

// TestContexts: what a client makes of ADDTO and REMOVEFROM is what a new search
// finds, whatever other sessions and its own do.
func TestContexts(t *testing.T) {
	s := newTestServer(t, Options{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	other := &watcher{c: s.dial(t)}
	w := &watcher{c: s.dial(t), contexts: map[string]*watched{}}
	for _, c := range []*watcher{other, w} {
		c.c.Line()
		c.do(t, "LOGIN ada secret")
	}
	for range 20 {
		other.change(t, rng, 0)
	}
	for _, c := range []*watcher{other, w} {
		c.do(t, "SELECT INBOX")
	}
	for _, command := range watchedCommands {
		w.watch(t, command)
	}
	for round := range 60 {
		for range rng.IntN(5) {
			other.change(t, rng, rng.IntN(8))
		}
		if w.exists > 0 { // expunges are kept back
			w.do(t, fmt.Sprintf("FETCH %d FLAGS", 1+rng.IntN(w.exists)))
		}
		for range rng.IntN(4) {
			w.change(t, rng, rng.IntN(8))
		}
		if w.check(t); t.Failed() {
			t.Fatal("in round ", round)
		}
	}
}

// change does something to the mailbox.
func (w *watcher) change(t *testing.T, rng *rand.Rand, what int) {
	t.Helper()
	set := "1:1"
	if w.exists > 0 {
		first := 1 + rng.IntN(w.exists)
		set = fmt.Sprintf("%d:%d", first, min(w.exists, first+rng.IntN(4)))
	}
	flag := []string{`\Seen`, `\Flagged`, `\Deleted`, "k1"}[rng.IntN(4)]
	switch what {
	case 0, 1:
		message := fmt.Sprintf("From: %c@x\r\nSubject: %c\r\n\r\n%s", 'a'+rng.IntN(5), 'a'+rng.IntN(3), strings.Repeat("x", rng.IntN(3)))
		w.do(t, fmt.Sprintf("APPEND INBOX (%s) \"%02d-Nov-2026 12:00:00 +0000\" {%d+}\r\n%s", flag, 1+rng.IntN(20), len(message), message))
	case 2, 3:
		if w.exists > 0 {
			w.do(t, "STORE "+set+" +FLAGS ("+flag+")")
		}
	case 4:
		if w.exists > 0 {
			w.do(t, "STORE "+set+" -FLAGS.SILENT ("+flag+")")
		}
	case 5:
		w.do(t, "EXPUNGE")
	case 6:
		if w.exists > 0 {
			w.do(t, "UID STORE 1:* -FLAGS ("+flag+")")
		}
	case 7:
		if w.exists > 0 {
			w.do(t, "COPY "+set+" INBOX")
		}
	}
}

// TestContextLimits: the limits of contexts at the limit and beyond (RFC 5267
// §4.3.1).
func TestContextLimits(t *testing.T) {
	s := newTestServer(t, Options{})
	w := &watcher{c: s.dial(t), contexts: map[string]*watched{}}
	w.c.Line()
	w.do(t, "LOGIN ada secret")
	w.do(t, "SELECT INBOX")
	refused := func(key string) string {
		for _, line := range w.do(t, "SEARCH RETURN (UPDATE COUNT) "+key) {
			if strings.HasPrefix(line, "* NO ") {
				return line
			}
		}
		return ""
	}
	long := func(n int) string { return "SUBJECT \"" + strings.Repeat("x", n) + `"` }
	if got := refused(long(contextKeyMax)); !strings.HasPrefix(got, "* NO [NOUPDATE \"w3\"]") {
		t.Errorf("a search that is too large: %q", got)
	}
	for n := range contextsMax {
		if got := refused(long(100)); got != "" {
			t.Errorf("context %d: %s", n+1, got)
		}
	}
	if got, want := refused("ALL"), fmt.Sprintf("* NO [NOUPDATE \"w%d\"] Too many contexts", w.n); got != want {
		t.Errorf("one context too many: %q", got)
	}
	w.do(t, `CANCELUPDATE "w4"`)
	if got := refused("ALL"); got != "" {
		t.Errorf("after one ended: %s", got)
	}
}

func TestUIDBits(t *testing.T) {
	s := uidBits{}
	for _, u := range []mail.UID{1, 63, 64, 255, 256, mail.UIDMax} {
		if s.has(u) {
			t.Errorf("%d is in the set", u)
		}
		if s.set(u); !s.has(u) {
			t.Errorf("%d is not in the set", u)
		}
	}
	s.clear(64)
	if s.has(64) || !s.has(63) {
		t.Error("clear took the wrong one")
	}
	for _, u := range []mail.UID{1, 63, 255, 256, mail.UIDMax, 7} {
		s.clear(u)
	}
	if len(s) != 0 {
		t.Errorf("an empty set holds %v", s)
	}
}

// BenchmarkContexts is what a flag change costs a sorted context, in mailboxes
// of two sizes.
func BenchmarkContexts(b *testing.B) {
	for _, doublings := range []int{10, 17} {
		b.Run(strconv.Itoa(1<<doublings), func(b *testing.B) {
			s := newTestServer(b, Options{})
			w := &watcher{c: s.dial(b)}
			w.c.Line()
			w.do(b, "LOGIN ada secret")
			w.do(b, "SELECT INBOX")
			w.do(b, "APPEND INBOX {14+}\r\nSubject: a\r\n\r\n")
			for range doublings {
				w.do(b, "UID COPY 1:* INBOX")
			}
			acct := s.Account(b, "ada@localhost")
			now, _ := acct.Snapshot()
			box, _ := now.Mailbox(mail.Inbox)
			var queries [2]*search.Query
			for i, op := range []string{"-", "+"} {
				w.do(b, "UID STORE 100 "+op+"FLAGS (\\Flagged)")
				_, list, err := acct.Messages(b.Context(), box.ID)
				if err != nil {
					b.Fatal(err)
				}
				queries[i] = &search.Query{Store: s.Store, List: list}
			}
			key, _ := imapwire.ParseSearch("UNFLAGGED")
			c := &searchContext{key: key, criteria: []imapwire.SortKey{{Field: imapwire.SortSubject}}, found: uidBits{}}
			if _, err := c.revise(b.Context(), queries[0], mail.UIDSet{{First: 1, Last: mail.UIDMax}}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for _, q := range []*search.Query{queries[1], queries[0]} {
					if ch, err := c.revise(b.Context(), q, mail.NewUIDSet(100)); err != nil || len(ch.gone.uids)+len(ch.added.uids) != 1 {
						b.Fatal(ch, err)
					}
				}
			}
		})
	}
}
