package main

import (
	"fmt"
	"sync"

	"github.com/angarium/angarium/test/harness"
)

// outcome is what a client knows of an operation.
type outcome uint8

const (
	never   outcome = iota // not asked for, or refused: nothing may have happened
	unknown                // the connection was cut before the answer
	acked                  // acknowledged: it must have happened
)

// entry is what is known of one message.
type entry struct {
	account  string
	arrived  outcome
	expunged outcome
	keyword  outcome         // of the keyword "kill"
	place    map[string]bool // mailboxes where it may be
	size     int
}

// uidKey names a message as IMAP does.
type uidKey struct {
	account, mailbox string
	uid              uint64
}

// ledger is everything that clients were told, over all rounds.
type ledger struct {
	mu         sync.Mutex
	entries    map[string]*entry   // by token
	operations int                 // acknowledged
	uids       map[uidKey]string   // token seen under a UID once
	told       map[string]counters // by account and mailbox, the last
	wrong      []string            // counters that were
}

// counters are what a server tells of a mailbox that may never go back.
type counters struct{ validity, uidNext, modseq uint64 }

// tells takes the counters from the answer to SELECT or EXAMINE. What was told
// must hold after the next start also (invariants 2, 14 and 29 of the
// reliability paper); check reports what does not.
func (l *ledger) tells(account, mailbox string, answer []string) {
	var c counters
	c.validity, _ = harness.Number(answer, "[UIDVALIDITY ")
	c.uidNext, _ = harness.Number(answer, "[UIDNEXT ")
	c.modseq, _ = harness.Number(answer, "[HIGHESTMODSEQ ")
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.told[account+"/"+mailbox]
	bad := func(name string, was, is uint64) {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: %s of %s was %d and is %d", account, name, mailbox, was, is))
	}
	switch {
	case c.validity == 0 || was.validity != 0 && c.validity != was.validity:
		bad("UIDVALIDITY", was.validity, c.validity)
	case c.uidNext < was.uidNext:
		bad("UIDNEXT", was.uidNext, c.uidNext)
	case c.modseq < was.modseq:
		bad("HIGHESTMODSEQ", was.modseq, c.modseq)
	}
	l.told[account+"/"+mailbox] = c
}

func newLedger() *ledger {
	return &ledger{entries: map[string]*entry{}, uids: map[uidKey]string{}, told: map[string]counters{}}
}

// begin notes that a message is about to be sent, so that it may exist.
func (l *ledger) begin(token, account, mailbox string, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[token] = &entry{account: account, arrived: unknown, place: map[string]bool{mailbox: true}, size: size}
}

// note changes the entry of a token. done tells that an operation was
// acknowledged.
func (l *ledger) note(token string, done bool, change func(*entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[token]; e != nil {
		change(e)
		if done {
			l.operations++
		}
	}
}

func (l *ledger) acknowledged() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.arrived == acked {
			n++
		}
	}
	return n
}

// found is one message as it is in an account after a restart.
type found struct {
	mailbox, token string
	uid            uint64
	size           int
	keyword        bool
}

// check compares what an account holds with the ledger, and notes what is
// certain now: a message that may have arrived either did or did not.
func (l *ledger) check(account string, messages []found) (violations []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bad := func(format string, a ...any) {
		violations = append(violations, account+": "+fmt.Sprintf(format, a...))
	}
	violations, l.wrong = l.wrong, nil
	seen := map[string]found{}
	for _, m := range messages {
		key := uidKey{account, m.mailbox, m.uid}
		if was, ok := l.uids[key]; ok && was != m.token {
			bad("UID %d of %s was %s and is %s", m.uid, m.mailbox, was, m.token)
		}
		l.uids[key] = m.token
		if other, ok := seen[m.token]; ok {
			bad("%s is there twice: %s UID %d and %s UID %d", m.token, other.mailbox, other.uid, m.mailbox, m.uid)
		}
		seen[m.token] = m
	}
	for token, e := range l.entries {
		if e.account == account {
			m, ok := seen[token]
			l.checkEntry(bad, token, e, m, ok)
			delete(seen, token)
		}
	}
	for token, m := range seen {
		bad("%s in %s was never sent", token, m.mailbox)
	}
	return violations
}

func (l *ledger) checkEntry(bad func(string, ...any), token string, e *entry, m found, there bool) {
	switch {
	case there && e.arrived == never:
		bad("%s was refused but is there", token)
	case there && e.expunged == acked:
		bad("%s was expunged but is in %s", token, m.mailbox)
	case !there && e.arrived == acked && e.expunged == never:
		bad("%s was acknowledged but is lost (should be in %v)", token, e.place)
	case there && !e.place[m.mailbox]:
		bad("%s is in %s, not in %v", token, m.mailbox, e.place)
	case there && m.size != e.size:
		bad("%s has %d octets of body, not %d", token, m.size, e.size)
	case there && e.keyword == acked && !m.keyword:
		bad("%s lost its keyword", token)
	case there && e.keyword == never && m.keyword:
		bad("%s got a keyword from nowhere", token)
	}
	if !there {
		delete(l.entries, token)
		return
	}
	// Seen once, it must stay as it was seen.
	e.arrived, e.expunged = acked, never
	e.place = map[string]bool{m.mailbox: true}
	e.keyword = never
	if m.keyword {
		e.keyword = acked
	}
}
