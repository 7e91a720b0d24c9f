package local

import "time"

// A committer who is alone makes the commit durable himself while flush waits, which
// saves two switches of goroutines, and the runtime from waking threads for them.
// What belongs to flush belongs to him from leadsLocked to the end of lead.

// leadsLocked reports whether a committer is alone: flush waits for a first commit, and
// the last sync was not for several.
func (e *Engine) leadsLocked(w *waiter) bool {
	w.leads = w.willing && e.mu.idle && !e.mu.leads && len(e.mu.waiters) == 0 && e.lastGroup <= 1
	e.mu.leads = e.mu.leads || w.leads
	return w.leads
}

// lead does what flush would, and has it go on when there is something to do.
func (e *Engine) lead() {
	e.mu.Lock()
	g := e.takeLocked()
	e.mu.Unlock()
	e.commit(g)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.leads, e.mu.led = false, true
	e.mu.expected = e.expectedLocked()
	// If flush was woken meanwhile, it has to look again.
	if !e.mu.idle || e.zerosDue() != e.mu.due {
		e.work.Signal()
	}
}

// quietness finds out when nothing has come for as long as zerosDue says.
type quietness struct {
	e      *Engine
	due    time.Duration // as long as that
	timer  *time.Timer   // nil: none runs
	lasted *bool         // it has come to its end
}

// lastedLocked begins anew when that changed, and when a committer led meanwhile.
func (q *quietness) lastedLocked() bool {
	due := q.e.zerosDue()
	if q.timer != nil && (due != q.due || *q.lasted && q.e.mu.led) {
		q.stop()
	}
	q.due, q.e.mu.due = due, due
	if q.timer == nil && due >= 0 {
		q.lasted, q.e.mu.led = new(bool), false
		q.timer = q.e.after(due, q.lasted)
	}
	return q.timer != nil && *q.lasted
}

func (q *quietness) stop() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}

// after sets over, under mu, and wakes flush.
func (e *Engine) after(d time.Duration, over *bool) *time.Timer {
	return time.AfterFunc(d, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		*over = true
		e.work.Broadcast()
	})
}
