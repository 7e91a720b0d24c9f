package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// condition is a STORE with UNCHANGEDSINCE (RFC 7162 §3.1.3).
type condition struct {
	box       string
	uid       uint32
	session   int
	keyword   string // that it changes
	value     bool   // to be set or not
	unchanged uint64
	modified  bool   // it was refused: the message had changed since
	modseq    uint64 // of the message when it was answered; 0: not told
}

var modifiedSet = regexp.MustCompile(`\[MODIFIED ([0-9:,]+)\]`)

// storeUnchanged changes this session's keyword if the message is as it knows
// it, or as it was some time ago.
func (s *session) storeUnchanged(uid uint32, sign string, value bool) error {
	box, c := s.view.box, s.caches[s.view.box]
	since := c.modseqs[uid]
	if since == 0 {
		return nil
	}
	if s.rng.IntN(4) == 0 {
		since--
	}
	lines, got, at, err := s.do(fmt.Sprintf("UID STORE %d (UNCHANGEDSINCE %d) %sFLAGS (%s)", uid, since, sign, s.keyword()), false)
	if err != nil {
		at.end = 1<<62 - 1
		s.h.wrote(register{box, uid, s.keyword()}, write{at, value})
		return err
	}
	x := condition{box: box, uid: uid, session: s.id, keyword: s.keyword(), value: value, unchanged: since}
	if m := modifiedSet.FindStringSubmatch(strings.Join(lines, "\n")); m != nil {
		x.modified = slices.Contains(expand(m[1]), uid)
	}
	for _, f := range got {
		if f.uid == uid && !x.modified && x.modseq == 0 && f.modseq > since {
			x.modseq = f.modseq
		}
	}
	if !x.modified {
		s.h.wrote(register{box, uid, s.keyword()}, write{at, value})
		c.assume(uid, s.keyword(), value)
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.h.conditions = append(s.h.conditions, x)
	return nil
}

// judgeConditions is invariant 16: a message was changed only if nobody had
// changed it since, and refused only if somebody had.
func (h *history) judgeConditions() {
	type message struct {
		box string
		uid uint32
	}
	versions := map[message][]uint64{}
	for v := range h.versions {
		versions[message{v.box, v.uid}] = append(versions[message{v.box, v.uid}], v.modseq)
	}
	for _, all := range versions {
		slices.Sort(all)
	}
	for _, x := range h.conditions {
		all := versions[message{x.box, x.uid}]
		n, _ := slices.BinarySearch(all, x.unchanged+1)
		// What the next one looks like may be its doing, before others changed that.
		own := n < len(all) && slices.Contains(strings.Fields(h.versions[version{x.box, x.uid, all[n]}]), x.keyword) == x.value
		switch {
		case x.modified && n == len(all):
			h.violateLocked(16, "session %d, %s: UID %d was refused as changed since %d, and nobody saw a later mod-sequence", x.session, x.box, x.uid, x.unchanged)
		case !x.modified && n < len(all) && all[n] < x.modseq && !own:
			h.violateLocked(16, "session %d, %s: UID %d was changed at %d, unless changed since %d, and it was at %d", x.session, x.box, x.uid, x.modseq, x.unchanged, all[n])
		}
	}
}
