package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/angarium/angarium/test/harness"
)

// view is what one client believes of its selected mailbox.
type view struct {
	box      string
	uids     []uint32 // by sequence number; 0: not told yet
	keywords map[string]bool
	examined bool // with EXAMINE: nothing can be changed
	readOnly bool // it was at some time: then \Recent was taken from nobody (RFC 3501 §6.3.2)
}

// session is one IMAP client.
type session struct {
	h     *history
	id    int
	rng   *rand.Rand
	c     *harness.IMAP
	user  string
	boxes []string
	homes map[string]string // of mailboxes: whose they are
	copy  string            // the mailbox for copies
	view  *view
	next  *view // of the mailbox that is being selected, until the server says that the other is closed
	// caches are what a client with QRESYNC knows of mailboxes; nil: it has not
	// enabled it.
	caches  map[string]*cache
	uidOnly bool                   // there are no sequence numbers (RFC 9586)
	others  map[string]*status     // what NOTIFY told of other mailboxes; nil: it is off
	own     map[string][]*instance // messages that this session appended and has not let go
	n       int
}

// byUID reports whether the session may not use sequence numbers: with NOTIFY
// an EXPUNGE may be under way when a command is sent (RFC 5465 §5.3).
func (s *session) byUID() bool { return s.uidOnly || s.others != nil }

// name returns how the session's user names a mailbox.
func (s *session) name(box string) string {
	if home := s.homes[box]; home != s.user {
		return "Other Users/" + home + "/" + box
	}
	return box
}

func (s *session) keyword() string { return fmt.Sprintf("k%d", s.id) }

var (
	subject   = regexp.MustCompile(`(?i)Subject: (\S+)`)
	appendUID = regexp.MustCompile(`APPENDUID \d+ (\d+)`)
	copyUID   = regexp.MustCompile(`COPYUID \d+ (\S+) (\d+)\]`)
)

// numbered takes "* 7 EXISTS" apart; name is "" for another line. With number it
// does for most of what is read what an expression would take far longer for.
func numbered(line string) (n int, name string) {
	rest, ok := strings.CutPrefix(line, "* ")
	if !ok {
		return 0, ""
	}
	first, rest, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(first)
	if err != nil || first[0] == '-' {
		return 0, ""
	}
	if end := strings.IndexAny(rest, " \r"); end >= 0 {
		rest = rest[:end]
	}
	return n, rest
}

