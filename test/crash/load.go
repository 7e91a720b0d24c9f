package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
)

const (
	loadAccounts = 4
	loadPassword = "crash-test"
)

func loadAccount(i int) string { return fmt.Sprintf("crash%d@crash.example", i) }

// loadLines are the accounts as they are imported.
func loadLines() (lines []string) {
	for i := range loadAccounts {
		lines = append(lines, loadAccount(i)+":"+loadPassword)
	}
	return lines
}

// span is when something was begun and when it was acknowledged, on a clock
// that the run chooses; 0 for not.
type span struct{ begun, acked int }

// entry is what is known of one message.
type entry struct {
	account             string
	size                int
	arrive, flag, leave span
}

// ledger is what a load did.
type ledger struct {
	clock func() int // above 0
	mu    sync.Mutex
	byTok map[string]*entry
	acks  int
}

func newLedger(clock func() int) *ledger { return &ledger{clock: clock, byTok: map[string]*entry{}} }

func (l *ledger) begin(tok string, change func(e *entry, now int)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byTok[tok]
	if e == nil {
		e = &entry{}
		l.byTok[tok] = e
	}
	change(e, l.clock())
}

func (l *ledger) ack(tok string, s func(e *entry) *span) {
	now := l.clock()
	l.mu.Lock()
	defer l.mu.Unlock()
	s(l.byTok[tok]).acked = now
	l.acks++
}

func arrive(e *entry) *span  { return &e.arrive }
func flagged(e *entry) *span { return &e.flag }
func leave(e *entry) *span   { return &e.leave }

// text is a message that names itself.
func text(tok string, size int) string {
	return "Subject: " + tok + "\r\n\r\n" + strings.Repeat(strings.Repeat(tok+" ", 60/(len(tok)+1))+"\r\n", size)
}

// run loads a server for a time with some deliverers and an IMAP client for
// each account.
func (l *ledger) run(srv *harness.Server, name string, deliverers int, d time.Duration, seed uint64) {
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i := range deliverers {
		wg.Go(func() {
			l.deliver(srv, fmt.Sprintf("%sd%d", name, i), end, rand.New(rand.NewPCG(seed, uint64(i))))
		})
	}
	for i := range loadAccounts {
		wg.Go(func() {
			l.imap(srv, fmt.Sprintf("%sm%d", name, i), loadAccount(i), end, rand.New(rand.NewPCG(seed, 100+uint64(i))))
		})
	}
	wg.Wait()
}

func (l *ledger) arriving(tok, account string, size int) {
	l.begin(tok, func(e *entry, now int) { e.account, e.size, e.arrive.begun = account, size, now })
}

func (l *ledger) deliver(srv *harness.Server, name string, end time.Time, rng *rand.Rand) {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return
	}
	defer c.Close()
	for n := 0; time.Now().Before(end); n++ {
		tok, account, size := fmt.Sprintf("%s-%d", name, n), loadAccount(rng.IntN(loadAccounts)), 1+rng.IntN(150)
		l.arriving(tok, account, size)
		replies, err := c.Deliver("a@crash.example", []string{account}, text(tok, size))
		if err != nil {
			return
		}
		if strings.HasPrefix(replies[0], "250") {
			l.ack(tok, arrive)
		}
	}
}

var appendUID = regexp.MustCompile(`APPENDUID \d+ (\d+)`)

// imap appends, and flags and expunges some of what it appended.
func (l *ledger) imap(srv *harness.Server, name, account string, end time.Time, rng *rand.Rand) {
	c, err := harness.DialIMAP(srv.IMAP)
	if err != nil {
		return
	}
	defer c.Close()
	if c.Login(account, loadPassword) != nil {
		return
	}
	if _, err := c.Do("SELECT INBOX"); err != nil {
		return
	}
	for n := 0; time.Now().Before(end); n++ {
		tok, size := fmt.Sprintf("%s-%d", name, n), 1+rng.IntN(100)
		if n%20 == 19 {
			size = 20_000 // more than a megabyte: a file of its own
		}
		l.arriving(tok, account, size)
		lines, err := c.Append("INBOX", "", text(tok, size))
		var refused *harness.Answer
		if errors.As(err, &refused) {
			continue
		}
		if err != nil {
			return
		}
		l.ack(tok, arrive)
		uid := appendUID.FindStringSubmatch(strings.Join(lines, "\n"))
		if uid == nil {
			continue
		}
		if err := l.change(c, tok, uid[1], rng); err != nil && !errors.As(err, &refused) {
			return
		}
	}
}

