package local

import (
	"time"

	"github.com/angarium/angarium/internal/errs"
)

// A sync of octets that the file had before needs no change of the file system's
// own records, and so half the flushes of the disk. So the file is filled with
// zeros ahead of the log's end: in small steps while nothing else is to be done,
// as much as was written before, so that a burst as large finds them there, and in
// one larger step when a small group finds none left. When nothing has come for a
// long time, the disk has all but one such step back, and what was written is
// counted anew: else a quiet store would fill and empty its file over and over.
//
// To write so much more takes longer than the flush when a group has fillBelow
// octets itself: with 8 clients that append without a break, the disk wrote 24 KB
// for a message instead of 38, and they were 7 % faster, when it became 64 KiB
// instead of 256.
const (
	fillStep   = 1 << 20
	fillBelow  = fillStep / 16
	quietStep  = fillStep / 4 // while quiet: a commit that comes just then waits for it
	quietAfter = 20 * time.Millisecond
	idleAfter  = time.Minute
)

var zeros [fillStep]byte

// fill writes n more zeros behind the log's end, at most to the segment's.
func (e *Engine) fill(n int64) error {
	e.filled = max(e.filled, e.activeEnd)
	n = min(n, e.opts.SegmentOctets-e.filled)
	if n <= 0 {
		return nil
	}
	_, err := e.active.WriteAt(zeros[:n], e.filled)
	e.filled += n // some may be there also after an error
	return err
}

// fillIfNone writes zeros when there are none left. Without room it goes without.
func (e *Engine) fillIfNone() error {
	if e.activeEnd < e.filled {
		return nil
	}
	err := e.fill(e.opts.fillStep)
	if err != nil && writeKind(err) == errs.NoSpace {
		return nil
	}
	return err
}

// zerosDue returns how long nothing must have come before moveZeros is called,
// negative for never.
func (e *Engine) zerosDue() time.Duration {
	switch lacks := e.lacksZeros(); {
	case lacks && e.quiet:
		return 0
	case lacks:
		return e.opts.quietAfter
	case e.hasSpareZeros():
		return e.opts.idleAfter
	}
	return -1
}

// quietness finds out when nothing has come for as long as zerosDue says.
type quietness struct {
	e      *Engine
	timer  *time.Timer // nil: none runs
	lasted *bool       // it has come to its end
}

// lastedLocked begins anew when that changed, and when a committer led meanwhile.
func (q *quietness) lastedLocked() bool {
	due := q.e.zerosDue()
	if q.timer != nil && (due != q.e.mu.due || *q.lasted && q.e.mu.led) {
		q.stop()
	}
	q.e.mu.due = due
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

// moveZeros lets there be more zeros, or fewer.
func (e *Engine) moveZeros() {
	if e.lacksZeros() {
		e.fillAhead()
	} else {
		e.giveBack()
	}
}

// lacksZeros reports whether a step of fillAhead is wanted and has its place in
// the segment.
func (e *Engine) lacksZeros() bool {
	end := max(e.filled, e.activeEnd)
	return e.active != nil && end-e.activeEnd+e.opts.quietStep <= e.zerosWanted && end < e.opts.SegmentOctets && e.stopped() == nil
}

// fillAhead writes some of the zeros that are wanted, or wants none any more where
// there is not plenty of room for them.
func (e *Engine) fillAhead() {
	if free, err := e.fs.Free(e.dir); err != nil || free < 3*e.opts.Reserve {
		e.zerosWanted = 0
		return
	}
	err := e.fill(e.opts.quietStep)
	if err != nil && writeKind(err) == errs.NoSpace {
		e.zerosWanted = 0
		return
	}
	if err == nil {
		err = e.active.Sync()
	}
	if err != nil {
		e.fail(err)
	}
}

// hasSpareZeros reports whether there are more zeros than the next small groups need.
func (e *Engine) hasSpareZeros() bool {
	return e.active != nil && e.filled > e.activeEnd+e.opts.fillStep && e.stopped() == nil
}

// giveBack takes the zeros away that a quiet store does without.
func (e *Engine) giveBack() {
	e.zerosWanted = 0
	if err := e.keepZeros(e.opts.fillStep); err != nil {
		e.fail(err)
	}
}

// endSegment takes the zeros away, before there is a newer segment: in any but
// the newest they would be damage.
func (e *Engine) endSegment() error { return e.keepZeros(0) }

// keepZeros takes away all but n of the zeros.
func (e *Engine) keepZeros(n int64) error {
	if e.active == nil || e.filled <= e.activeEnd+n {
		return nil
	}
	if err := e.active.Truncate(e.activeEnd + n); err != nil {
		return err
	}
	e.filled = e.activeEnd + n
	return e.active.Sync()
}
