package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/angarium/angarium/test/harness"
)

// cache is what a client keeps of a mailbox it has not selected, to catch up
// with QRESYNC later (RFC 7162 §3.2.5).
type cache struct {
	validity, modseq uint64
	known            uint32 // UIDs above it may be missing
	flags            map[uint32]string
	modseqs          map[uint32]uint64
	// Of the command that is being answered:
	told    bool   // HIGHESTMODSEQ was
	highest uint64 // of what FETCH told
}

// tagged ends a command: without HIGHESTMODSEQ, the highest mod-sequence that a
// FETCH told is the client's new one (RFC 7162 §3.2.5). So a server that tells
// one above that of an expunge which it holds back must tell a lower
// HIGHESTMODSEQ, or the client never learns of the expunge (invariant 15).
func (c *cache) tagged() {
	if !c.told {
		c.modseq = max(c.modseq, c.highest)
	}
	c.told, c.highest = false, 0
}

// normal returns flags in order, without \Recent.
func normal(flags []string) string {
	f := slices.DeleteFunc(slices.Clone(flags), func(x string) bool { return strings.EqualFold(x, `\Recent`) })
	slices.Sort(f)
	return strings.ToLower(strings.Join(f, " "))
}

// resync takes what QRESYNC adds to a response.
func (s *session) resync(line string, quiet bool, command string) {
	c := s.caches[s.view.box]
	if highest, ok := number(line, "[HIGHESTMODSEQ "); ok {
		c.modseq, c.told = highest, true
	}
	rest, ok := strings.CutPrefix(line, "* VANISHED ")
	if !ok {
		return
	}
	earlier := strings.HasPrefix(rest, "(EARLIER) ")
	if quiet && !earlier {
		s.h.violate(7, "session %d, %s: %q during %s", s.id, s.view.box, line, command)
	}
	for _, uid := range expand(strings.TrimPrefix(rest, "(EARLIER) ")) {
		delete(c.flags, uid)
		s.h.sawVanished(s.view.box, uid)
		if earlier {
			continue
		}
		v := s.view
		at := v.place(uid)
		if s.uidOnly {
			at = v.learn(uid) - 1
		}
		if at < 0 {
			s.h.violate(8, "session %d, %s: UID %d vanished and was not there", s.id, v.box, uid)
			continue
		}
		v.uids = slices.Delete(v.uids, at, at+1)
	}
}

// place returns where a UID is in the view; of those whose UID was not told yet
// one that it can be; -1 for none.
func (v *view) place(uid uint32) int {
	at := -1
	for i, u := range v.uids {
		switch {
		case u == uid:
			return i
		case u > uid:
			return at
		case u == 0 && at < 0:
			at = i
		case u != 0:
			at = -1
		}
	}
	return at
}

// known returns the UID up to which the client knows all that it was told of.
func (v *view) known() (uid uint32) {
	for _, u := range v.uids {
		if u == 0 {
			break
		}
		uid = u
	}
	return uid
}

// expand returns the UIDs of a set.
func expand(set string) (uids []uint32) {
	for part := range strings.SplitSeq(set, ",") {
		first, last, isRange := strings.Cut(part, ":")
		from, _ := strconv.ParseUint(first, 10, 32)
		to := from
		if isRange {
			to, _ = strconv.ParseUint(last, 10, 32)
		}
		for u := from; u <= to && u != 0; u++ {
			uids = append(uids, uint32(u))
		}
	}
	return uids
}

// cached takes what a FETCH told of flags.
func (s *session) cached(f *fetched, line string) {
	flags := normal(f.flags)
	s.caches[s.view.box].flags[f.uid] = flags
	if modseq, ok := number(line, "MODSEQ ("); ok {
		f.modseq = modseq
		s.h.sawModSeq(s.view.box, f.uid, f.modseq, flags)
		c := s.caches[s.view.box]
		c.highest = max(c.highest, f.modseq)
		c.modseqs[f.uid] = max(c.modseqs[f.uid], f.modseq)
	}
}

