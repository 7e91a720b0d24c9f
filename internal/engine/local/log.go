package local

import (
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"golang.org/x/sys/unix"
)

// chunk is octets of one segment that wait to be written.
type chunk struct {
	segment uint32
	start   int64
	buf     []byte
	header  []byte // of the segment, when it is to be made
	ahead   int64  // octets that are in its file already, behind buf
}

func (c *chunk) end() int64 { return c.start + int64(len(c.buf)) + c.ahead }

// grow makes room for n octets. It doubles what there is: append adds a quarter to a large
// buffer, and leaves five times as much memory behind until it is as long as groups are.
func (c *chunk) grow(n int) {
	if free := cap(c.buf) - len(c.buf); free < n {
		c.buf = append(make([]byte, 0, max(2*cap(c.buf), len(c.buf)+n, chunkMin)), c.buf...)
	}
}

// waiter is a commit whose record is in a chunk.
type waiter struct {
	space   engine.SpaceID
	version engine.Version
	at      position // of the record
	ops     []engine.Op
	fresh   []freshBlob // of those that ops keep
	moves   []move      // of a relocation, which has no space
	done    chan error
	willing bool // its committer would make it durable
	leads   bool // and does

	pace     func() error // until its turn; may be nil
	ended    error        // of pace, by which the committer ended it
	prepared *preparation // of a large commit
}

// pause is called for each of many things. As long as it is the committer's own
// time, it is his Pace that lets others run.
func (w *waiter) pause(i int) error {
	if w.pace == nil || i%yieldEvery != yieldEvery-1 {
		return letOthersRun(i)
	}
	w.ended = w.pace()
	return w.ended
}

// freshBlob is a blob that a commit is the first to keep.
type freshBlob struct {
	id   engine.BlobID
	size int64 // of the record
}

type move struct {
	id   engine.BlobID
	to   position
	size int64 // of the record
}

// group is what one sync makes durable.
type group struct {
	chunks  []chunk
	waiters []*waiter
	end     position
}

const (
	aloneMin    = 256 << 10            // length from which a commit is encoded without the lock
	bufferedMax = 8 << 20              // octets that may wait to be written before writers wait
	chunkMin    = 16 << 10             // octets that there is room for in a chunk
	fullGroup   = 512 << 10            // octets that are written without waiting for more
	smallGroup  = 128                  // operations that flush itself puts into the index, in some 100 microseconds
	syncTimeMax = 4 * time.Millisecond // a slower sync is not waited for longer
)

// appendLocked puts a record at the log's end and returns its position. fill
// appends the payload; sumLen is how much of it the checksum covers, 0 for all.
func (e *Engine) appendLocked(typ byte, length, sumLen int64, fill func(dst []byte) []byte) position {
	r := e.nextLocked(typ, length)
	c := &e.mu.chunks[len(e.mu.chunks)-1]
	start := len(c.buf)
	if start == 0 {
		r.flags |= flagGroup // writeGroup syncs each chunk before it writes the next
	}
	c.grow(int(r.size()))
	c.buf = append(c.buf, make([]byte, recordHeader)...)
	c.buf = fill(c.buf)
	payload := c.buf[start+recordHeader:]
	if sumLen == 0 {
		sumLen = length
	}
	r.payload = checksum(payload[:sumLen])
	for len(c.buf)-start < int(r.size()) {
		c.buf = append(c.buf, 0)
	}
	return e.endRecordLocked(&r, c.buf[start:])
}

// nextLocked returns the header of the log's next record, without its checksums.
func (e *Engine) nextLocked(typ byte, length int64) record {
	r := record{length: length, typ: typ, flags: flagMust}
	if e.mu.offset+r.size() > e.opts.SegmentOctets && e.mu.offset > segmentHeader {
		e.rotateLocked(e.nextSegmentLocked())
	}
	r.pos, r.prev = at(e.mu.chunks[len(e.mu.chunks)-1].segment, e.mu.offset), e.mu.prev
	if typ == recClock || typ == recCheckCount {
		r.flags = 0
	}
	return r
}

// endRecordLocked writes the header of a record in front of its payload, and
// returns its position.
func (e *Engine) endRecordLocked(r *record, octets []byte) position {
	r.encode(octets, e.uuid)
	e.mu.prev = r.sum
	e.mu.offset += r.size()
	if e.mu.buffered += r.size(); e.mu.buffered >= fullGroup {
		e.work.Signal()
	}
	return r.pos
}

// appendAloneLocked is appendLocked for a record that was made before.
func (e *Engine) appendAloneLocked(typ byte, a *alone) position {
	r := e.nextLocked(typ, a.length)
	r.flags |= flagGroup
	r.payload = a.sum
	last := &e.mu.chunks[len(e.mu.chunks)-1]
	if len(last.buf) > 0 {
		e.mu.chunks = append(e.mu.chunks, chunk{segment: last.segment, start: e.mu.offset})
		last = &e.mu.chunks[len(e.mu.chunks)-1]
	}
	last.buf = a.octets
	segment := last.segment
	pos := e.endRecordLocked(&r, a.octets)
	e.mu.chunks = append(e.mu.chunks, chunk{segment: segment, start: e.mu.offset})
	return pos
}

