package local

import (
	"errors"
	"path"

	"github.com/angarium/angarium/internal/errs"
)

// reserveFile takes Options.Reserve octets of the disk. When others fill the
// disk up, it is given back, so that commits without mail, like EXPUNGE, still
// find room; new mail is refused before.
const reserveFile = "RESERVE"

// keepReserve makes the reserve, if there is plenty of room for it. It is called
// while opening and by flush alone.
func (e *Engine) keepReserve() {
	if e.opts.ReadOnly || e.noReserve || e.reserved.Load() {
		return
	}
	name := path.Join(e.dir, reserveFile)
	if f, err := e.fs.Open(name); err == nil {
		f.Close()
		e.reserved.Store(true)
		return
	}
	if free, err := e.fs.Free(e.dir); err != nil || free < 3*e.opts.Reserve {
		return
	}
	// Where space cannot be allocated, only the check before new mail keeps
	// room; then it is not tried again.
	err := e.fs.Allocate(name, e.opts.Reserve)
	e.noReserve = err != nil && writeKind(err) != errs.NoSpace
	e.reserved.Store(err == nil)
}

// spendReserve gives the reserve back, and reports whether there was one.
func (e *Engine) spendReserve() bool {
	return e.reserved.CompareAndSwap(true, false) && e.fs.Remove(path.Join(e.dir, reserveFile)) == nil
}

// checkReserve refuses new mail when the disk is nearly full.
func (e *Engine) checkReserve(n int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.freeSpent += n
	if e.mu.free == 0 || e.mu.freeSpent > 4<<20 || e.mu.free-e.mu.freeSpent < 2*e.opts.Reserve {
		free, err := e.fs.Free(e.dir)
		if err != nil {
			return errs.As("local.Free", errs.Temporary, "", err)
		}
		e.mu.free, e.mu.freeSpent = free, n
	}
	if e.mu.free-e.mu.freeSpent < e.opts.Reserve {
		return errs.New("local.Seal", errs.NoSpace, "the disk is full")
	}
	return nil
}

// errNoRoom says that a write to the log found the disk full. Unlike after a
// failed sync, what is on the disk is known: nothing of this write is needed.
var errNoRoom = errors.New("the disk is full")

func noRoom(err error) error {
	if err != nil && writeKind(err) == errs.NoSpace {
		return errors.Join(errNoRoom, err)
	}
	return err
}

// write writes to the active segment, with the reserve's room if need be.
func (e *Engine) write(b []byte, off int64) error {
	_, err := e.active.WriteAt(b, off)
	if err != nil && writeKind(err) == errs.NoSpace && e.spendReserve() {
		_, err = e.active.WriteAt(b, off)
	}
	return noRoom(err)
}

// rewind takes back what found no room: the chunks of a group that are not done
// and all that was buffered behind them, whose commits fail with NoSpace. The
// log goes on in a new segment, so that no BlobID is given twice. It returns
// the part of the group that is durable, nil for none.
func (e *Engine) rewind(g *group, done int) (*group, error) {
	if err := e.dropTail(g.chunks[done]); err != nil {
		return g, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range append(g.chunks[done:len(g.chunks):len(g.chunks)], e.mu.chunks...) {
		if c.header != nil {
			delete(e.mu.segments, c.segment)
		} else if s := e.mu.segments[c.segment]; s != nil {
			s.size = e.synced.offset()
		}
	}
	for id, s := range e.mu.sealed {
		if s.record != nil && position(id) >= e.synced {
			s.record, s.lost = nil, true
		}
	}
	durable := &group{chunks: g.chunks[:done], end: e.synced}
	full := errs.New("local.flush", errs.NoSpace, "the disk is full")
	for _, w := range append(g.waiters, e.mu.waiters...) {
		if w.at < e.synced {
			durable.waiters = append(durable.waiters, w)
			continue
		}
		if w.space != 0 {
			e.mu.versions[w.space] = min(e.mu.versions[w.space], w.version-1)
		}
		w.done <- full
	}
	e.mu.chunks, e.mu.waiters, e.mu.buffered = nil, nil, 0
	e.rotateLocked(e.nextSegmentLocked())
	e.room.Broadcast()
	if done == 0 {
		return nil, nil
	}
	return durable, nil
}

// dropTail takes away what was written of a chunk.
func (e *Engine) dropTail(c chunk) error {
	if e.active == nil {
		return nil // not even its file could be made
	}
	defer e.setActive(nil)
	if c.header != nil {
		e.files.drop(c.segment)
		return e.fs.Remove(e.segmentName(c.segment))
	}
	if err := e.active.Truncate(e.synced.offset()); err != nil {
		return err
	}
	return e.active.Sync()
}
