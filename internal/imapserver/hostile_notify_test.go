package imapserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
)

// TestA46 is the attack of that name in the reliability paper: sessions that ask
// to be told of as many mailboxes as may be, and read nothing, cost no more the
// more happens; what they are told then is how things are.
func TestA46(t *testing.T) {
	const sessions, rounds, busy = 5, 2, 200 // mailboxes in which something happens
	s := newHostileServer(t, Options{SessionsMax: 1000})
	var make, names strings.Builder
	for i := range notifyNamesMax {
		fmt.Fprintf(&make, "b CREATE m%d\r\nb APPEND m%d {1+}\r\nx\r\n", i, i)
		fmt.Fprintf(&names, " m%d", i)
	}
	if out := s.talk(t, []byte("a LOGIN ada secret\r\n"+make.String())); strings.Contains(out, "\r\nb NO") || strings.Contains(out, "\r\nb BAD") {
		t.Fatalf("%.300s", out)
	}
	notify := "n NOTIFY SET (mailboxes (%s) (MessageNew MessageExpunge FlagChange))\r\n"
	all := strings.TrimSpace(names.String())

	clients := []*servertest.Client{}
	for range sessions {
		c := s.dial(t)
		c.Send(t, "a LOGIN ada secret\r\n"+fmt.Sprintf(notify, all)+fmt.Sprintf(notify, all+" more"))
		for _, want := range []string{"* OK", "a OK", "n OK", "n NO [NOTIFICATIONOVERFLOW]"} {
			if got := c.Line(); !strings.HasPrefix(got, want) {
				t.Fatalf("%.200s, want %s", got, want)
			}
		}
		clients = append(clients, c)
	}
	var change strings.Builder
	for range rounds {
		for i := range busy {
			fmt.Fprintf(&change, "b SELECT m%d\r\nb STORE 1 +FLAGS.SILENT (\\Seen)\r\nb STORE 1 -FLAGS.SILENT (\\Seen)\r\nb STORE 1 +FLAGS.SILENT (\\Seen)\r\n", i)
		}
	}
	text := []byte("a LOGIN ada secret\r\n" + change.String())
	s.talk(t, text[:len(text)/rounds]) // what the store keeps of it is there then
	before := servertest.Held()
	if out := s.talk(t, text); strings.Contains(out, "\r\nb NO") || strings.Contains(out, "\r\nb BAD") {
		t.Fatalf("%.300s", out)
	}
	if grown := (servertest.Held().Heap - before.Heap) / sessions; grown > 64<<10 {
		t.Errorf("%d octets for each session", grown)
	}
	for _, c := range clients {
		c.Send(t, "z NOOP\r\n")
		last, told := map[string]string{}, 0
		for line := c.Line(); !strings.HasPrefix(line, "z OK"); line = c.Line() {
			name, rest, ok := strings.Cut(strings.TrimPrefix(line, "* STATUS "), " ")
			if told++; !ok || strings.HasPrefix(line, "<") {
				t.Fatal(line)
			}
			last[name] = rest
		}
		if told > (rounds+1)*3*busy {
			t.Errorf("%d lines", told)
		}
		for i := range busy {
			if name := fmt.Sprintf("m%d", i); !strings.Contains(last[name], "UNSEEN 0") {
				t.Fatalf("%s: %q", name, last[name])
			}
		}
	}
}
