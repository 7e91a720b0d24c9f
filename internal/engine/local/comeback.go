package local

import "time"

// comeback measures how long committers take from their answers to their next
// commits. Clients that wait for their answers come in generations, and what they
// and their sessions compute in between can be done while other commits are synced,
// or before one sync for all.
type comeback struct {
	due   int           // commits until as many came as were answered last
	since time.Time     // of these answers
	takes time.Duration // a moving average
}

func (c *comeback) answered(n int, now time.Time) { c.due, c.since = n, now }

// came is told of each commit.
func (c *comeback) came(now func() time.Time) {
	if c.due--; c.due == 0 {
		c.takes = average(c.takes, now().Sub(c.since))
	}
}

// average puts a measured time into a moving average, which is at most syncTimeMax.
func average(old, measured time.Duration) time.Duration {
	return min((old*7+measured)/8, syncTimeMax)
}

// addWaiterLocked has flush make a commit durable, or its committer.
func (e *Engine) addWaiterLocked(w *waiter) {
	e.mu.comeback.came(e.opts.Now)
	leads := e.leadsLocked(w)
	if e.mu.waiters = append(e.mu.waiters, w); len(e.mu.waiters) >= e.mu.wanted && !leads {
		e.work.Signal()
	}
}

// expectedLocked returns how many commits to wait for before a sync. Those that were
// just answered and those that wait already are all that there are. Where a sync
// takes longer than to come back, one for all of them is best. Where it is
// faster, two halves take turns: while one is synced the other one works.
func (e *Engine) expectedLocked() int {
	all := e.lastGroup + len(e.mu.waiters)
	if e.mu.comeback.takes > e.syncTime {
		return (all + 1) / 2
	}
	return all
}
