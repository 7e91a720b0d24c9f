// Package fair shares the processors between commands that compute for long.
// Each works in slices of time, few work at once, and those that wait get
// their turn account by account: who asks for much waits for himself, and a
// processor stays free for commands that are short. Where short ones need all
// that there are, the long ones give way: together they still get a quarter of what
// they may have. What works in the background gives way, too.
//
// It does not do to give way just while short commands are at work: their
// clients may need the same processors, and the operating system lets whoever has
// one keep it for up to 4 ms while others wait.
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
	// two short commands take, longer than it takes to stop and go on.
	stride = time.Millisecond
	// Who worked for longer gives way as if it had been for workedMax: it does not do
	// so for a long time at once, nor for less than wayMin, which is not worth it.
	workedMax = 2 * time.Millisecond
	wayMin    = 500 * time.Microsecond
	// Sending to a client takes a processor for up to so long.
	asideWork = 200 * time.Microsecond
)

// Queue hands out turns: to connections by their Work, and in the background. That
// of a nil one is nil.
type Queue struct {
	slots int
	now   func() time.Time

	held    atomic.Int32  // turns
	loose   atomic.Int32  // loose turns
	behind  atomic.Int32  // turns in the background
	brief   atomic.Int32  // connections at work that took no turn
	pressed atomic.Uint32 // how often one began when there were as many as the processors
	most    atomic.Int32  // brief when that was last so

	mu struct {
		sync.Mutex
		order   []uint64                   // accounts with somebody waiting, the next first
		waiting map[uint64][]chan struct{} // closed when it is the waiter's turn
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
	work    *Work // whose debts it pays and leaves; nil: nobody's, in the background
	account uint64
	held    bool
	free    *atomic.Int32 // where a loose one, or one in the background, is counted
	until   time.Time
	since   time.Time // it works, without having given way
	pressed uint32    // Queue.pressed when it last began to give way
	waited  time.Duration
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
	t.held = true
	t.until = t.begin().Add(Slice)
	watchNetwork()
	return nil
}

// Background returns a turn at once, for work that nobody waits for. It gives way to
// short commands, and takes nothing of what the turns of connections get.
func (q *Queue) Background() *Turn {
	if q == nil {
		return nil
	}
	return q.atOnce(nil, &q.behind)
}

// atOnce returns a turn that was not waited for.
func (q *Queue) atOnce(w *Work, in *atomic.Int32) *Turn {
	in.Add(1)
	t := &Turn{q: q, work: w, free: in}
	t.begin()
	return t
}

// begin begins to work, where the last turn for the same work ended. It returns the
// time.
func (t *Turn) begin() time.Time {
	now := t.q.now()
	t.since, t.pressed = now, t.q.pressed.Load()
	if worked, pressed := t.work.owed(now); worked > 0 {
		t.since, t.pressed = now.Add(-worked), pressed
	}
	return now
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
	if worked := now.Sub(t.since); worked >= stride {
		now = t.mayGiveWay(ctx, now, worked)
	}
	if t.free != nil || now.Before(t.until) {
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

// crowded reports whether there are short commands, and they and those with a turn
// are as many as the processors.
func (q *Queue) crowded() bool {
	brief := q.brief.Load()
	return brief > 0 && int(brief+q.turns()) > q.slots
}

func (q *Queue) turns() int32 { return q.held.Load() + q.loose.Load() + q.behind.Load() }

// mayGiveWay gives way if short commands were, since it did last, as many as the
// processors that turns leave. It returns the time.
func (t *Turn) mayGiveWay(ctx context.Context, now time.Time, worked time.Duration) time.Time {
	q := t.q
	if !q.crowded() && q.pressed.Load() == t.pressed {
		t.since = now // nothing is owed
		return now
	}
	way := t.way(worked)
	if way < wayMin {
		return now
	}
	t.pressed = q.pressed.Load() // those that come meanwhile may not be the last
	timer := time.NewTimer(way)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	watchNetwork()
	t.since = q.now()
	t.waited += t.since.Sub(now)
	return t.since
}

// way is for how long to give way after so much work: such that turns and short
// commands together need no more than the processors, but all turns together get a
// quarter of each processor that turns may have. Those of connections do not share
// that with the background. There is one turn at least, its own.
func (t *Turn) way(worked time.Duration) time.Duration {
	q := t.q
	turns, brief := int(q.held.Load()+q.loose.Load()), int(max(q.brief.Load(), q.most.Load()))
	if t.free == &q.behind {
		turns += int(q.behind.Load())
	}
	quarters := min(4*turns, max(4*(q.slots-brief), min(turns, q.slots))) // of processors that turns get
	return min(worked, workedMax) * time.Duration(4*turns-quarters) / time.Duration(quarters)
}

// Waited returns how long the turn was waited for, all in all.
func (t *Turn) Waited() time.Duration {
	if t == nil {
		return 0
	}
	return t.waited
}

// Aside lets fn wait for a client while a loose turn is not at work.
func (t *Turn) Aside(fn func()) {
	if t == nil {
		fn()
		return
	}
	begun := t.q.now()
	t.free.Add(-1)
	fn()
	t.free.Add(1)
	waited := t.q.now().Sub(begun)
	t.since = t.since.Add(waited - min(waited, asideWork))
}

// End gives the turn back. It may be called after an error of Take or Pause.
func (t *Turn) End() {
	if t == nil {
		return
	}
	if t.free != nil || t.held {
		t.work.owe(t)
	}
	if t.free != nil {
		t.free.Add(-1)
		t.free = nil
	}
	if t.held {
		t.held = false
		t.q.leave()
	}
}
