// Package fair shares the processors between commands that compute for long.
// Each works in slices of time, few work at once, and those that wait get
// their turn account by account: who asks for much waits for himself, and a
// processor stays free for commands that are short. As long as short ones need
// all that there are, the long ones give way: they still get a quarter of the
// time.
//
// Who holds a turn does not wait for a client, nor for a lock under which
// somebody waits for a turn.
package fair

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Slice is how long a turn lasts while others wait.
	Slice = 10 * time.Millisecond
	// stride is how long is worked at least before giving way: shorter than what
	// a short command takes, longer than it takes to stop and go on.
	stride = 500 * time.Microsecond
	// Who worked for some time gives way for at most wayShare times as long,
	// and at most wayMax.
	wayShare = 3
	wayMax   = 6 * time.Millisecond
)

// Queue hands out turns.
type Queue struct {
	slots int
	now   func() time.Time

	held   atomic.Int32 // turns
	brief  atomic.Int32 // connections at work that took no turn
	giving atomic.Int32 // turns that give way

	mu struct {
		sync.Mutex
		order   []uint64                   // accounts with somebody waiting, the next first
		waiting map[uint64][]chan struct{} // closed when it is the waiter's turn
		calm    chan struct{}              // nil, or closed when there is no need to give way
	}
}

// New returns a queue that leaves one processor free, if there are two.
func New(now func() time.Time) *Queue { return newQueue(max(1, runtime.GOMAXPROCS(0)-1), now) }

func newQueue(slots int, now func() time.Time) *Queue {
	q := &Queue{slots: slots, now: now}
	q.mu.waiting = map[uint64][]chan struct{}{}
	return q
}

// Slots returns how many may work at once.
func (q *Queue) Slots() int { return q.slots }

// Turn is the right to compute. It belongs to one goroutine. A nil one never
// ends.
type Turn struct {
	q       *Queue
	account uint64
	held    bool
	until   time.Time
	since   time.Time // it works, without having given way
	waited  time.Duration
}

// Take waits for a turn, which End gives back. Its error is that of ctx.
func (q *Queue) Take(ctx context.Context, account uint64) (*Turn, error) {
	t := &Turn{q: q, account: account}
	return t, t.take(ctx)
}

func (t *Turn) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if mine := t.q.enter(t.account); mine != nil {
		begun := t.q.now()
		select {
		case <-mine:
		case <-ctx.Done():
			if t.q.withdraw(t.account, mine) {
				t.q.leave() // it was given at that very moment
			}
			return ctx.Err()
		}
		t.waited += t.q.now().Sub(begun)
	}
	t.held, t.since = true, t.q.now()
	t.until = t.since.Add(Slice)
	watchNetwork()
	return nil
}

// watchNetwork makes a processor that has nothing to do wait for the network.
// The one that did so until now may just compute for the client that woke it,
// and the runtime puts nobody in its place: what other clients send would be
// seen only when the runtime's monitor looks, after 10 ms. A new goroutine wakes
// a processor, which waits for the network when it has run it.
func watchNetwork() { go func() {}() }

// enter takes a slot, or returns what is closed when there is one.
func (q *Queue) enter(account uint64) chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if int(q.held.Load()) < q.slots {
		q.held.Add(1)
		return nil
	}
	if len(q.mu.waiting[account]) == 0 {
		q.mu.order = append(q.mu.order, account)
	}
	mine := make(chan struct{})
	q.mu.waiting[account] = append(q.mu.waiting[account], mine)
	return mine
}

// withdraw stops waiting, and reports whether it was too late for that.
func (q *Queue) withdraw(account uint64, mine chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.mu.waiting[account]
	for i, c := range all {
		if c == mine {
			q.keepLocked(account, append(all[:i:i], all[i+1:]...))
			return false
		}
	}
	return true
}

// keepLocked replaces who waits for an account.
func (q *Queue) keepLocked(account uint64, left []chan struct{}) {
	if len(left) > 0 {
		q.mu.waiting[account] = left
		return
	}
	delete(q.mu.waiting, account)
	for i, a := range q.mu.order {
		if a == account {
			q.mu.order = append(q.mu.order[:i], q.mu.order[i+1:]...)
			return
		}
	}
}

// leave gives a slot to the account that waits for longest, which goes to the
// end of the row.
func (q *Queue) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.order) == 0 {
		q.held.Add(-1)
		return
	}
	account := q.mu.order[0]
	all := q.mu.waiting[account]
	close(all[0])
	q.mu.order = append(q.mu.order[1:], account)
	q.keepLocked(account, all[1:])
}

// Pause is called between small pieces of work. When the slice is over and
// somebody waits, it is his turn first. Its error is that of ctx, and the work
// ends then.
func (t *Turn) Pause(ctx context.Context) error {
	if t == nil {
		return ctx.Err()
	}
	now := t.q.now()
	if now.Sub(t.since) >= stride && t.q.crowded() {
		now = t.giveWay(ctx, now)
	}
	if now.Before(t.until) {
		return ctx.Err()
	}
	t.q.mu.Lock()
	alone := len(t.q.mu.order) == 0
	t.q.mu.Unlock()
	if alone {
		t.until = now.Add(Slice)
		return ctx.Err()
	}
	t.End()
	return t.take(ctx)
}

// crowded reports whether short commands and those with a turn are as many as
// the processors.
func (q *Queue) crowded() bool { return int(q.brief.Load()+q.held.Load()) > q.slots }

// giveWay waits until there is no need to, or its time is over, and returns the
// time.
func (t *Turn) giveWay(ctx context.Context, now time.Time) time.Time {
	q := t.q
	q.giving.Add(1)
	defer q.giving.Add(-1)
	if calm := q.calm(); q.crowded() { // still, now that it would be told
		timer := time.NewTimer(min(wayShare*now.Sub(t.since), wayMax))
		defer timer.Stop()
		select {
		case <-calm:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	watchNetwork()
	t.since = q.now()
	t.waited += t.since.Sub(now)
	return t.since
}

// calm returns what is closed when there is no need to give way.
func (q *Queue) calm() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.calm == nil {
		q.mu.calm = make(chan struct{})
	}
	return q.mu.calm
}

// calmed lets those go on that gave way.
func (q *Queue) calmed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.calm != nil {
		close(q.mu.calm)
		q.mu.calm = nil
	}
}

// Waited returns how long the turn was waited for, all in all.
func (t *Turn) Waited() time.Duration {
	if t == nil {
		return 0
	}
	return t.waited
}

// End gives the turn back. It may be called after an error of Take or Pause.
func (t *Turn) End() {
	if t != nil && t.held {
		t.held = false
		t.q.leave()
	}
}
