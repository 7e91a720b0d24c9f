package local

// A committer who is alone makes the commit durable himself while flush waits, which
// saves two switches of goroutines, and the runtime from waking threads for them.
// What belongs to flush belongs to him from leadsLocked to the end of lead.

// leadsLocked reports whether a committer is alone: flush waits, its look at zerosDue
// is not to be repeated before somebody wakes it, and the last sync was not for several.
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
