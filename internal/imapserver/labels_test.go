package imapserver

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
)

// labelled is a client that looks at labels.
type labelled struct {
	*servertest.Client
	t *testing.T
}

// do runs a command and returns its answer.
func (c *labelled) do(command string) (untagged []string, answer string) {
	c.Send(c.t, "a "+command+"\r\n")
	for {
		line := c.Line()
		if !strings.HasPrefix(line, "* ") {
			return untagged, line
		}
		untagged = append(untagged, line)
	}
}

var labelLine = regexp.MustCompile(`EMAILID \((M\d+)\) X-GM-LABELS \(([^)]*)\)`)

// contents returns each mailbox's messages by EMAILID, with their labels.
func (c *labelled) contents(boxes []string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, box := range boxes {
		all[box] = map[string]string{}
		if _, answer := c.do("EXAMINE " + box); !strings.HasPrefix(answer, "a OK") {
			continue // not made yet
		}
		lines, _ := c.do("UID FETCH 1:* (EMAILID X-GM-LABELS)")
		for _, line := range lines {
			if m := labelLine.FindStringSubmatch(line); m != nil {
				if _, twice := all[box][m[1]]; twice {
					c.t.Fatalf("%s holds %s twice", box, m[1])
				}
				all[box][m[1]] = m[2]
			}
		}
	}
	return all
}

// TestLabelsKeepMail: whatever is done with labels, no message goes away or is
// in a mailbox twice, and the labels are the other mailboxes.
func TestLabelsKeepMail(t *testing.T) {
	s := newTestServer(t, Options{Offer: Optional})
	conn := s.dial(t)
	conn.Line()
	c := &labelled{conn, t}
	c.do("LOGIN ada secret")
	const messages = 5
	for range messages {
		c.do("APPEND INBOX {1+}\r\nx")
	}
	boxes := []string{"INBOX", "Sent", "foo", "bar"}
	names := map[string]string{"INBOX": `"\\Inbox"`, "Sent": `"\\Sent"`, "foo": "foo", "bar": "bar"}
	rng := rand.New(rand.NewPCG(1, 2))
	did := map[string]int{}
	for i := range 150 {
		box := boxes[rng.IntN(len(boxes))]
		if _, answer := c.do("SELECT " + box); !strings.HasPrefix(answer, "a OK") {
			continue
		}
		var labels []string
		for _, b := range boxes {
			if rng.IntN(3) == 0 {
				labels = append(labels, names[b])
			}
		}
		op := []string{"+", "-", ""}[rng.IntN(3)]
		first := 1 + rng.IntN(messages)
		command := fmt.Sprintf("UID STORE %d:%d %sX-GM-LABELS.SILENT (%s)", first, first+rng.IntN(8), op, strings.Join(labels, " "))
		_, answer := c.do(command)
		did[op+answer[2:4]]++
		now := c.contents(boxes)
		there := map[string]bool{}
		for box, ids := range now {
			for id, got := range ids {
				there[id] = true
				var want []string
				for other := range now {
					if _, ok := now[other][id]; ok && other != box {
						want = append(want, names[other])
					}
				}
				if have := strings.Fields(got); !slices.Equal(slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(want))) {
					t.Fatalf("%d: %s in %s: labels of %s in %s: %q, want %q", i, command, box, id, box, have, want)
				}
			}
		}
		if len(there) != messages {
			t.Fatalf("%d: %s in %s (%s): %d messages are left", i, command, box, answer, len(there))
		}
	}
	if did["+OK"] == 0 || did["-OK"] == 0 || did["OK"] == 0 || did["-NO"] == 0 {
		t.Errorf("not everything was tried: %v", did)
	}
}
