package imapserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/doubling"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// filled returns a server with n messages in ada's INBOX.
func filled(t testing.TB, n int, flags string) *testServer {
	t.Helper()
	s := newHostileServer(t, Options{SessionsMax: 1 << 20})
	text := "a LOGIN ada secret\r\n"
	for left := n; left > 0; left -= appendMessagesMax {
		text += "b APPEND INBOX" + strings.Repeat(" ("+flags+") {14+}\r\nSubject: x\r\n\r\n", min(left, appendMessagesMax)) + "\r\n"
	}
	if out := s.talk(t, []byte(text)); strings.Contains(out, "b NO") || strings.Contains(out, "b BAD") {
		t.Fatal(out)
	}
	return s
}

// selected is a text of commands with a mailbox selected.
func withInbox(commands string) []byte {
	return []byte("l LOGIN ada secret\r\nm SELECT INBOX\r\n" + commands)
}

// TestA23: sets are never expanded beyond the messages that there are, and the
// answer is as long as these are many.
func TestA23(t *testing.T) {
	ranges := func(n int) string {
		return strings.TrimSuffix(strings.Repeat("1:4294967295,4294967294:2,", n), ",")
	}
	for _, tc := range []struct{ command, empty, some string }{
		{"UID FETCH 1:4294967295 FLAGS", "a OK", "a OK"},
		{"UID FETCH *:1 UID", "a OK", "a OK"},
		{"UID FETCH " + ranges(20_000) + " UID", "a OK", "a OK"},
		{"FETCH 1:4294967295 FLAGS", "a BAD", "a BAD"},
		{"FETCH *:1 FLAGS", "a BAD", "a OK"},
		{"FETCH $ FLAGS", "a OK", "a OK"},
		{"FETCH 1:* FLAGS", "a BAD", "a OK"},
		{"FETCH 0 FLAGS", "a BAD", "a BAD"},
		{"FETCH 4294967296 FLAGS", "a BAD", "a BAD"},
		{"FETCH 1:4294967296 FLAGS", "a BAD", "a BAD"},
		{"UID STORE " + ranges(20_000) + " +FLAGS.SILENT (\\Seen)", "a OK", "a OK"},
		{"UID COPY 1:4294967295 nowhere", "a NO", "a NO"},
		{"UID EXPUNGE 1:4294967295", "a OK", "a OK"},
		{"SEARCH " + ranges(20_000), "a OK", "a OK"},
		{"SEARCH UID " + ranges(20_000), "a OK", "a OK"},
		{"UID SEARCH RETURN (ALL) UID 1:4294967295", "a OK", "a OK"},
		{"UID SEARCH RETURN (PARTIAL 4294967295:1) ALL", "a OK", "a OK"},
		{"UID FETCH 1:* UID (PARTIAL -1:-4294967295)", "a OK", "a OK"},
		{"THREAD REFERENCES UTF-8 UID 1:4294967295", "a OK", "a OK"},
	} {
		for n, want := range map[int]string{0: tc.empty, 3: tc.some} {
			s := filled(t, n, "")
			text := withInbox("a " + tc.command + "\r\n")
			allocated := servertest.Allocated()
			out := s.talk(t, text)
			if got := servertest.Allocated() - allocated; got > 8<<20 {
				t.Errorf("%.60s of %d: %d octets allocated", tc.command, n, got)
			}
			if len(out) > 4000 || !strings.Contains(out, "\r\n"+want) {
				t.Errorf("%.60s of %d: %d octets: %.500s, want %s", tc.command, n, len(out), out, want)
			}
		}
	}
}