// assume notes what a silent STORE of this client changed, which the server does
// not tell (RFC 7162 §3.1.3). Nobody else changes the keyword.
func (c *cache) assume(uid uint32, keyword string, value bool) {
	was, ok := c.flags[uid]
	if !ok {
		return
	}
	flags := slices.DeleteFunc(strings.Fields(was), func(x string) bool { return x == keyword })
	if value {
		flags = append(flags, keyword)
	}
	c.flags[uid] = normal(flags)
}

// catchUp selects a mailbox with QRESYNC, and compares what the client then
// believes with all that there is.
func (s *session) catchUp(box string) error {
	if s.view != nil {
		s.caches[s.view.box].known = s.view.known()
		if s.uidOnly && slices.Contains(s.view.uids, 0) {
			s.caches[s.view.box].known = 0 // any may be missing
		}
	}
	c := s.caches[box]
	command := fmt.Sprintf("SELECT %q", s.name(box))
	if c == nil {
		c = &cache{flags: map[uint32]string{}, modseqs: map[uint32]uint64{}}
		s.caches[box] = c
	} else if c.modseq > 0 {
		command += fmt.Sprintf(" (QRESYNC (%d %d))", c.validity, c.modseq)
	}
	knew := c.modseq
	lines, at, err := s.selects(box, command)
	if err != nil {
		return err
	}
	validity, _ := harness.Number(lines, "[UIDVALIDITY ")
	c.validity = uint64(validity)
	if n, ok := harness.Number(lines, "[UIDNEXT "); ok {
		s.h.wasTold(told{at, box, uint32(n), -1})
	}
	if c.modseq < knew {
		s.h.violate(14, "session %d, %s: HIGHESTMODSEQ was %d and is %d", s.id, box, knew, c.modseq)
	}
	believed := *c
	c.flags = map[uint32]string{}
	lines, got, _, err := s.all("(UID FLAGS MODSEQ)")
	if err == nil && knew > 0 {
		s.compare(command, believed, lines, got)
	}
	return err
}

// compare is invariant 17: what the client believed after command is what a
// FETCH of everything told.
func (s *session) compare(command string, believed cache, lines []string, got []fetched) {
	seen := map[uint32]bool{}
	for _, line := range lines {
		if set, ok := strings.CutPrefix(line, "* VANISHED "); ok {
			for _, uid := range expand(set) {
				seen[uid] = true
			}
		}
	}
	for _, f := range got {
		was, ok := believed.flags[f.uid]
		news := seen[f.uid] || f.modseq > believed.modseq // others do not wait
		if !news && (!ok && f.uid <= believed.known || ok && was != normal(f.flags)) {
			s.h.violate(17, "session %d, %s: after %s UID %d has the flags %q; believed %q, %v", s.id, s.view.box, command, f.uid, normal(f.flags), was, ok)
		}
		seen[f.uid] = true
	}
	for uid := range believed.flags {
		if !seen[uid] {
			s.h.violate(17, "session %d, %s: after %s UID %d is believed to be there", s.id, s.view.box, command, uid)
		}
	}
}

// sawVanished notes that a UID was told to be gone: it must never be there.
func (h *history) sawVanished(box string, uid uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.vanished[box] == nil {
		h.vanished[box] = map[uint32]bool{}
	}
	h.vanished[box][uid] = true
}

// version is one message at one mod-sequence.
type version struct {
	box    string
	uid    uint32
	modseq uint64
}

// sawModSeq notes what flags a message had at a mod-sequence: for ever these.
func (h *history) sawModSeq(box string, uid uint32, modseq uint64, flags string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := version{box, uid, modseq}
	if was, ok := h.versions[v]; ok && was != flags {
		h.violateLocked(13, "%s, UID %d at mod-sequence %d had the flags %q and has %q", box, uid, modseq, was, flags)
	}
	h.versions[v] = flags
}

// auditVanished compares what was told to be gone with what is there.
func (h *history) auditVanished(box string, found map[string][]uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for token, uids := range found {
		slices.SortFunc(uids, cmp.Compare)
		for _, u := range uids {
			if h.vanished[box][u] {
				h.violateLocked(8, "%s: UID %d (%s) was told to have vanished, and is there", box, u, token)
			}
		}
	}
}
