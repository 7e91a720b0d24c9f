package main

import (
	"strconv"
	"strings"
)

// sampleMax is how many messages a search is compared for.
const sampleMax = 20

// search asks for this session's own keyword, which nobody else changes: what
// it finds is what the session wrote, whenever that was (invariant 10).
func (s *session) search() error {
	command := "SEARCH KEYWORD " + s.keyword()
	byUID := s.byUID() || s.rng.IntN(2) == 0
	if byUID {
		command = "UID " + command
	}
	// A STORE may have come too late for a message whose end nobody could tell
	// this client; after NOOP it knows of it, and asks no more for its flags.
	begin := now()
	if _, _, _, err := s.do("NOOP", false); err != nil {
		return err
	}
	lines, _, at, err := s.do(command, !byUID)
	if err != nil {
		return err
	}
	at.begin = begin
	found := map[uint32]bool{} // by UID
	for _, n := range hits(lines) {
		switch {
		case byUID:
			found[n] = true
		case n < 1 || int(n) > len(s.view.uids):
			s.h.violate(10, "session %d, %s: %s finds %d, but there are %d messages", s.id, s.view.box, command, n, len(s.view.uids))
		default:
			found[s.view.uids[n-1]] = true
		}
	}
	low, _ := lowest(lines) // those below were not looked at
	for range min(sampleMax, len(s.view.uids)) {
		if uid := s.view.uids[s.rng.IntN(len(s.view.uids))]; uid >= max(low, 1) {
			s.h.sawFlag(register{s.view.box, uid, s.keyword()}, read{at, found[uid], s.id})
		}
	}
	return nil
}

// hits returns the numbers in the answer to SEARCH, of either version.
func hits(lines []string) (numbers []uint32) {
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "* SEARCH"); ok {
			for _, x := range strings.Fields(rest) {
				n, _ := strconv.ParseUint(x, 10, 32)
				numbers = append(numbers, uint32(n))
			}
		}
		if _, rest, ok := strings.Cut(line, " ALL "); ok && strings.HasPrefix(line, "* ESEARCH") {
			set, _, _ := strings.Cut(rest, " ")
			numbers = append(numbers, expand(set)...)
		}
	}
	return numbers
}

// status is what NOTIFY told of a mailbox that is not selected.
type status struct{ messages, uidNext uint32 }

// notify asks to be told of everything (RFC 5465 §3.1), so that each mailbox is
// told of once at once.
func (s *session) notify() error {
	clear(s.others)
	list := make([]string, 0, len(s.boxes))
	for _, box := range s.boxes {
		list = append(list, strconv.Quote(s.name(box)))
	}
	_, _, _, err := s.do("NOTIFY SET STATUS (selected (MessageNew MessageExpunge FlagChange)) (mailboxes ("+
		strings.Join(list, " ")+") (MessageNew MessageExpunge))", false)
	return err
}

func (s *session) status(line string) {
	name, items, _ := strings.Cut(strings.TrimPrefix(line, "* STATUS "), " (")
	name = strings.Trim(name, `"`)
	box := name[strings.LastIndexByte(name, '/')+1:]
	x := s.others[box]
	if x == nil {
		x = &status{}
		s.others[box] = x
	}
	fields := strings.Fields(strings.TrimSuffix(items, ")"))
	for i := 0; i+1 < len(fields); i += 2 {
		n, _ := strconv.ParseUint(fields[i+1], 10, 32)
		switch fields[i] {
		case "MESSAGES":
			x.messages = uint32(n)
		case "UIDNEXT":
			x.uidNext = uint32(n)
		}
	}
}

// watchOthers waits, and notes what NOTIFY has told of the other mailboxes by
// then: it is how they were at some time within the last second.
func (s *session) watchOthers() error {
	lines, err := s.c.Listen(idleWait(s.rng))
	at := interval{now() - idleSlack, now()}
	s.tell(lines)
	for box, x := range s.others {
		if box != s.view.box {
			s.h.wasTold(told{at, box, x.uidNext, int(x.messages)})
		}
	}
	return err
}
