package clients

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

// TestCorpus delivers every message of the corpus over LMTP and appends it, and
// fetches both back octet by octet.
func TestCorpus(t *testing.T) {
	messages := harness.TestCorpus(t)
	s := start(t)
	c := login(t, s)
	l, err := harness.DialLMTP(s.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, m := range messages {
		if _, err := c.Do(fmt.Sprintf("APPEND Archive {%d+}\r\n%s", len(m.Octets), m.Octets)); err != nil {
			t.Fatalf("%s: %v", m.Name, err)
		}
		if r, err := l.Deliver("sender@x.example", []string{user}, string(m.Octets)); err != nil || !strings.HasPrefix(r[0], "250") {
			t.Fatalf("%s: %v %v", m.Name, r, err)
		}
	}
	t.Logf("%d messages", len(messages))
	for _, box := range []string{"Archive", "INBOX"} {
		c.MustDo(t, "EXAMINE "+box)
		for i, m := range messages {
			out, err := c.Do(fmt.Sprintf("FETCH %d (RFC822.SIZE BODY.PEEK[])", i+1))
			if err != nil {
				t.Fatalf("%s in %s: %v", m.Name, box, err)
			}
			_, literal, _ := strings.Cut(out[0], "}\r\n")
			got := strings.TrimSuffix(literal, ")")
			if !strings.Contains(out[0], fmt.Sprintf("RFC822.SIZE %d ", len(got))) {
				t.Errorf("%s in %s: the size is not that of the octets", m.Name, box)
			}
			want := m.Octets
			if box == "INBOX" {
				// Trace fields are before it, Return-Path fields at its head
				// are gone, and LMTP ends the last line.
				want = withoutReturnPath(want)
				if !bytes.HasSuffix(want, []byte("\r\n")) {
					want = append(bytes.Clone(want), "\r\n"...)
				}
				if !strings.HasPrefix(got, "Return-Path: <sender@x.example>\r\nDelivered-To: "+user+"\r\nReceived: ") || !strings.HasSuffix(got, string(want)) ||
					strings.Count(got[:len(got)-len(want)], "\n") != 6 {
					t.Errorf("%s in %s: %.300q does not end in %.100q", m.Name, box, got, want)
				}
			} else if got != string(want) {
				t.Errorf("%s in %s: %.100q became %.100q", m.Name, box, want, got)
			}
		}
	}
}

// withoutReturnPath takes the fields off that delivery takes off.
func withoutReturnPath(b []byte) []byte {
	for len(b) > 12 && bytes.EqualFold(b[:12], []byte("return-path:")) {
		for {
			n := bytes.IndexByte(b, '\n')
			if n < 0 {
				return b
			}
			if b = b[n+1:]; len(b) == 0 || b[0] != ' ' && b[0] != '\t' {
				break
			}
		}
	}
	return b
}