// TestA23Grows: overlapping ranges take n log n to bring in order.
func TestA23Grows(t *testing.T) {
	for name, one := range map[string]func(i int) imapwire.NumRange{
		"all": func(int) imapwire.NumRange { return imapwire.NumRange{First: 1, Last: 1 << 31} },
		"descending": func(i int) imapwire.NumRange {
			return imapwire.NumRange{First: uint32(1<<31 - 2*i), Last: uint32(1<<31 - 2*i)}
		},
		"nested": func(i int) imapwire.NumRange { return imapwire.NumRange{First: uint32(i + 1), Last: uint32(1<<31 - i)} },
	} {
		doubling.Check(t, name, 20_000, func(n int) func() {
			set := make(imapwire.NumSet, n)
			for i := range set {
				set[i] = one(i)
			}
			return func() { set.Resolve(1 << 31) }
		})
	}
}

// TestA23Vanished: what a client says it knows is compared with what there is
// in linear time.
func TestA23Vanished(t *testing.T) {
	doubling.Check(t, "minus", 20_000, func(n int) func() {
		var odd, even mail.UIDSet
		for i := range n {
			odd, even = odd.Append(mail.UID(4*i+1)), even.Append(mail.UID(4*i+3))
		}
		return func() { odd.Minus(even) }
	})
}

// TestA24: FETCH of one message cannot be made to answer it more than so many
// times, and a client that reads nothing costs its buffers.
func TestA24(t *testing.T) {
	s := filled(t, 1, "")
	for name, command := range map[string]string{
		"bodies":   "FETCH 1 (" + strings.TrimSpace(strings.Repeat("BODY[] ", 10_000)) + ")",
		"partials": "FETCH 1 (" + strings.TrimSpace(strings.Repeat("BODY[]<0.1> ", 100_000/2)) + ")",
		"binaries": "FETCH 1 (" + strings.TrimSpace(strings.Repeat("BINARY[1] ", 10_000)) + ")",
		"fields":   "FETCH 1 BODY[HEADER.FIELDS (" + strings.TrimSpace(strings.Repeat("To ", 10_000)) + ")]",
		"names":    "FETCH 1 (" + strings.TrimSpace(strings.Repeat("FLAGS ", 10_000)) + ")",
	} {
		if out := s.talk(t, withInbox("a "+command+"\r\n")); !strings.Contains(out, "\r\na BAD") {
			t.Errorf("%s: %.200s", name, out)
		}
	}
	item := "FETCH 1 (" + strings.TrimSpace(strings.Repeat("BODY.PEEK[] ", imapwire.FetchItemsMax)) + ")\r\n"
	flood(t, s, "10,000 FETCH", string(withInbox(strings.Repeat("a "+item, 10_000/imapwire.FetchItemsMax))), 512<<10)
}

// TestA25: wildcards are matched in linear time, and one LIST has so many
// octets of them at most.
func TestA25(t *testing.T) {
	for name, shape := range map[string]struct{ pattern, name string }{
		"wildcards":         {"*%", "a"},
		"wildcards, text":   {"*a", "a"},
		"levels":            {"%/", "a/"},
		"wildcards, levels": {"*a%", "aa/"},
	} {
		doubling.Check(t, name, 200_000, func(n int) func() {
			p := compilePattern(strings.Repeat(shape.pattern, 500) + "x")
			long := strings.Repeat(shape.name, n/len(shape.name))
			return func() { p.match(long) }
		})
	}
	s := newHostileServer(t, Options{})
	for name, command := range map[string]string{
		"long":      "LIST \"\" " + strings.Repeat("*%", patternMax),
		"many":      "LIST \"\" (" + strings.TrimSpace(strings.Repeat(strings.Repeat("*a", 50)+" ", patternsMax)) + ")",
		"reference": "LIST " + strings.Repeat("a", patternMax) + " *",
	} {
		if out := s.talk(t, []byte("l LOGIN ada secret\r\na "+command+"\r\n")); !strings.Contains(out, "\r\na BAD") {
			t.Errorf("%s: %.200s", name, out)
		}
	}
	for name, command := range map[string]string{"empty": `LIST "" ""`, "dots": `LIST ".." "*"`, "slashes": `LIST "//" "*"`, "up": `LIST "a/../" %`} {
		if out := s.talk(t, []byte("l LOGIN ada secret\r\na "+command+"\r\n")); !strings.Contains(out, "\r\na OK") || strings.Contains(out, "INBOX") {
			t.Errorf("%s: %.200s", name, out)
		}
	}
}

