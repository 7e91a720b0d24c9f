package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	runs        = 3    // of which the least counts
	smallOctets = 1000 // of a message in a large mailbox
	expunged    = 100  // messages that one EXPUNGE removes
	resyncAfter = 10   // changes
)

// step is one line of the mailbox's axis.
type step struct {
	name    string
	prepare func(m *mailbox, run int) string
	command func(m *mailbox, run int) string
}

func same(command string) func(*mailbox, int) string {
	return func(*mailbox, int) string { return command }
}

// firsts show what is there only once after a start. Each has one of its own, so
// that none finds in a cache what another has read; the first one comes before
// the others.
var firsts = []step{
	{name: "SELECT, first", command: same("SELECT INBOX")},
	{name: "SORT, first", command: same("SORT (SUBJECT DATE) UTF-8 ALL")},
	{name: "THREAD, first", command: same("THREAD REFERENCES UTF-8 ALL")},
}

// indexed are firsts with an index of the texts.
var indexed = []step{
	{command: same("SELECT INBOX")}, // is none of the lines
	{name: "SEARCH BODY, first, indexed", command: search},
}

// search looks for a word that one message has.
func search(m *mailbox, _ int) string { return fmt.Sprintf(`SEARCH BODY "word is w%dw"`, m.messages/2) }

// steps are repeated. Those on one message or on some are in the middle.
var steps = []step{
	{name: "SELECT", command: same("SELECT INBOX")},
	{name: "STATUS", command: same("STATUS INBOX (MESSAGES UNSEEN UIDNEXT)")},
	{name: "FETCH 1:* (UID FLAGS)", command: same("FETCH 1:* (UID FLAGS)")},
	{name: "FETCH of one", command: func(m *mailbox, _ int) string {
		return fmt.Sprintf("FETCH %d (FLAGS ENVELOPE BODY.PEEK[])", m.messages/2)
	}},
	{name: "SEARCH UNSEEN", command: same("SEARCH UNSEEN")},
	{name: "SEARCH HEADER SUBJECT", command: same(`SEARCH HEADER SUBJECT "subject 77"`)},
	{name: "SEARCH BODY, indexed", command: search},
	{name: "SORT", command: same("SORT (SUBJECT DATE) UTF-8 ALL")},
	{name: "THREAD", command: same("THREAD REFERENCES UTF-8 ALL")},
	{name: "STORE 1:* FLAGS.SILENT", command: func(_ *mailbox, run int) string {
		return fmt.Sprintf(`STORE 1:* %cFLAGS.SILENT (\Flagged)`, "+-"[run%2])
	}},
	{name: "COPY 1:*",
		prepare: func(_ *mailbox, run int) string { return fmt.Sprintf("CREATE Copy%d", run) },
		command: func(_ *mailbox, run int) string { return fmt.Sprintf("COPY 1:* Copy%d", run) }},
	{name: "EXPUNGE of 100",
		prepare: func(m *mailbox, _ int) string {
			from := m.messages / 3
			return fmt.Sprintf(`STORE %d:%d +FLAGS.SILENT (\Deleted)`, from+1, from+min(expunged, m.messages/10))
		},
		command: same("EXPUNGE")},
	{name: "APPEND of one", command: func(*mailbox, int) string {
		text := fill.Text(0, smallOctets)
		return fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text)
	}},
}

// mailbox is the one that is measured, selected by a session.
type mailbox struct {
	srv      *harness.Server
	messages int
	session  *harness.Bulk
}

func measureMailbox(b *bench, at sizes) (*axis, error) {
	a := &axis{Name: "mailbox", What: "messages in the mailbox"}
	for _, size := range at {
		if err := b.mailboxOf(a, int(size)); err != nil {
			return nil, fmt.Errorf("%.0f messages: %w", size, err)
		}
	}
	return a, nil
}

func (b *bench) mailboxOf(a *axis, messages int) error {
	srv, err := b.server(fmt.Sprintf("mailbox%d", messages))
	if err != nil {
		return err
	}
	defer os.RemoveAll(srv.Data)
	if err := fill.Mailbox(context.Background(), srv.Data, account(0), passwordHash, messages, smallOctets); err != nil {
		return err
	}
	m := &mailbox{srv: srv, messages: messages}
	defer srv.Kill()
	if err := m.first(a, firsts); err != nil {
		return err
	}
	if err := m.index(); err != nil {
		return fmt.Errorf("indexing the messages' texts: %w", err)
	}
	if err := m.first(a, indexed); err != nil {
		return err
	}
	for _, s := range steps {
		if err := m.repeat(a, s); err != nil {
			return err
		}
	}
	least, err := m.resync()
	if err != nil {
		return fmt.Errorf("QRESYNC: %w", err)
	}
	a.took("SELECT with QRESYNC", float64(messages), least)
	return m.session.Close()
}