func (l *ledger) change(c *harness.IMAP, tok, uid string, rng *rand.Rand) error {
	switch rng.IntN(4) {
	case 0:
		l.begin(tok, func(e *entry, now int) { e.flag.begun = now })
		if _, err := c.Do("UID STORE " + uid + ` +FLAGS.SILENT (\Flagged)`); err != nil {
			return err
		}
		l.ack(tok, flagged)
	case 1:
		l.begin(tok, func(e *entry, now int) { e.leave.begun = now })
		if _, err := c.Do("UID STORE " + uid + ` +FLAGS.SILENT (\Deleted)`); err != nil {
			return err
		}
		if _, err := c.Do("UID EXPUNGE " + uid); err != nil {
			return err
		}
		l.ack(tok, leave)
	}
	return nil
}

// found is a message that is there.
type found struct {
	count   int
	flagged bool
	intact  bool
}

// look reads everything that the accounts of a store hold.
func (l *ledger) look(w *world) (map[string]*found, error) {
	all := map[string]*found{}
	for i := range loadAccounts {
		a, err := w.account(loadAccount(i))
		if err != nil {
			return nil, err
		}
		v, err := a.Snapshot()
		if err != nil {
			return nil, err
		}
		box, err := v.Mailbox(mail.Inbox)
		if err != nil {
			return nil, err
		}
		list, err := v.Messages(w.ctx, box.ID)
		if err != nil {
			return nil, err
		}
		for _, m := range list.Range(0, list.Len()) {
			if err := l.lookAt(w, loadAccount(i), m, all); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (l *ledger) lookAt(w *world, account string, m *store.Message, all map[string]*found) error {
	octets, err := w.s.ReadBody(w.ctx, m, 0, m.Size)
	if err != nil {
		return fmt.Errorf("%s, UID %d: %w", account, m.UID, err)
	}
	_, rest, _ := strings.Cut(string(octets), "Subject: ")
	tok, _, _ := strings.Cut(rest, "\r\n")
	f := all[tok]
	if f == nil {
		f = &found{}
		all[tok] = f
	}
	f.count++
	f.flagged = m.Flags.Has(mail.Flagged)
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byTok[tok]; e != nil {
		// Deliveries get trace fields in front.
		f.intact = e.account == account && strings.HasSuffix(string(octets), text(tok, e.size))
	}
	return nil
}

// judge compares what is there with what was acknowledged up to a time; later
// it was cut off.
func (l *ledger) judge(all map[string]*found, at int) (violations []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	report := func(tok, what string) { violations = append(violations, tok+": "+what) }
	done := func(s span) bool { return s.acked != 0 && s.acked <= at }
	begun := func(s span) bool { return s.begun != 0 && s.begun <= at }
	for tok, e := range l.byTok {
		f := all[tok]
		switch {
		case f == nil && done(e.arrive) && !begun(e.leave):
			report(tok, "acknowledged and lost")
		case f == nil:
		case !begun(e.arrive):
			report(tok, "is there before it was sent")
		case f.count > 1:
			report(tok, "is there more than once")
		case !f.intact:
			report(tok, "was altered")
		case done(e.leave):
			report(tok, "was expunged and is there again")
		case done(e.flag) && !f.flagged:
			report(tok, "lost its flag")
		}
	}
	for tok := range all {
		if l.byTok[tok] == nil {
			report(tok, "was never sent")
		}
	}
	return violations
}
