package local

import (
	"fmt"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/cockroachdb/pebble/v2"
)

// When a table of the index cannot be written, its library tries again at once, for
// ever. Nothing is lost by that: the log has what the table would. But the attempts
// take a processor, who waits for the end of a flush waits for ever, and so do commits
// once there is no more room in memory. So there is a pause before each attempt but the
// first, nobody waits for a flush that fails, and unless it is for want of room, which
// others may make, the store stops as it does when the log cannot be written.

const (
	retryEvery  = time.Second
	giveUpAfter = 10 * time.Second
)

// tableFailure is why tables cannot be written, and since when.
type tableFailure struct {
	err   error
	since time.Time
}

// failed hears of a table that could not be written. Damage in one that was to be
// read is none of that, and is not read again soon.
func (p *pace) failed(err error) {
	if pebble.IsCorruptionError(err) {
		return
	}
	now := tableFailure{err, p.now()}
	if before := p.failure.Load(); before != nil {
		now.since = before.since
	}
	p.failure.Store(&now)
	p.wake()
}

// awaitRetry makes the pause after a table could not be written.
func (p *pace) awaitRetry() {
	f := p.failure.Load()
	if f == nil {
		return
	}
	index := p.index.Load()
	full := index != nil && p.isFull(index.Metrics())
	if writeKind(f.err) != errs.NoSpace && (full || p.now().Sub(f.since) >= giveUpAfter) {
		p.giveUp(f.err)
	}
	timer := time.NewTimer(p.retryEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.stop:
	}
}

// flushIndex makes durable what the index has in memory. Errors: Temporary and
// NoSpace, when its tables cannot be written.
func (e *Engine) flushIndex() error {
	const op = "local.flushIndex"
	ended := *e.pace.flushed.Load()
	flushed, err := e.index.AsyncFlush()
	if err != nil {
		return indexError(op, err)
	}
	for {
		select {
		case <-flushed:
			return nil
		case <-ended:
		}
		ended = *e.pace.flushed.Load() // before the look at the failure: none is missed
		if f := e.pace.failure.Load(); f != nil {
			return errs.As(op, writeKind(f.err), "the index cannot be written", f.err)
		}
	}
}

// failIndex stops all writing since the index cannot be written.
func (e *Engine) failIndex(err error) {
	e.stopWriting(fmt.Errorf("writing the index in %s: %w", e.opts.IndexDir, err))
}
