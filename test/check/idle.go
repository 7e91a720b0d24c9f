package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// idleSlack is how long a change may take to reach a client that idles.
const idleSlack = int64(time.Second)

// idleWait is how long a client idles.
func idleWait(rng *rand.Rand) time.Duration { return time.Duration(rng.Int64N(2 * idleSlack)) }

// watched is what a client had been told when it ended an IDLE.
type watched struct {
	box     string
	session int
	at      int64 // when DONE was sent
	there   map[uint32]bool
	last    uint32
}

// idle waits for what the server tells by itself, and then asks which messages
// it had told of until then.
func (s *session) idle() error {
	if s.others != nil {
		return s.watchOthers()
	}
	if s.caches != nil {
		return nil // VANISHED has no numbers to go by
	}
	if err := s.c.Send("IDLE"); err != nil {
		return err
	}
	lines, err := s.c.Await() // up to the continuation
	if err != nil {
		return err
	}
	w := &watched{box: s.view.box, session: s.id}
	s.tell(lines)
	lines, err = s.c.Listen(idleWait(s.rng))
	if err != nil {
		return err
	}
	s.tell(lines)
	w.at = now()
	n := len(s.view.uids)
	if err := s.c.Done(); err != nil {
		return err
	}
	lines, err = s.c.Await()
	if err != nil {
		return err
	}
	s.h.count()
	for _, line := range lines {
		if strings.HasSuffix(line, " EXPUNGE") {
			var k int
			if fmt.Sscanf(line, "* %d EXPUNGE", &k); k <= n {
				n--
			}
		}
	}
	s.tell(lines)
	if n == 0 {
		return nil
	}
	_, got, _, err := s.do(fmt.Sprintf("FETCH 1:%d (UID)", n), true)
	w.there = map[uint32]bool{}
	for _, f := range got {
		w.there[f.uid] = true
		w.last = max(w.last, f.uid)
	}
	if err == nil && len(w.there) == n {
		s.h.watched(w)
	}
	return err
}

// tell takes untagged responses.
func (s *session) tell(lines []string) {
	for _, line := range lines {
		s.line(line, false, "IDLE")
	}
}

func (h *history) watched(w *watched) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watches = append(h.watches, w)
}

// judgeWatches is invariant 19: what was answered a second before DONE was told.
func (h *history) judgeWatches(byBox map[string][]*instance) {
	for _, w := range h.watches {
		for _, i := range byBox[w.box] {
			switch {
			case i.uid == 0:
			case i.arrive.before(w.at-idleSlack) && i.uid > w.last && i.leave.begin == 0:
				h.violateLocked(19, "session %d, %s: IDLE did not tell of UID %d (%s) within a second", w.session, w.box, i.uid, i.token)
			case i.leave.before(w.at-idleSlack) && w.there[i.uid]:
				h.violateLocked(19, "session %d, %s: IDLE did not tell within a second that UID %d (%s) went", w.session, w.box, i.uid, i.token)
			}
		}
	}
}
