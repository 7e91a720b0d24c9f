package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

// phase is what happens beside the load.
type phase struct {
	name   string
	rounds string // what is counted
	beside func(b *bench, stop <-chan struct{}) (rounds int, err error)
}

var phases = []phase{
	{name: "quiet"},
	{"many deliveries", "deliveries", (*bench).deliver},
	{"compaction, indexing", "times compaction of the store and indexing of an account", (*bench).rewrite},
	{"backup", "backups", (*bench).backup},
}

// result is how long operations took in a phase.
type result struct {
	phase, beside string
	rounds        int
	times         [][]time.Duration // by kind, sorted
}

func (r *result) operations() (n int) {
	for _, t := range r.times {
		n += len(t)
	}
	return n
}

// measure runs the load with the phase's work beside it.
func (b *bench) measure(p phase) (_ *result, err error) {
	teams := make([][]*worker, len(kinds))
	defer func() {
		for _, team := range teams {
			for _, w := range team {
				w.close()
			}
		}
	}()
	for i := range kinds {
		for n := range workers {
			w, err := newWorker(b.srv, account((i*workers+n)%loaded))
			if err != nil {
				return nil, err
			}
			teams[i] = append(teams[i], w)
		}
	}
	r := &result{phase: p.name, beside: p.rounds}
	stop := make(chan struct{})
	var besides, loads sync.WaitGroup
	var besideErr error
	if p.beside != nil {
		besides.Go(func() { r.rounds, besideErr = p.beside(b, stop) })
	}
	every := time.Duration(float64(len(kinds)) / b.rate * float64(time.Second))
	begin := time.Now()
	all := make([]*load, len(kinds))
	for i, k := range kinds {
		first := begin.Add(every * time.Duration(i) / time.Duration(len(kinds)))
		all[i] = &load{kind: k, first: first, every: every, total: int(b.duration / every)}
		loads.Go(func() { all[i].run(teams[i]) })
	}
	loads.Wait()
	close(stop)
	besides.Wait()
	err = besideErr
	for _, l := range all {
		err = errors.Join(err, l.err)
		r.times = append(r.times, l.times)
	}
	return r, err
}

func stopped(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

// deliver hands over messages over one connection for each scratch account, at
// the rate that was asked for as long as the server takes them.
func (b *bench) deliver(stop <-chan struct{}) (rounds int, err error) {
	every := time.Duration(scratch / b.deliveries * float64(time.Second))
	counts, failures := make([]int, scratch), make([]error, scratch)
	var wg sync.WaitGroup
	for i := range scratch {
		wg.Go(func() { counts[i], failures[i] = deliverTo(b.srv, account(loaded+i), every, stop) })
	}
	wg.Wait()
	for _, n := range counts {
		rounds += n
	}
	return rounds, errors.Join(failures...)
}

func deliverTo(srv *harness.Server, to string, every time.Duration, stop <-chan struct{}) (n int, err error) {
	c, err := harness.DialLMTP(srv.LMTP)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return n, nil
		case <-tick.C:
		}
		if err := c.DeliverOne(to, string(fill.Text(n, octets))); err != nil {
			return n, err
		}
		n++
	}
}

// dropped is the share of a scratch account's messages that goes in each round:
// one in so many.
const dropped = 10

// rewrite expunges and erases messages that are spread over the whole log, so
// that all of it is rewritten, searches a text, which has the account indexed
// again, and delivers as many messages as it dropped.
func (b *bench) rewrite(stop <-chan struct{}) (rounds int, err error) {
	for ; !stopped(stop); rounds++ {
		if err := b.rewriteOnce(account(loaded + rounds%scratch)); err != nil {
			return rounds, err
		}
	}
	return rounds, nil
}

func (b *bench) rewriteOnce(name string) error {
	w, err := newWorker(b.srv, name)
	if err != nil {
		return err
	}
	defer w.close()
	status, err := w.imap.Do("STATUS INBOX (MESSAGES)")
	if err != nil {
		return err
	}
	messages, _ := harness.Number(status, "(MESSAGES ")
	if _, err := w.imap.Do("STORE " + everyNth(int(messages), dropped) + ` +FLAGS.SILENT (\Deleted)`); err != nil {
		return err
	}
	if _, err := w.imap.Do("EXPUNGE"); err != nil {
		return err
	}
	if _, err := b.srv.Command("erase", name, "--yes"); err != nil {
		return err
	}
	if _, err := w.imap.Do(`SEARCH BODY "word is w7w"`); err != nil {
		return err
	}
	for n := range int(messages) / dropped {
		if err := w.lmtp.DeliverOne(name, string(fill.Text(n, octets))); err != nil {
			return err
		}
	}
	return nil
}

// everyNth is the set of one in n of the messages, at most a thousand of them.
func everyNth(messages, n int) string {
	var set []string
	for i := 1; i <= messages && len(set) < 1000; i += n {
		set = append(set, fmt.Sprint(i))
	}
	return strings.Join(set, ",")
}

// backup makes whole backups, one after the other.
func (b *bench) backup(stop <-chan struct{}) (rounds int, err error) {
	dir := filepath.Join(b.dir, "backup")
	for ; !stopped(stop); rounds++ {
		if _, err := b.srv.Command("backup", "create", dir); err != nil {
			return rounds, err
		}
		if err := os.RemoveAll(dir); err != nil {
			return rounds, err
		}
	}
	return rounds, nil
}
