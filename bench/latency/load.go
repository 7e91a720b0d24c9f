package main

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

// workers is how many operations of one kind may run at a time.
const workers = 4

// kind is one operation of the load; each comes equally often.
type kind struct {
	name string
	run  func(w *worker, n int) error
}

func command(format func(w *worker, n int) string) func(*worker, int) error {
	return func(w *worker, n int) error {
		_, err := w.imap.Do(format(w, n))
		return err
	}
}

var kinds = []kind{
	{"LOGIN", func(w *worker, _ int) error {
		c, err := harness.DialIMAP(w.srv.IMAP)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Login(w.account, password)
	}},
	{"SELECT", command(func(*worker, int) string { return "SELECT INBOX" })},
	{"FETCH flags", command(func(*worker, int) string { return "FETCH 1:* (UID FLAGS)" })},
	{"FETCH body", command(func(w *worker, n int) string { return fmt.Sprintf("FETCH %d BODY.PEEK[]", 1+n*7%w.messages) })},
	{"STORE", command(func(w *worker, n int) string {
		return fmt.Sprintf(`STORE %d %cFLAGS (\Flagged)`, 1+n*7%w.messages, "+-"[n/w.messages%2])
	})},
	{"APPEND", func(w *worker, n int) error {
		_, err := w.imap.Append("Sent", "", string(fill.Text(n, octets)))
		return err
	}},
	{"SEARCH", command(func(_ *worker, n int) string {
		return fmt.Sprintf(`SEARCH UNFLAGGED HEADER SUBJECT "subject %d"`, n%100)
	})},
	{"LMTP delivery", func(w *worker, n int) error { return w.lmtp.DeliverOne(w.account, string(fill.Text(n, octets))) }},
}

// worker does operations of one kind, one at a time, for one account.
type worker struct {
	srv      *harness.Server
	account  string
	messages int // in INBOX, at least
	imap     *harness.IMAP
	lmtp     *harness.LMTP
}

func newWorker(srv *harness.Server, account string) (w *worker, err error) {
	w = &worker{srv: srv, account: account}
	if w.imap, err = harness.DialIMAP(srv.IMAP); err != nil {
		return nil, err
	}
	if w.lmtp, err = harness.DialLMTP(srv.LMTP); err != nil {
		w.imap.Close()
		return nil, err
	}
	if err = w.imap.Login(account, password); err == nil {
		var told []string
		told, err = w.imap.Do("SELECT INBOX")
		if n, ok := harness.Number(told, "[UIDNEXT "); ok { // nothing was expunged
			w.messages = int(n) - 1
		}
	}
	if err == nil && w.messages == 0 {
		err = fmt.Errorf("%s has no messages", account)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *worker) close() {
	w.imap.Close()
	w.lmtp.Close()
}

// load is one kind's operations in one phase.
type load struct {
	kind  kind
	first time.Time // when the first is due
	every time.Duration
	total int

	mu    sync.Mutex
	times []time.Duration
	err   error
}

// run does all operations, each when it is due or as soon as a worker is free,
// and sorts the times.
func (l *load) run(team []*worker) {
	due := make(chan int, l.total) // has room for all, so that nobody waits to say what is due
	var wg sync.WaitGroup
	for _, w := range team {
		wg.Go(func() {
			for n := range due {
				err := l.kind.run(w, n)
				l.done(time.Since(l.at(n)), err)
			}
		})
	}
	for n := range l.total {
		time.Sleep(time.Until(l.at(n))) // the load is to be steady
		if l.failed() {
			break
		}
		due <- n
	}
	close(due)
	wg.Wait()
	slices.Sort(l.times)
}

func (l *load) at(n int) time.Time { return l.first.Add(time.Duration(n) * l.every) }

func (l *load) done(took time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, took)
	if l.err == nil && err != nil {
		l.err = fmt.Errorf("%s: %w", l.kind.name, err)
	}
}

func (l *load) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}
