package imapserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
)

// TestUIDBatches: the ranges hold the messages they should, whatever the
// mailbox and the batch (RFC 10022).
func TestUIDBatches(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.loggedIn(t)
	add := func(n int) {
		t.Helper()
		c.Send(t, "a APPEND INBOX"+strings.Repeat(" {1+}\r\nx", n)+"\r\n")
		answer(t, c, "a", "OK")
	}
	batches := func(args, want string) {
		t.Helper()
		c.Send(t, "b UIDBATCHES "+args+"\r\n")
		got := answer(t, c, "b", "OK")
		if want := `* UIDBATCHES (TAG "b")` + want; len(got) == 0 || got[0] != want {
			t.Errorf("UIDBATCHES %s: %q, want %q", args, got, want)
		}
	}
	refused := func(args, want string) {
		t.Helper()
		c.Send(t, "b UIDBATCHES "+args+"\r\n")
		if got := answer(t, c, "b", ""); !strings.HasPrefix(got[len(got)-1], "b "+want) {
			t.Errorf("UIDBATCHES %s: %q, want %q", args, got, want)
		}
	}
	c.Send(t, "a SELECT INBOX\r\n")
	answer(t, c, "a", "OK")
	batches("500", "") // an empty mailbox
	add(1000)
	add(1)
	c.Send(t, "a STORE 1,501 +FLAGS.SILENT (\\Deleted)\r\na EXPUNGE\r\n") // UIDs 2:500,502:1001 stay
	answer(t, c, "a", "OK")
	answer(t, c, "a", "OK")
	batches("999", " 1001:1") // as many as there are
	batches("1000", " 1001:1")
	batches("998", " 1001:3,2:1")
	batches("500", " 1001:502,501:1")
	batches("500 1:1", " 1001:502")
	batches("500 2:2", " 501:1")
	batches("500 2:4000000000", " 501:1")
	batches("500 3:9", "")
	batches("4294967295 4294967294:4294967295", "")
	refused("500", "NO [LIMIT]")
	refused("500 2:2", "NO [LIMIT]")
	refused("499", "NO [TOOFEW]")
	refused("1000 3:1", "BAD [CLIENTBUG]")
	for _, args := range []string{"0", "500 0:1", "500 1:0", "500 1", "500 1:2:3", "x", ""} {
		refused(args, "BAD ")
	}
	add(250)
	refused("500", "NO [LIMIT]") // not more than half a batch came
	add(1)
	batches("500", " 1252:753,752:252,251:1")
	c.Send(t, "a STORE 1:251 +FLAGS.SILENT (\\Deleted)\r\na EXPUNGE\r\n")
	answer(t, c, "a", "OK")
	answer(t, c, "a", "OK")
	batches("500", " 1252:753,752:1")
	for i := range batchRequestsMax {
		batches(fmt.Sprint(2000+i), " 1252:1")
	}
	c.Send(t, "a SELECT INBOX\r\n")
	answer(t, c, "a", "OK")
	batches("500", " 1252:753,752:1")
}

// answer reads up to a tagged line, which begins with word.
func answer(t testing.TB, c *servertest.Client, tag, word string) (lines []string) {
	t.Helper()
	for {
		lines = append(lines, c.Line())
		last := lines[len(lines)-1]
		if strings.HasPrefix(last, tag+" ") || !strings.HasPrefix(last, "* ") {
			if !strings.HasPrefix(last, tag+" "+word) {
				t.Fatalf("got %q, want %s %s", last, tag, word)
			}
			return lines
		}
	}
}
