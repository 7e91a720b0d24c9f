package fair

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
)

// Work is what a server does for one connection. It is brief until a turn is
// taken for it. The methods of a nil one do nothing, and everybody gets a turn at
// once.
type Work struct {
	q     *Queue
	state atomic.Uint32
	debt  atomic.Pointer[debt]
}

// debt is what was worked in a turn since it last gave way. Without it, who has many
// short turns would never do so. It gets less by a third of the time that passes: one
// turn alone gives way for three times as long as it worked.
type debt struct {
	worked  time.Duration
	ended   time.Time
	pressed uint32 // Queue.pressed when it last gave way
}

// owe is called when a turn ends.
func (w *Work) owe(t *Turn) {
	if w != nil {
		now := t.q.now()
		w.debt.Store(&debt{now.Sub(t.since), now, t.pressed})
	}
}

// owed returns the debt, and forgets it.
func (w *Work) owed(now time.Time) (worked time.Duration, pressed uint32) {
	if w == nil {
		return 0, 0
	}
	d := w.debt.Swap(nil)
	if d == nil {
		return 0, 0
	}
	return d.worked - now.Sub(d.ended)/3, d.pressed
}

// Bits of Work.state.
const (
	working = 1 << iota
	long
)

// NewWork returns the work for a connection, which has nothing to do yet.
func (q *Queue) NewWork() *Work { return &Work{q: q} }

// Start says that there is something to do.
func (w *Work) Start() { w.change(working, 0) }

// Rest says that the server waits for its peer.
func (w *Work) Rest() { w.change(0, working) }

// Done says that the command is done: what follows is brief until it takes a
// turn.
func (w *Work) Done() { w.change(0, long) }

// Take waits for a turn, which End gives back. Its error is that of ctx. Several
// goroutines may take turns for the same work.
func (w *Work) Take(ctx context.Context, account uint64) (*Turn, error) {
	if w == nil {
		return nil, ctx.Err()
	}
	w.change(long, 0)
	t := &Turn{q: w.q, work: w, account: account}
	return t, t.take(ctx)
}

// Loose returns a turn at once, for work in small pieces between which the client or
// the disk is waited for. It gives way to short commands, but not to other turns.
func (w *Work) Loose() *Turn {
	if w == nil {
		return nil
	}
	w.change(long, 0)
	return w.q.atOnce(w, &w.q.loose)
}

// Slots returns how many turns there are at once.
func (w *Work) Slots() int {
	if w == nil {
		return runtime.GOMAXPROCS(0)
	}
	return w.q.Slots()
}

// change sets and clears bits.
func (w *Work) change(set, clear uint32) {
	if w == nil {
		return
	}
	old := w.state.Load()
	for !w.state.CompareAndSwap(old, old&^clear|set) {
		old = w.state.Load()
	}
	was, is := old == working, old&^clear|set == working
	switch {
	case is && !was:
		if n := w.q.brief.Add(1); w.q.turns() > 0 && w.q.crowded() {
			w.q.most.Store(n)
			w.q.pressed.Add(1)
		}
	case was && !is:
		w.q.brief.Add(-1)
	}
}
