package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// visitorsMax is how many sessions of the second user there are where rights
// change.
const visitorsMax = 4

// sharer is the owner of a mailbox, who gives the visitors rights and takes them
// away, and puts messages into it.
type sharer struct {
	h            *history
	rng          *rand.Rand
	c            *harness.IMAP
	box, visitor string
	n            int
	given, taken rights // of the user's entry, and of the one with "-" before it
}

func (x *sharer) run(end int64) error {
	for now() < end {
		if err := x.change(); err != nil {
			return fmt.Errorf("the sharer: %w", err)
		}
		pause := x.rng.Int64N(idleSlack / 10)
		if x.rng.IntN(8) == 0 {
			pause = x.rng.Int64N(3 * idleSlack) // by then nothing may be told any more
		}
		for until := min(end, now()+pause); now() < until; time.Sleep(20 * time.Millisecond) {
			if err := x.post(); err != nil {
				return fmt.Errorf("the sharer: %w", err)
			}
		}
	}
	return nil
}

// change changes the ACL.
func (x *sharer) change() error {
	some := x.some()
	entry, change := x.visitor, some.String()
	switch k := x.rng.IntN(8); {
	case k == 0:
		x.given, change = 0, ""
	case k == 1 && x.taken != 0:
		entry, x.taken, change = "-"+x.visitor, 0, ""
	case k == 1:
		entry, x.taken = "-"+x.visitor, some&x.some()&x.some()
		change = x.taken.String()
	case k == 2:
		x.given |= some
		change = "+" + change
	case k == 3:
		x.given &^= some
		change = "-" + change
	default:
		x.given = some
	}
	command := fmt.Sprintf("SETACL %q %q %q", x.box, entry, change)
	if change == "" && x.rng.IntN(2) == 0 {
		command = fmt.Sprintf("DELETEACL %q %q", x.box, entry)
	}
	g := granted{rights: x.given &^ x.taken}
	g.begin = now()
	_, err := x.c.Do(command)
	g.end = now()
	x.h.granted(g)
	x.h.count()
	return err
}

// some returns some rights, often all that visitors use.
func (x *sharer) some() (r rights) {
	r = letters("lrswitea")
	if x.rng.IntN(3) == 0 {
		return r
	}
	for _, c := range r.String() {
		if x.rng.IntN(4) == 0 {
			r &^= letters(string(c))
		}
	}
	return r
}

// post does what visitors are told of.
func (x *sharer) post() error {
	x.n++
	token := fmt.Sprintf("sharer-%d", x.n)
	_, err := x.c.Append(x.box, "", "Subject: "+token+"\r\n\r\n"+token+"\r\n")
	x.h.posted(token)
	return err
}

// visitor is a session of the second user in the mailbox of the sharer.
type visitor struct {
	*session
	box, mine string // the shared mailbox, and one of the visitor's own
	notified  bool   // it asks for NOTIFY
	answered  int64  // when the last command was
	dial      func() (*harness.IMAP, error)
}