// rotateLocked goes on in a new segment of a number above all of the log's.
func (e *Engine) rotateLocked(number uint32) {
	before := e.lastLogLocked()
	if n := len(e.mu.chunks); n > 0 {
		before = e.mu.chunks[n-1].segment
		e.mu.segments[before].size = e.mu.offset
	}
	info := segmentInfo{number: number, kind: kindLog, created: e.opts.Now().Unix(), before: before}
	e.mu.chunks = append(e.mu.chunks, chunk{segment: info.number, start: segmentHeader, header: info.encode(e.uuid)})
	e.mu.offset, e.mu.prev = segmentHeader, info.sum
	e.mu.segments[info.number] = &segment{info: info}
}

// lastLogLocked returns the newest segment of the log, 0 when there is none.
func (e *Engine) lastLogLocked() (last uint32) {
	for n, s := range e.mu.segments {
		if s.info.kind == kindLog {
			last = max(last, n)
		}
	}
	return last
}

func (e *Engine) nextSegmentLocked() uint32 {
	e.mu.lastSegment++
	return e.mu.lastSegment
}

// flush writes and syncs groups until the engine is closed.
func (e *Engine) flush() {
	defer close(e.groups)
	defer e.setActive(nil)
	for {
		g, ok := e.nextGroup()
		if !ok {
			e.writeEnd()
			return
		}
		if g == nil {
			e.moveZeros()
			continue
		}
		e.commit(g)
	}
}

// commit makes a group durable and has it put into the index.
func (e *Engine) commit(g *group) {
	e.quiet = false
	done, err := e.writeGroup(g)
	e.lastGroup = len(g.waiters)
	if errors.Is(err, errNoRoom) {
		if g, err = e.rewind(g, done); g == nil {
			return
		}
	}
	if err != nil {
		e.fail(err)
		g.fail(e.stopped())
		return
	}
	e.stats.syncs.Add(1)
	e.written(g)
	e.handOn(g)
	e.keepReserve()
}

// handOn puts a durable group into the index, or has apply do it. That flush does
// it saves a switch of goroutines before each answer, and costs nothing while no
// other commit waits for a sync: those that were just answered are waited for
// anyway.
func (e *Engine) handOn(g *group) {
	e.mu.Lock()
	here := len(e.mu.waiters) == 0 && g.isSmall()
	e.mu.comeback.answered(len(g.waiters), e.opts.Now())
	e.mu.Unlock()
	if here && e.unapplied.Load() == 0 {
		e.finish(g)
		return
	}
	e.unapplied.Add(1)
	e.groups <- g
}

// isSmall reports whether it takes less time than a sync to put the group into
// the index. What was prepared is large, and may wait for other preparations.
func (g *group) isSmall() bool {
	ops := 0
	for _, w := range g.waiters {
		if w.prepared != nil {
			return false
		}
		ops += len(w.ops) + len(w.moves)
	}
	return ops <= smallGroup
}

// writeEnd ends the log with an empty group, which proves that what is before
// it was synced: damage there is never taken for a torn tail.
func (e *Engine) writeEnd() {
	if e.stats.syncs.Load() == 0 {
		return
	}
	e.mu.Lock()
	e.appendLocked(recRelocate, 0, 0, func(dst []byte) []byte { return dst })
	g := &group{chunks: e.mu.chunks}
	e.mu.Unlock()
	_, err := e.writeGroup(g)
	if err == nil {
		err = e.endSegment()
	}
	if err != nil && !errors.Is(err, errNoRoom) {
		e.fail(err)
	}
}

// written lets sealed blobs be read from the log instead of the group's
// buffer, which may then be used again.
func (e *Engine) written(g *group) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.durable = g.end
	for id, b := range e.mu.sealed {
		if position(id) < g.end {
			b.record = nil
		}
	}
	if last := g.chunks[len(g.chunks)-1].buf; cap(last) <= bufferedMax {
		e.spare = last
	}
}

func (g *group) fail(err error) {
	for _, w := range g.waiters {
		w.done <- err
	}
}