// index has the server index the texts, as it does after a first search.
func (m *mailbox) index() error {
	if _, err := m.run(step{command: search}, 0); err != nil && !refusal(err) { // it may take too long, but the texts are indexed
		return err
	}
	return m.srv.AwaitIndex()
}

// first starts the server some times, and measures what follows.
func (m *mailbox) first(a *axis, firsts []step) error {
	least := make([]time.Duration, len(firsts))
	refused := make([]error, len(firsts))
	for run := range runs {
		for i, s := range firsts {
			if err := m.restart(); err != nil {
				return err
			}
			if i > 0 {
				if _, err := m.run(firsts[0], run); err != nil {
					return err
				}
			}
			took, err := m.run(s, run)
			if err != nil && !refusal(err) {
				return err
			}
			if refused[i] = err; run == 0 || took < least[i] {
				least[i] = took
			}
		}
	}
	for i, s := range firsts {
		if s.name == "" {
			continue
		}
		if refused[i] != nil {
			a.refuse(s.name, float64(m.messages), refused[i])
		} else {
			a.took(s.name, float64(m.messages), least[i])
		}
	}
	return nil
}

// restart starts the server anew and logs in.
func (m *mailbox) restart() (err error) {
	if m.session != nil {
		m.session.Close()
		if _, err := m.srv.Stop(); err != nil {
			return err
		}
	}
	if err := m.srv.Start(); err != nil {
		return err
	}
	m.session, err = harness.DialBulk(m.srv.IMAP, account(0), password, make([]byte, 1<<20))
	return err
}

// repeat measures a step, unless it is refused.
func (m *mailbox) repeat(a *axis, s step) error {
	least := time.Hour
	for run := range runs {
		took, err := m.run(s, run)
		if refusal(err) {
			a.refuse(s.name, float64(m.messages), err)
			return nil
		}
		if err != nil {
			return err
		}
		least = min(least, took)
	}
	a.took(s.name, float64(m.messages), least)
	return nil
}

// refusal reports whether an error is the server's no.
func refusal(err error) bool {
	var no *harness.Answer
	return errors.As(err, &no)
}

func (m *mailbox) run(s step, run int) (time.Duration, error) {
	if s.prepare != nil {
		if err := m.session.Do(s.prepare(m, run)); err != nil {
			return 0, err
		}
	}
	command := s.command(m, run)
	begin := time.Now()
	if err := m.session.Do(command); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// resync has another session change some messages and returns how long the
// first takes to select the mailbox and to hear of them (RFC 7162 §3.2.5).
func (m *mailbox) resync() (least time.Duration, err error) {
	c, err := harness.DialIMAP(m.srv.IMAP)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Login(account(0), password); err != nil {
		return 0, err
	}
	if _, err := c.Do("ENABLE QRESYNC"); err != nil {
		return 0, err
	}
	least = time.Hour
	for run := range runs {
		known, err := c.Do("SELECT INBOX")
		if err != nil {
			return 0, err
		}
		if _, err := c.Do("UNSELECT"); err != nil {
			return 0, err
		}
		for i := range resyncAfter {
			change := fmt.Sprintf(`STORE %d FLAGS.SILENT (change%d)`, 1+i*m.messages/resyncAfter/2, run)
			if err := m.session.Do(change); err != nil {
				return 0, err
			}
		}
		validity, _ := harness.Number(known, "[UIDVALIDITY ")
		modseq, _ := harness.Number(known, "[HIGHESTMODSEQ ")
		begin := time.Now()
		told, err := c.Do(fmt.Sprintf("SELECT INBOX (QRESYNC (%d %d))", validity, modseq))
		if err != nil {
			return 0, err
		}
		least = min(least, time.Since(begin))
		if n := fetched(told); n != resyncAfter {
			return 0, fmt.Errorf("told of %d changes, not of %d", n, resyncAfter)
		}
	}
	return least, nil
}
