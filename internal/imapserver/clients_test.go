package imapserver

import (
	"strconv"
	"strings"
	"testing"
)

// TestLongUIDSet: SOGo and synchronising programs name 100,000 UIDs in one
// command, each by itself.
func TestLongUIDSet(t *testing.T) {
	c := newTestServer(t, Options{}).dial(t)
	c.Line()
	c.Send(t, "a LOGIN ada secret\r\n")
	c.Line()
	c.Send(t, "b APPEND INBOX {5+}\r\na: b\n\r\nc SELECT INBOX\r\n")
	for !strings.HasPrefix(c.Line(), "c OK") {
	}
	set := []byte("1")
	for uid := 100_003; len(set) < 1<<20; uid += 2 {
		set = strconv.AppendInt(append(set, ','), int64(uid), 10)
	}
	for _, tc := range []struct{ before, after, want string }{
		{"UID FETCH ", " (FLAGS)", `* 1 FETCH (UID 1 FLAGS (\Recent))`},
		{"UID STORE ", ` +FLAGS (\Seen)`, `* 1 FETCH (UID 1 FLAGS (\Seen \Recent))`},
		{"UID SEARCH UID ", "", "* SEARCH 1"},
		{"UID SEARCH NOT UID ", " SEEN", "* SEARCH"},
		{"UID SORT (DATE) UTF-8 UID ", "", "* SORT 1"},
	} {
		c.Send(t, "d "+tc.before+string(set)+tc.after+"\r\n")
		if got := c.Line(); got != tc.want {
			t.Errorf("%s: got %.100q, want %q", tc.before, got, tc.want)
		}
		if got := c.Line(); !strings.HasPrefix(got, "d OK") {
			t.Errorf("%s: %.100q", tc.before, got)
		}
	}
}