// nextGroup waits for something to be made durable and takes all there is.
//
// Clients that wait for their answers come in generations: while one is being
// synced, the next one gathers, and each sync carries half of them. Where that is
// not wanted (expectedLocked), the commits that were just answered are given a
// moment to come back, at most as long as a sync takes. Large
// groups are not waited for: writing them takes so much longer than the sync that
// the disk had better begin while the next one gathers, even before a commit
// needs it.
//
// It returns no group, but true, when nothing has come for as long as zerosDue says.
func (e *Engine) nextGroup() (*group, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.expected = e.expectedLocked()
	late := false
	q := quietness{e: e}
	defer q.stop()
	var timer *time.Timer
	for e.mu.leads || len(e.mu.waiters) < e.mu.expected && !late || len(e.mu.waiters) == 0 {
		if e.mu.leads {
			e.work.Wait()
			continue
		}
		if e.mu.closing && len(e.mu.waiters) == 0 && e.mu.buffered < fullGroup {
			return nil, false
		}
		if e.mu.closing || e.mu.buffered >= fullGroup {
			break
		}
		nothing := len(e.mu.waiters) == 0 && e.mu.buffered == 0
		if nothing && q.lastedLocked() {
			e.quiet = true
			return nil, true
		}
		if len(e.mu.waiters) > 0 && timer == nil {
			timer = e.after(e.syncTime, &late)
			defer timer.Stop()
		}
		if e.mu.wanted = 1; timer != nil {
			e.mu.wanted = e.mu.expected
		}
		e.mu.idle = nothing
		e.work.Wait()
		e.mu.idle = false
	}
	return e.takeLocked(), true
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

// takeLocked takes all that waits to be written.
func (e *Engine) takeLocked() *group {
	last := e.mu.chunks[len(e.mu.chunks)-1]
	g := &group{chunks: e.mu.chunks, waiters: e.mu.waiters, end: at(last.segment, e.mu.offset)}
	e.mu.chunks = []chunk{{segment: last.segment, start: e.mu.offset, buf: e.spare[:0]}}
	e.spare = nil
	e.mu.waiters, e.mu.buffered = nil, 0
	e.room.Broadcast()
	return g
}

// writeGroup writes the chunks in order and syncs each segment, an earlier one
// before a later one is begun. It returns how many chunks are durable.
func (e *Engine) writeGroup(g *group) (done int, err error) {
	if err := e.stopped(); err != nil {
		return 0, err
	}
	var syncs time.Duration
	for i, c := range g.chunks {
		took, err := e.writeChunk(c)
		if err != nil {
			return i, err
		}
		syncs += took
		e.synced = at(c.segment, c.end())
	}
	e.syncTime = average(e.syncTime, syncs)
	return len(g.chunks), nil
}

// writeChunk tells how long the sync of what it wrote took.
func (e *Engine) writeChunk(c chunk) (time.Duration, error) {
	if c.header != nil {
		if err := e.makeSegment(c); err != nil {
			return 0, err
		}
	}
	if len(c.buf) == 0 {
		return 0, nil
	}
	if err := e.write(c.buf, c.start); err != nil {
		return 0, err
	}
	e.activeEnd = c.end()
	e.zerosWanted = min(e.zerosWanted+int64(len(c.buf)), e.opts.SegmentOctets)
	if len(c.buf) < fillBelow {
		if err := e.fillIfNone(); err != nil {
			return 0, err
		}
	}
	start := e.opts.Now()
	err := e.active.Sync()
	return e.opts.Now().Sub(start), err
}

// makeSegment begins a segment. Its header is durable before its first record
// is written: behind a bad header there are records only if it was damaged.
func (e *Engine) makeSegment(c chunk) error {
	if err := e.endSegment(); err != nil {
		return err
	}
	e.setActive(nil)
	if c.ahead == 0 {
		f, err := e.fs.Create(e.segmentName(c.segment))
		if err != nil {
			return noRoom(err)
		}
		e.files.put(c.segment, f)
	}
	active, err := e.files.get(c.segment)
	if err != nil {
		return err
	}
	e.setActive(active)
	e.activeEnd, e.filled = 0, 0
	if err := e.write(c.header, 0); err != nil {
		return err
	}
	e.activeEnd, e.filled = segmentHeader, segmentHeader
	if err := e.active.Sync(); err != nil {
		return err
	}
	return e.fs.SyncDir(path.Join(e.dir, logDir))
}

// setActive takes another segment to be written, nil for none. It is in use from
// here on, so that its file stays open whatever else is read.
func (e *Engine) setActive(f *openFile) {
	if e.active != nil {
		e.files.done(e.active)
	}
	e.active = f
}

// fail stops all writing, since the log cannot be written.
func (e *Engine) fail(err error) {
	e.stopWriting(fmt.Errorf("writing the log in %s: %w", e.dir, err))
}

// stopWriting stops all writing for ever. err tells what could not be written.
func (e *Engine) stopWriting(err error) {
	kind, public := errs.Temporary, "the store has stopped after a failed write"
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		kind, public = errs.NoSpace, "the disk is full"
	}
	wrapped := errs.As("local.flush", kind, public, fmt.Errorf("%w; nothing more is acknowledged until the server is started again", err))
	if e.failure.CompareAndSwap(nil, &wrapped) {
		if f := e.opts.Events.Stopped; f != nil {
			f(wrapped)
		}
	}
}

// stopped returns why nothing is written any more, or nil.
func (e *Engine) stopped() error {
	if p := e.failure.Load(); p != nil {
		return *p
	}
	return nil
}