// TestA37: keywords that are as many as may be cost, for each message that has
// them, what they are long.
func TestA37(t *testing.T) {
	var sets []string
	for i := range 2 {
		var words []string
		for j := range store.MessageKeywordsMax {
			words = append(words, fmt.Sprintf("k%d-%d", i, j))
		}
		sets = append(sets, strings.Join(words, " "))
	}
	s := filled(t, 2*appendMessagesMax, "")
	out := s.talk(t, withInbox(fmt.Sprintf("a STORE 1:%d +FLAGS.SILENT (%s)\r\nb STORE %d:* +FLAGS.SILENT (%s)\r\nc STORE 1 +FLAGS (%s)\r\nd COPY 1:* INBOX\r\ne COPY 1:* INBOX\r\n",
		appendMessagesMax, sets[0], appendMessagesMax+1, sets[1], sets[1])))
	for _, want := range []string{"\r\na OK", "\r\nb OK", "\r\nc NO [LIMIT]", "\r\nd OK", "\r\ne OK"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %.300s", want, out)
		}
	}
}

// TestA38: numbers at their ends are answered, and nothing wraps.
func TestA38(t *testing.T) {
	s := filled(t, 2, "")
	for _, tc := range [][2]string{
		{"FETCH 1 BODY.PEEK[]<4294967295.4294967295>", `* 1 FETCH (BODY[]<4294967295> "")`},
		{"FETCH 1 BODY.PEEK[]<0.4294967295>", "* 1 FETCH (BODY[]<0> {14}"},
		{"FETCH 1 BODY.PEEK[]<4294967296.1>", "a BAD"},
		{"FETCH 1 BODY.PEEK[4294967295]", "a OK"},
		{"FETCH 1 (FLAGS) (CHANGEDSINCE 9223372036854775807)", "a OK"},
		{"FETCH 1 (FLAGS) (CHANGEDSINCE 9223372036854775808)", "a BAD"},
		{"FETCH 1 (FLAGS) (CHANGEDSINCE 18446744073709551615)", "a BAD"},
		{"STORE 1 (UNCHANGEDSINCE 9223372036854775807) FLAGS (\\Seen)", "a OK"},
		{"SEARCH MODSEQ 9223372036854775807", "* SEARCH\r\n"},
		{"SEARCH LARGER 4294967295", "* SEARCH\r\n"},
		{"SEARCH SMALLER 4294967296", "a BAD"},
		{"SEARCH OLDER 4294967295", "* SEARCH\r\n"},
		{"SEARCH YOUNGER 4294967295", "* SEARCH 1 2"},
		{"SEARCH BEFORE 1-Jan-0000", "* SEARCH\r\n"},
		{"SEARCH SINCE 31-Dec-9999", "* SEARCH\r\n"},
		{"SEARCH BEFORE 1-Jan-10000", "a BAD"},
		{"APPEND INBOX \"31-Dec-9999 23:59:59 -1200\" {1+}\r\nx", "a OK"},
		{"APPEND INBOX \" 1-Jan-0000 00:00:00 +1400\" {1+}\r\nx", "a OK"},
		{"APPEND INBOX \" 1-Jan-2026 00:00:00 +9999\" {1+}\r\nx", "a"},
		{"GETMETADATA (MAXSIZE 9223372036854775807) INBOX /private/comment", "a OK"},
		{"GETMETADATA (MAXSIZE 9223372036854775808) INBOX /private/comment", "a BAD"},
	} {
		out := s.talk(t, withInbox("a "+tc[0]+"\r\nz NOOP\r\n"))
		if !strings.Contains(out, "\r\n"+tc[1]) || !strings.Contains(out, "\r\nz OK") {
			t.Errorf("%s: %s", tc[0], out)
		}
	}
	if out := s.talk(t, withInbox("a FETCH 1:* INTERNALDATE\r\n")); !strings.Contains(out, "a OK") {
		t.Error(out)
	}
}