// visits are what a visitor tries, with the rights that it needs (RFC 4314 §4, RFC
// 5464 §3.3, RFC 6851 §4, RFC 9208 §4.1.2).
var visits = []struct {
	command  string // $box: the shared mailbox, $mine: the visitor's
	needs    string
	selected string // which of them must be
}{
	{"SELECT $box", "r", ""}, {"EXAMINE $box", "r", ""}, {"STATUS $box (MESSAGES UIDNEXT)", "r", ""}, {"GETQUOTAROOT $box", "r", ""},
	{"GETACL $box", "a", ""}, {`SETMETADATA $box (/shared/comment "x")`, "lw", ""}, {"MYRIGHTS $box", "lrikxa", ""}, {"LIST \"\" $box", "l", ""}, {"APPEND $box", "i", ""},
	{"UID COPY * $box", "i", "$mine"}, {"UID COPY * $mine", "r", "$box"}, {"UID MOVE * $mine", "rte", "$box"}, {"EXPUNGE", "re", "$box"},
	{"UID FETCH * (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "r", "$box"}, {"UID SEARCH ALL", "r", "$box"},
	{"UID STORE * +FLAGS (visited)", "rw", "$box"}, {"UID STORE * -FLAGS.SILENT (visited)", "rw", "$box"},
	{`UID STORE * +FLAGS.SILENT (\Seen)`, "rs", "$box"}, {`UID STORE * -FLAGS (\Seen)`, "rs", "$box"}, {`UID STORE * +FLAGS (\Deleted)`, "rt", "$box"},
}

func (v *visitor) run(end int64) error {
	for now() < end {
		err := v.enter()
		if err == nil {
			err = v.step()
		}
		if err != nil {
			return fmt.Errorf("session %d: %w", v.id, err)
		}
	}
	if v.c != nil {
		v.c.Close()
	}
	return nil
}

// enter begins a session where there is none.
func (v *visitor) enter() (err error) {
	if v.c != nil {
		return nil
	}
	if v.c, err = v.dial(); err != nil || !v.notified {
		return err
	}
	v.answered = now()
	_, _, _, err = v.do(fmt.Sprintf("NOTIFY SET (selected (MessageNew MessageExpunge FlagChange)) (mailboxes %q (MessageNew MessageExpunge MailboxName))", v.name(v.box)), false)
	return err
}

func (v *visitor) step() error {
	if v.rng.IntN(20) == 0 {
		return v.wait()
	}
	visit := visits[v.rng.IntN(len(visits))]
	command := v.fill(visit.command)
	if visit.selected != "" {
		if ok, err := v.inside(v.expand(visit.selected)); err != nil || !ok {
			return err
		}
		if v.rng.IntN(2) == 0 { // rights are taken away before the next command
			time.Sleep(time.Duration(v.rng.Int64N(idleSlack / 5)))
		}
	}
	token := ""
	if visit.command == "APPEND $box" {
		v.n++
		token = fmt.Sprintf("visitor%d-%d", v.id, v.n)
		text := "Subject: " + token + "\r\n\r\n" + token + "\r\n"
		command += fmt.Sprintf(" {%d+}\r\n%s", len(text), text)
	}
	_, err := v.try(visit.needs, command, token)
	return err
}

// expand returns the mailbox that a name of the table stands for.
func (v *visitor) expand(name string) string {
	return map[string]string{"$box": v.box, "$mine": v.mine}[name]
}

// fill puts names into a command of the table.
func (v *visitor) fill(command string) string {
	return strings.NewReplacer("$box", strconv.Quote(v.name(v.box)), "$mine", strconv.Quote(v.name(v.mine))).Replace(command)
}

// inside selects a mailbox where it is not selected, and reports whether there are
// messages in it that the server told of.
func (v *visitor) inside(box string) (ok bool, err error) {
	if v.view == nil || v.view.box != box || v.view.examined || v.rng.IntN(20) == 0 {
		command := fmt.Sprintf("SELECT %q", v.name(box))
		if box == v.mine {
			begin := now()
			if v.notified {
				begin = v.answered // it may have ended since
			}
			if lines, _, err := v.selects(box, command); err != nil {
				return false, v.leftWith(lines, begin, err, "")
			}
			return len(v.view.uids) > 0, nil
		}
		if ok, err = v.try("r", command, ""); err != nil || !ok {
			return false, err
		}
	}
	return len(v.view.uids) > 0, nil
}

// try runs a command that needs rights, and notes what became of it. A message is
// in the mailbox if it is done, and else it is not.
func (v *visitor) try(needs, command, token string) (ok bool, err error) {
	verb, _, _ := strings.Cut(command, " ")
	choosing := verb == "SELECT" || verb == "EXAMINE"
	begin, last := now(), v.answered
	var lines []string
	if choosing {
		lines, _, err = v.selects(v.box, command)
	} else {
		lines, _, _, err = v.do(command, false)
	}
	v.answered = now()
	a := attempt{interval: interval{begin, v.answered}, session: v.id, text: fmt.Sprintf("%.60q", command), needs: letters(needs)}
	if verb == "MYRIGHTS" {
		told := myRights(lines)
		a.told = &told
	}
	var no *harness.Answer
	switch {
	case err == nil && verb == "LIST" && !slices.ContainsFunc(lines, v.lists):
		a.outcome = refused
	case err == nil:
	case errors.As(err, &no) && strings.Contains(no.Text, "[EXPUNGEISSUED]"):
		return false, nil // the rights were not what was missing
	case errors.As(err, &no):
		a.outcome = refused
	default:
		if slices.ContainsFunc(lines, answers) {
			v.h.attempted(a) // the server ended the session too late
		}
		if v.notified {
			begin = last // it may have ended since
		}
		return false, v.leftWith(lines, begin, err, token)
	}
	if choosing && a.outcome != done {
		v.view = nil
	}
	if token != "" && a.outcome == done {
		v.h.posted(token)
	}
	v.h.attempted(a)
	return a.outcome == done, nil
}

// leftWith ends a session that the server has ended, which it does where the
// selected mailbox may not be read any more, or returns err. What the last command
// did is open.
func (v *visitor) leftWith(lines []string, begin int64, err error, token string) error {
	if len(lines) == 0 || !strings.HasPrefix(lines[len(lines)-1], "* BYE") || v.view == nil || v.view.box != v.box {
		return fmt.Errorf("the server ended the session with %q: %w", lines, err)
	}
	v.h.attempted(attempt{interval: interval{begin, now()}, session: v.id, text: lines[len(lines)-1], needs: letters("r"), outcome: ended})
	if token != "" {
		v.h.posted(token)
	}
	v.c.Close()
	v.c, v.view, v.next = nil, nil, nil
	return nil
}

// answers reports whether a response is to a command, not unasked.
func answers(line string) bool {
	return strings.Contains(line, " BODY[") || strings.HasPrefix(line, "* SEARCH")
}

// lists reports whether LIST told of the shared mailbox.
func (v *visitor) lists(line string) bool {
	return strings.HasPrefix(line, "* LIST (") && strings.Contains(line, v.name(v.box)) && !strings.Contains(line, `\NonExistent`)
}

// myRights returns the standard rights that MYRIGHTS told.
func myRights(lines []string) (r rights) {
	for _, line := range lines {
		if strings.HasPrefix(line, "* MYRIGHTS ") {
			r = letters(line[strings.LastIndexByte(line, ' ')+1:]) & letters(standardRights)
		}
	}
	return r
}

// wait listens to what the server tells unasked, in IDLE or after NOTIFY.
func (v *visitor) wait() error {
	if v.notified {
		_, err := v.listen(v.answered)
		return err
	}
	if ok, err := v.inside(v.box); err != nil || !ok {
		return err
	}
	begin := now()
	if err := v.c.Send("IDLE"); err != nil {
		return err
	}
	if lines, err := v.c.Await(); err != nil {
		return v.leftWith(lines, begin, err, "")
	}
	if there, err := v.listen(begin); err != nil || !there {
		return err
	}
	from := now()
	if err := v.c.Done(); err != nil {
		return err
	}
	lines, err := v.c.Await()
	v.h.count()
	if v.hear(lines, from); err != nil {
		return v.leftWith(lines, begin, err, "")
	}
	return nil
}

// listen listens for a while, and reports whether the session is there still.
func (v *visitor) listen(begin int64) (there bool, err error) {
	for until := now() + v.rng.Int64N(3*idleSlack); now() < until; {
		from := now()
		lines, err := v.c.Listen(20 * time.Millisecond)
		v.hear(lines, from)
		if err != nil || len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "* BYE") {
			return false, v.leftWith(lines, begin, err, "")
		}
	}
	return true, nil
}

// hear notes what was told unasked.
func (v *visitor) hear(lines []string, from int64) {
	v.tell(lines)
	for _, line := range lines {
		needs := ""
		_, number := numbered(line)
		switch {
		case number != "" && v.view != nil && v.view.box == v.box:
			needs = "r"
		case strings.HasPrefix(line, "* STATUS ") && strings.Contains(line, v.name(v.box)):
			needs = "lr"
		case strings.HasPrefix(line, "* LIST ") && strings.Contains(line, v.name(v.box)):
			needs = "l"
		default:
			continue
		}
		v.h.attempted(attempt{interval: interval{from - idleSlack, now()}, session: v.id, text: fmt.Sprintf("%.60q, told unasked,", line), needs: letters(needs)})
	}
}
