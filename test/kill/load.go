package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/angarium/angarium/test/harness"
)

// message returns a message that names itself, and the size of its body.
func message(token string, rng *rand.Rand) (text string, bodySize int) {
	body := strings.Repeat(bodyLine(token), 1+rng.IntN(200))
	return "From: a@harness.example\r\nSubject: " + token + "\r\nX-Tok: " + token + "\r\n\r\n" + body, len(body)
}

func bodyLine(token string) string {
	return strings.Repeat(token+" ", 70/(len(token)+1)) + "\r\n"
}

// deliverer sends messages to random accounts over LMTP until the connection
// breaks.
func (r *round) deliverer(name string, rng *rand.Rand) {
	c, err := harness.DialLMTP(r.srv.LMTP)
	if err != nil {
		return
	}
	defer c.Close()
	for n := 0; ; n++ {
		account := r.accounts[rng.IntN(len(r.accounts))]
		token := name + "-" + strconv.Itoa(n)
		text, size := message(token, rng)
		r.led.begin(token, account, "INBOX", size)
		replies, err := c.Deliver("a@harness.example", []string{account}, text)
		if err != nil {
			return // the outcome stays unknown
		}
		if strings.HasPrefix(replies[0], "250") {
			// The account's own IMAP client may have moved it before this
			// reply was read, so only the arrival is noted.
			r.led.note(token, true, func(e *entry) { e.arrived = acked })
		} else {
			r.led.note(token, false, func(e *entry) { e.arrived = never })
		}
	}
}

// mailer is the only IMAP client of one account: it appends, stores, moves and
// expunges until the connection breaks.
func (r *round) mailer(name, account string, rng *rand.Rand) {
	c, err := harness.DialIMAP(r.srv.IMAP)
	if err != nil {
		return
	}
	defer c.Close()
	if c.Login(account, password) != nil {
		return
	}
	for n := 0; ; n++ {
		var err error
		switch k := rng.IntN(10); {
		case k < 5:
			err = r.append(c, account, name+"-"+strconv.Itoa(n), rng)
		case k < 7:
			err = r.change(c, account, rng, storeKeyword)
		case k < 9:
			err = r.change(c, account, rng, moveToArchive)
		default:
			err = r.change(c, account, rng, expunge)
		}
		var refused *harness.Answer
		if err != nil && !errors.As(err, &refused) {
			return
		}
	}
}

func (r *round) append(c *harness.IMAP, account, token string, rng *rand.Rand) error {
	text, size := message(token, rng)
	r.led.begin(token, account, "INBOX", size)
	_, err := c.Append("INBOX", `\Seen`, text)
	var refused *harness.Answer
	switch {
	case err == nil:
		r.led.note(token, true, func(e *entry) { e.arrived = acked })
	case errors.As(err, &refused):
		r.led.note(token, false, func(e *entry) { e.arrived = never })
	}
	return err
}

// A verb is one way to change some messages of the selected mailbox.
type verb struct {
	mailbox string
	// before notes what may happen, after what did.
	before, after, refused func(*entry)
	commands               func(uids string) []string
}

var storeKeyword = verb{
	mailbox:  "INBOX",
	before:   func(e *entry) { e.keyword = max(e.keyword, unknown) },
	after:    func(e *entry) { e.keyword = acked },
	refused:  func(*entry) {},
	commands: func(uids string) []string { return []string{"UID STORE " + uids + " +FLAGS.SILENT (kill)"} },
}

var moveToArchive = verb{
	mailbox:  "INBOX",
	before:   func(e *entry) { e.place["Archive"] = true },
	after:    func(e *entry) { delete(e.place, "INBOX") },
	refused:  func(e *entry) { delete(e.place, "Archive") },
	commands: func(uids string) []string { return []string{"UID MOVE " + uids + " Archive"} },
}

var expunge = verb{
	mailbox: "Archive",
	before:  func(e *entry) { e.expunged = unknown },
	after:   func(e *entry) { e.expunged = acked },
	refused: func(*entry) {},
	commands: func(uids string) []string {
		return []string{"UID STORE " + uids + ` +FLAGS.SILENT (\Deleted)`, "UID EXPUNGE " + uids}
	},
}

// change applies a verb to a random range of a mailbox's messages.
func (r *round) change(c *harness.IMAP, account string, rng *rand.Rand, v verb) error {
	lines, err := c.Do("SELECT " + v.mailbox)
	if err != nil {
		return err
	}
	r.led.tells(account, v.mailbox, lines)
	all, err := list(c, v.mailbox, false)
	if err != nil || len(all) == 0 {
		return err
	}
	first := rng.IntN(len(all))
	some := all[first:min(len(all), first+1+rng.IntN(5))]
	uids := fmt.Sprintf("%d:%d", some[0].uid, some[len(some)-1].uid)
	// What arrived within the range since cannot be: new UIDs are higher.
	for _, m := range some {
		r.led.note(m.token, false, v.before)
	}
	for _, command := range v.commands(uids) {
		if _, err := c.Do(command); err != nil {
			var refused *harness.Answer
			if errors.As(err, &refused) {
				for _, m := range some {
					r.led.note(m.token, false, v.refused)
				}
			}
			return err
		}
	}
	for _, m := range some {
		r.led.note(m.token, true, v.after)
	}
	return nil
}

// list fetches what check needs to know of the selected mailbox: with bodies,
// which are compared with what was sent, or without.
func list(c *harness.IMAP, mailbox string, bodies bool) ([]found, error) {
	items := "UID FLAGS BODY.PEEK[HEADER.FIELDS (X-Tok)]"
	if bodies {
		items += " BODY.PEEK[TEXT]"
	}
	lines, err := c.Do("UID FETCH 1:* (" + items + ")")
	if err != nil {
		return nil, err
	}
	var all []found
	for _, line := range lines {
		uid, ok := harness.Number([]string{line}, "UID ")
		if !strings.Contains(line, " FETCH (") || !ok {
			continue
		}
		_, rest, _ := strings.Cut(line, "X-Tok: ")
		token, rest, _ := strings.Cut(rest, "\r\n")
		head, _, _ := strings.Cut(line, "X-Tok: ")
		m := found{mailbox: mailbox, token: token, uid: uid, keyword: strings.Contains(head, "kill") || strings.Contains(rest, "FLAGS (kill")}
		if bodies {
			_, body, _ := strings.Cut(rest, "BODY[TEXT] {")
			_, body, _ = strings.Cut(body, "\r\n")
			m.size = intactSize(token, body)
		}
		all = append(all, m)
	}
	return all, nil
}

// intactSize returns how many octets at the start of body are what message
// makes for the token.
func intactSize(token, body string) int {
	line, n := bodyLine(token), 0
	for strings.HasPrefix(body[n:], line) {
		n += len(line)
	}
	return n
}
