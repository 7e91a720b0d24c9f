package main

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

// workload is what connections repeat.
type workload struct {
	name string
	run  func(w *worker, n int) error
}

var workloads = []workload{
	{"deliver", (*worker).deliver},
	{"APPEND", (*worker).add},
	{"STORE", (*worker).store},
	{"mixed", func(w *worker, n int) error {
		return []func(*worker, int) error{(*worker).deliver, (*worker).add, (*worker).store}[n%3](w, n)
	}},
}

// worker changes one account over its connections.
type worker struct {
	account string
	imap    *harness.IMAP
	lmtp    *harness.LMTP
}

func (w *worker) deliver(n int) error {
	return w.lmtp.DeliverOne(w.account, string(fill.Text(n, octets)))
}

func (w *worker) add(n int) error {
	_, err := w.imap.Append("Sent", "", string(fill.Text(n, octets)))
	return err
}

// store always changes something: connect has taken all flags away.
func (w *worker) store(n int) error {
	_, err := w.imap.Do(fmt.Sprintf("STORE %d FLAGS.SILENT (n%d)", 1+n%messages, n/messages%2))
	return err
}

// connect makes some workers, each of an account of its own.
func (b *bench) connect(n int) (workers []*worker, err error) {
	defer func() {
		if err != nil {
			closeAll(workers)
		}
	}()
	for i := range n {
		w := &worker{account: account(i)}
		if w.imap, err = harness.DialIMAP(b.srv.IMAP); err != nil {
			return workers, err
		}
		if w.lmtp, err = harness.DialLMTP(b.srv.LMTP); err != nil {
			w.imap.Close()
			return workers, err
		}
		workers = append(workers, w)
		if err = w.imap.Login(w.account, password); err != nil {
			return workers, err
		}
		if _, err = w.imap.Do("SELECT INBOX"); err != nil {
			return workers, err
		}
		if _, err = w.imap.Do("STORE 1:* FLAGS.SILENT ()"); err != nil {
			return workers, err
		}
	}
	return workers, nil
}

func closeAll(workers []*worker) {
	for _, w := range workers {
		w.imap.Close()
		w.lmtp.Close()
	}
}

// together has all workers do operations for a time, counts them, and closes
// the connections.
func together(workers []*worker, load workload, d time.Duration) (operations int, err error) {
	counts, failures := make([]int, len(workers)), make([]error, len(workers))
	end := time.Now().Add(d)
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() {
			for failures[i] == nil && time.Now().Before(end) {
				failures[i] = load.run(w, counts[i])
				counts[i]++
			}
		})
	}
	wg.Wait()
	closeAll(workers)
	for _, n := range counts {
		operations += n
	}
	return operations, errors.Join(failures...)
}