// number returns the number that follows the first name in line.
func number(line, name string) (n uint64, ok bool) {
	at := strings.Index(line, name)
	if at < 0 {
		return 0, false
	}
	digits := line[at+len(name):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(digits[:end], 10, 64)
	return n, err == nil
}

// words returns those in parentheses that follow the first name in line.
func words(line, name string) (inside []string, ok bool) {
	at := strings.Index(line, name+" (")
	if at < 0 {
		return nil, false
	}
	text, _, ok := strings.Cut(line[at+len(name)+2:], ")")
	return strings.Fields(text), ok
}

// fetched is what a FETCH response told of one message.
type fetched struct {
	uid     uint32
	modseq  uint64 // 0: not told
	flags   []string
	flagged bool // there were flags
	token   string
}

// do runs a command and keeps the view up to date. quiet: a command during
// which no EXPUNGE may be told (RFC 3501 §7.4.1).
func (s *session) do(command string, quiet bool) (lines []string, got []fetched, at interval, err error) {
	at.begin = now()
	lines, err = s.c.Do(command)
	at.end = now()
	s.h.count()
	for i, line := range lines {
		if i < len(lines)-1 && !strings.HasPrefix(line, "* ") {
			s.h.violate(12, "session %d: %q in the answer to %q", s.id, line, command)
		}
		if s.next != nil && strings.HasPrefix(line, "* OK [CLOSED]") {
			s.view, s.next = s.next, nil
		}
		if f := s.line(line, quiet, command); f != nil {
			got = append(got, *f)
		}
	}
	if s.view != nil && s.caches != nil {
		s.caches[s.view.box].tagged()
	}
	return lines, got, at, err
}

// line takes one untagged response.
func (s *session) line(line string, quiet bool, command string) *fetched {
	if strings.HasPrefix(line, "* FLAGS (") && s.view != nil {
		for _, k := range strings.Fields(strings.TrimSuffix(line[9:], ")")) {
			s.view.keywords[strings.ToLower(k)] = true
		}
	}
	if s.view != nil && s.caches != nil {
		s.resync(line, quiet, command)
	}
	if s.others != nil && strings.HasPrefix(line, "* STATUS ") {
		s.status(line)
	}
	v := s.view
	if v == nil {
		return nil
	}
	v.readOnly = v.readOnly || strings.HasPrefix(strings.TrimPrefix(line, "* "), "OK [READ-ONLY]")
	n, name := numbered(line)
	switch name {
	case "EXISTS":
		if n < len(v.uids) {
			s.h.violate(6, "session %d, %s: EXISTS went from %d to %d (%s)", s.id, v.box, len(v.uids), n, command)
		}
		for len(v.uids) < n {
			v.uids = append(v.uids, 0)
		}
	case "EXPUNGE":
		if s.caches != nil {
			s.h.violate(8, "session %d, %s: %q after ENABLE QRESYNC or UIDONLY", s.id, v.box, line)
		}
		if quiet {
			s.h.violate(7, "session %d, %s: %q during %s", s.id, v.box, line, command)
		}
		if n < 1 || n > len(v.uids) {
			s.h.violate(6, "session %d, %s: %q, but there are %d messages", s.id, v.box, line, len(v.uids))
			return nil
		}
		v.uids = slices.Delete(v.uids, n-1, n)
	case "FETCH":
		if s.uidOnly {
			s.h.violate(9, "session %d, %s: %.60q after ENABLE UIDONLY", s.id, v.box, line)
		}
		return s.fetch(n, line)
	case "UIDFETCH":
		if n = v.learn(uint32(n)); n == 0 {
			s.h.violate(9, "session %d, %s: %.60q, but there is no such message", s.id, v.box, line)
			return nil
		}
		return s.fetch(n, line)
	}
	return nil
}

// learn returns the number that a client without sequence numbers gives to a
// UID; those that it does not know are the last. It is 0 for one too many.
func (v *view) learn(uid uint32) int {
	known := slices.Index(v.uids, 0)
	if known < 0 {
		known = len(v.uids)
	}
	at, ok := slices.BinarySearch(v.uids[:known], uid)
	switch {
	case ok:
	case known == len(v.uids):
		return 0
	default:
		copy(v.uids[at+1:known+1], v.uids[at:known])
		v.uids[at] = uid
	}
	return at + 1
}

func (s *session) fetch(n int, line string) *fetched {
	v := s.view
	if n < 1 || n > len(v.uids) {
		s.h.violate(9, "session %d, %s: %.60q, but there are %d messages", s.id, v.box, line, len(v.uids))
		return nil
	}
	f := &fetched{}
	if s.uidOnly {
		f.uid = v.uids[n-1]
	} else if uid, ok := number(line, "UID "); ok {
		f.uid = uint32(uid)
		if v.uids[n-1] != 0 && v.uids[n-1] != f.uid {
			s.h.violate(9, "session %d, %s: message %d has UID %d, before it had %d", s.id, v.box, n, f.uid, v.uids[n-1])
		}
		v.uids[n-1] = f.uid
		for i := n - 2; i >= 0; i-- {
			if v.uids[i] != 0 {
				if v.uids[i] >= f.uid {
					s.h.violate(9, "session %d, %s: message %d has UID %d, message %d has %d", s.id, v.box, i+1, v.uids[i], n, f.uid)
				}
				break
			}
		}
	} else {
		f.uid = v.uids[n-1]
	}
	if f.flags, f.flagged = words(line, "FLAGS"); f.flagged {
		for _, k := range f.flags {
			if !strings.HasPrefix(k, `\`) && !v.keywords[strings.ToLower(k)] {
				s.h.violate(11, "session %d, %s: keyword %s in FETCH before FLAGS named it", s.id, v.box, k)
			}
			if strings.EqualFold(k, `\Recent`) && f.uid != 0 && !v.readOnly {
				s.h.sawRecent(v.box, f.uid, s.id)
			}
		}
	}
	if f.flagged && f.uid != 0 && s.caches != nil {
		s.cached(f, line)
	}
	if !strings.Contains(line, "\r\n") {
		return f // no literal, so no header
	}
	if m := subject.FindStringSubmatch(line); m != nil && f.uid != 0 {
		f.token = m[1]
		s.h.sawUID(v.box, f.uid, f.token)
	}
	return f
}

// run does random things until the time is over.
func (s *session) run(end int64) error {
	if err := s.profile(); err != nil {
		return err
	}
	if err := s.choose(s.boxes[0]); err != nil {
		return err
	}
	for now() < end {
		err := s.step()
		var refused *harness.Answer
		if err != nil && !errors.As(err, &refused) {
			return fmt.Errorf("session %d: %w", s.id, err)
		}
	}
	return nil
}

// profiles is how many there are.
const profiles = 6

// profile turns extensions on, where the server has them.
func (s *session) profile() error {
	lines, err := s.c.Do("CAPABILITY")
	if err != nil {
		return err
	}
	caps := strings.Join(lines, " ") + " "
	has := func(name string) bool { return strings.Contains(caps, " "+name+" ") }
	switch k := s.id % profiles; {
	case k == 1 && has("UIDONLY") && has("QRESYNC"):
		_, err = s.c.Do("ENABLE QRESYNC UIDONLY")
		s.caches, s.uidOnly = map[string]*cache{}, true
	case k == 2 && has("NOTIFY"):
		s.others = map[string]*status{}
	case k%2 == 1 && has("QRESYNC"):
		_, err = s.c.Do("ENABLE QRESYNC")
		s.caches = map[string]*cache{}
	case k == 4 && has("IMAP4rev2"):
		_, err = s.c.Do("ENABLE IMAP4rev2")
	}
	return err
}

func (s *session) step() error {
	box := s.boxes[s.rng.IntN(len(s.boxes))]
	switch k := s.rng.IntN(20); {
	case k < 5:
		return s.append(box)
	case k < 8:
		return s.look()
	case k < 12:
		return s.store()
	case k < 14:
		return s.move()
	case k < 15:
		return s.expunge()
	case k < 16:
		return s.copies()
	case k < 17:
		return s.count(box)
	case k < 18:
		return s.search()
	case k < 19:
		return s.leave(box)
	case s.rng.IntN(10) == 0:
		return s.idle()
	default:
		_, _, _, err := s.do("NOOP", false)
		return err
	}
}

// leave looks at messages with commands that hold expunges back, and goes to
// another mailbox before it is told of them.
func (s *session) leave(box string) error {
	if n := len(s.view.uids); n > 0 && s.caches != nil {
		for range s.rng.IntN(4) {
			if s.uidOnly {
				break // nothing is held back
			}
			if _, _, _, err := s.do(fmt.Sprintf("FETCH %d:%d (UID MODSEQ FLAGS)", max(1, n-50), n), true); err != nil {
				return err
			}
		}
	}
	return s.choose(box)
}

func (s *session) choose(box string) error {
	if s.caches != nil {
		return s.catchUp(box)
	}
	lines, at, err := s.selects(box, fmt.Sprintf("SELECT %q", s.name(box)))
	if n, ok := harness.Number(lines, "[UIDNEXT "); ok {
		s.h.wasTold(told{at, box, uint32(n), -1})
	}
	if err == nil && s.others != nil {
		return s.notify()
	}
	return err
}

// selects selects a mailbox. Until [CLOSED] what is told is of the one before
// (RFC 7162 §3.2.11, invariant 12).
func (s *session) selects(box, command string) ([]string, interval, error) {
	s.next = &view{box: box, keywords: map[string]bool{}, examined: strings.HasPrefix(command, "EXAMINE")}
	if s.view == nil {
		s.view, s.next = s.next, nil
	}
	lines, _, at, err := s.do(command, false)
	var refused *harness.Answer
	if answered := err == nil || errors.As(err, &refused); answered && s.next != nil {
		s.h.violate(12, "session %d: %s is answered, and the mailbox before is not [CLOSED]", s.id, command)
		s.view, s.next = s.next, nil
	}
	return lines, at, err
}

func (s *session) append(box string) error {
	s.n++
	token := fmt.Sprintf("t%d-%d", s.id, s.n)
	i := s.h.arriving(token, box)
	text := "Subject: " + token + "\r\n\r\n" + strings.Repeat(token+"\r\n", 1+s.rng.IntN(40))
	lines, _, at, err := s.do(fmt.Sprintf("APPEND %q {%d+}\r\n%s", s.name(box), len(text), text), false)
	if err != nil {
		return err
	}
	s.h.change(i, func() {
		i.arrive.end = at.end
		if m := appendUID.FindStringSubmatch(strings.Join(lines, "\n")); m != nil {
			uid, _ := strconv.ParseUint(m[1], 10, 32)
			i.uid = uint32(uid)
		}
	})
	if i.uid != 0 {
		s.h.sawUID(box, i.uid, token)
		s.own[box] = append(s.own[box], i)
	}
	return nil
}

// all fetches items of every message.
func (s *session) all(items string) (lines []string, got []fetched, at interval, err error) {
	begin := now()
	err = everything(func(set string) ([]string, error) {
		l, g, a, err := s.do("UID FETCH "+set+" "+items, false)
		lines, got, at = append(lines, l...), append(got, g...), interval{begin, a.end}
		return l, err
	})
	return lines, got, at, err
}

// look reads flags and subjects of some messages, after a NOOP.
func (s *session) look() error {
	begin := now() // what was answered before shows behind this NOOP
	if _, _, _, err := s.do("NOOP", false); err != nil || len(s.view.uids) == 0 {
		return err
	}
	from := 1 + s.rng.IntN(len(s.view.uids))
	to := min(len(s.view.uids), from+20)
	var got []fetched
	var at interval
	var err error
	items := "(UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
	if s.caches != nil {
		items = "(UID MODSEQ FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
	}
	if u := s.view.uids[from-1]; !s.byUID() && s.rng.IntN(2) == 0 {
		_, got, at, err = s.do(fmt.Sprintf("FETCH %d:%d %s", from, to, items), true)
	} else if u == 0 && s.byUID() {
		_, got, at, err = s.all(items)
	} else if u != 0 {
		_, got, at, err = s.do(fmt.Sprintf("UID FETCH %d:%d %s", u, u+20, items), false)
	}
	at.begin = begin
	for _, f := range got {
		if !f.flagged || f.uid == 0 || f.token == "" {
			continue
		}
		for id := range sessionsMax {
			k := fmt.Sprintf("k%d", id)
			has := slices.ContainsFunc(f.flags, func(x string) bool { return strings.EqualFold(x, k) })
			s.h.sawFlag(register{s.view.box, f.uid, k}, read{at, has, s.id})
		}
	}
	return err
}

// store changes this session's own keyword on some messages.
func (s *session) store() error {
	if len(s.view.uids) == 0 {
		return nil
	}
	from := s.rng.IntN(len(s.view.uids))
	to := min(len(s.view.uids), from+1+s.rng.IntN(5))
	var uids []uint32
	for _, u := range s.view.uids[from:to] {
		if u == 0 {
			return s.look() // first learn which they are
		}
		uids = append(uids, u)
	}
	value, sign := s.rng.IntN(2) == 0, "-"
	if value {
		sign = "+"
	}
	silent := []string{"", ".SILENT"}[s.rng.IntN(2)]
	box := s.view.box
	var at interval
	var err error
	if s.caches != nil && s.rng.IntN(4) == 0 {
		return s.storeUnchanged(uids[0], sign, value)
	}
	if !s.byUID() && s.rng.IntN(2) == 0 {
		_, _, at, err = s.do(fmt.Sprintf("STORE %d:%d %sFLAGS%s (%s)", from+1, to, sign, silent, s.keyword()), true)
	} else {
		_, _, at, err = s.do(fmt.Sprintf("UID STORE %s %sFLAGS%s (%s)", list(uids), sign, silent, s.keyword()), false)
	}
	if err != nil {
		at.end = 1<<62 - 1 // it may have been done, or be done yet
	}
	for _, u := range uids {
		s.h.wrote(register{box, u, s.keyword()}, write{at, value})
		if silent != "" && err == nil && s.caches != nil {
			s.caches[box].assume(u, s.keyword(), value)
		}
	}
	return err
}

func list(uids []uint32) string {
	var b []string
	for _, u := range uids {
		b = append(b, strconv.FormatUint(uint64(u), 10))
	}
	return strings.Join(b, ",")
}

// take returns one of this session's own messages in the selected mailbox, which
// the server has told it of by then: a UID that a client was not told of may be
// passed over in silence (RFC 3501 §6.4.8).
func (s *session) take(keep bool) *instance {
	own := s.own[s.view.box]
	if len(own) == 0 {
		return nil
	}
	if _, _, _, err := s.do("NOOP", false); err != nil {
		return nil
	}
	i := s.rng.IntN(len(own))
	x := own[i]
	if !keep {
		s.own[s.view.box] = slices.Delete(own, i, i+1)
	}
	return x
}

func (s *session) move() error {
	to := s.boxes[s.rng.IntN(len(s.boxes))]
	i := s.take(false)
	if i == nil || to == s.view.box {
		return nil
	}
	target := s.h.arriving(i.token, to)
	s.h.change(i, func() { i.leave.begin, target.copied = now(), true })
	lines, _, at, err := s.do(fmt.Sprintf("UID MOVE %d %q", i.uid, s.name(to)), false)
	if err != nil {
		return err
	}
	m := copyUID.FindStringSubmatch(strings.Join(lines, "\n"))
	if m == nil {
		return nil // it was not there: the outcome stays open, and the audit says more
	}
	s.gone(i.uid, "UID MOVE")
	uid, _ := strconv.ParseUint(m[2], 10, 32)
	s.h.change(i, func() {
		i.leave.end, target.arrive.end, target.uid = at.end, at.end, uint32(uid)
	})
	s.own[to] = append(s.own[to], target)
	return nil
}

func (s *session) expunge() error {
	i := s.take(false)
	if i == nil {
		return nil
	}
	s.h.change(i, func() { i.leave.begin = now() })
	if _, _, _, err := s.do(fmt.Sprintf(`UID STORE %d +FLAGS.SILENT (\Deleted)`, i.uid), false); err != nil {
		return err
	}
	_, _, at, err := s.do(fmt.Sprintf("UID EXPUNGE %d", i.uid), false)
	if err == nil {
		s.gone(i.uid, "UID EXPUNGE")
		s.h.change(i, func() { i.leave.end = at.end })
	}
	return err
}

// gone is invariant 12: what a command did is told before its tagged answer.
func (s *session) gone(uid uint32, command string) {
	if slices.Contains(s.view.uids, uid) {
		s.h.violate(12, "session %d, %s: UID %d is there after %s was answered", s.id, s.view.box, uid, command)
	}
}

func (s *session) copies() error {
	i := s.take(true)
	if i == nil {
		return nil
	}
	s.n++
	target := s.h.arriving(i.token, s.copy)
	s.h.change(target, func() { target.copied = true })
	lines, _, at, err := s.do(fmt.Sprintf("UID COPY %d %q", i.uid, s.name(s.copy)), false)
	if err != nil {
		return err
	}
	if m := copyUID.FindStringSubmatch(strings.Join(lines, "\n")); m != nil {
		uid, _ := strconv.ParseUint(m[2], 10, 32)
		s.h.change(target, func() { target.arrive.end, target.uid = at.end, uint32(uid) })
	}
	// Each message is copied once, so that the audit can count.
	s.own[s.view.box] = slices.DeleteFunc(s.own[s.view.box], func(x *instance) bool { return x == i })
	return nil
}

func (s *session) count(box string) error {
	if box == s.view.box {
		return nil
	}
	lines, _, at, err := s.do(fmt.Sprintf("STATUS %q (MESSAGES UIDNEXT)", s.name(box)), false)
	// NOTIFY may tell of others in the same answer.
	lines = slices.DeleteFunc(lines, func(l string) bool {
		name, ok := strings.CutPrefix(l, "* STATUS ")
		return !ok || !strings.HasPrefix(strings.Trim(name, `"`), s.name(box))
	})
	lines = lines[max(0, len(lines)-1):]
	messages, ok := harness.Number(lines, "MESSAGES ")
	next, ok2 := harness.Number(lines, "UIDNEXT ")
	if ok && ok2 {
		s.h.wasTold(told{at, box, uint32(next), int(messages)})
	}
	return err
}
