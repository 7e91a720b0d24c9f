package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/angarium/angarium/test/harness"
)

// mailer delivers over LMTP into the INBOX, and takes some of it out again over
// POP3, which nobody else does.
type mailer struct {
	h       *history
	o       options
	rng     *rand.Rand
	n       int
	waiting map[string]*instance // by token, delivered and not taken
	uidl    map[string]string    // to token: for ever the same (RFC 1939 §7)
}

func newMailer(h *history, o options) *mailer {
	return &mailer{h: h, o: o, rng: rand.New(rand.NewPCG(o.seed, 1<<32)), waiting: map[string]*instance{}, uidl: map[string]string{}}
}

func (m *mailer) run(end int64) error {
	lmtp, err := harness.DialLMTP(m.o.lmtp)
	if err != nil {
		return err
	}
	defer lmtp.Close()
	for now() < end {
		if m.rng.IntN(20) > 0 {
			err = m.deliver(lmtp)
		} else if m.o.pop3 != "" {
			err = m.take()
		}
		if err != nil {
			return fmt.Errorf("the mailer: %w", err)
		}
	}
	return nil
}

func (m *mailer) deliver(c *harness.LMTP) error {
	m.n++
	token := fmt.Sprintf("lmtp%d-%d", m.o.seed, m.n)
	i := m.h.arriving(token, "INBOX")
	replies, err := c.Deliver("a@check.example", []string{m.o.user}, "Subject: "+token+"\r\n\r\n"+strings.Repeat(token+"\r\n", 1+m.rng.IntN(40)))
	if err != nil {
		return err
	}
	m.h.count()
	if !strings.HasPrefix(replies[0], "250") {
		return errors.New("a delivery was refused: " + replies[0])
	}
	m.h.change(i, func() { i.arrive.end = now() })
	m.waiting[token] = i
	return nil
}

// take deletes one of the messages that the mailer delivered.
func (m *mailer) take() error {
	c, err := harness.DialPOP3(m.o.pop3, m.o.user, m.o.password)
	if err != nil {
		return err
	}
	defer func() {
		c.Do("QUIT") // again, where it was said; else the next session may find this one's lock
		c.Close()
	}()
	listed, err := c.Lines("UIDL")
	if err != nil || len(listed) == 0 {
		return err
	}
	n, id, _ := strings.Cut(listed[m.rng.IntN(len(listed))], " ")
	lines, err := c.Lines("TOP " + n + " 0")
	var refused *harness.Answer
	if errors.As(err, &refused) {
		return nil // it went over IMAP meanwhile
	}
	if err != nil {
		return err
	}
	found := subject.FindStringSubmatch(strings.Join(lines, "\n"))
	if found == nil {
		m.h.violate(1, "POP3: message %s has no subject", id)
		return nil
	}
	token := found[1]
	if was, ok := m.uidl[id]; ok && was != token {
		m.h.violate(1, "POP3: %s was %s and is %s", id, was, token)
	}
	m.uidl[id] = token
	i := m.waiting[token]
	if i == nil {
		return nil
	}
	if _, err := c.Do("DELE " + n); err != nil {
		return err
	}
	m.h.change(i, func() { i.leave.begin = now() })
	if _, err := c.Do("QUIT"); err != nil {
		return err
	}
	m.h.change(i, func() { i.leave.end = now() })
	m.h.count()
	delete(m.waiting, token)
	return nil
}
