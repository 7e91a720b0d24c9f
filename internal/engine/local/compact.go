package local

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"path"
	"slices"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// housekeep looks for segments to compact from time to time.
func (e *Engine) housekeep(ctx context.Context) {
	if e.opts.CompactEvery < 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(e.opts.CompactEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.stop:
			return
		case <-tick.C:
			if done, err := e.Compact(ctx); done.Segments > 0 || err != nil {
				if f := e.opts.Events.Compact; f != nil {
					done.Err = err
					f(done)
				}
			}
		}
	}
}

// Compact rewrites the segments that hold much that nobody keeps, and, densely,
// those that are old. It copies, reads the copies back, makes their places
// durable, and only then deletes.
func (e *Engine) Compact(ctx context.Context) (done Compacted, err error) {
	if e.activeIsOld() {
		if err := e.endActive(); err != nil {
			return done, err
		}
	}
	return e.rewrite(ctx, e.opts.DeadShare)
}

// activeIsOld reports whether the segment that is being written could be
// compressed, were it complete. Without this a store that gets little mail would
// never be.
func (e *Engine) activeIsOld() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.mu.segments[e.mu.chunks[len(e.mu.chunks)-1].segment]
	return e.isOldLocked(s) && s.live >= e.trainOctets() && !e.lossy.Load() && e.stopped() == nil
}

// isOldLocked reports whether a segment has the age at which it is compressed.
func (e *Engine) isOldLocked(s *segment) bool {
	return e.opts.DenseAfter > 0 && s.info.created < e.opts.Now().Add(-e.opts.DenseAfter).Unix()
}

// endActive lets the log go on in a new segment. The one before is complete then.
func (e *Engine) endActive() error {
	e.mu.Lock()
	if e.mu.offset > segmentHeader {
		e.rotateLocked(e.nextSegmentLocked())
	}
	e.mu.Unlock()
	return e.commitMoves([]move{{}})
}

// Reclaim rewrites every segment with octets that nobody keeps. Errors: Denied
// while commits may be lost.
func (e *Engine) Reclaim(ctx context.Context) error {
	if e.lossy.Load() {
		return errs.New("local.Reclaim", errs.Denied, "the store is damaged, and nothing is removed from its files before angarium repair")
	}
	if err := e.endActive(); err != nil {
		return err
	}
	_, err := e.rewrite(ctx, 0)
	return err
}

// rewrite is Compact for segments with more than a share of dead octets.
func (e *Engine) rewrite(ctx context.Context, deadShare float64) (done Compacted, err error) {
	e.compact.Lock()
	defer e.compact.Unlock()
	if err := e.stopped(); err != nil {
		return done, err // a move that is not known may be durable
	}
	victims := e.victims(deadShare)
	if deadShare > 0 && !e.worthCheckpoint(victims) { // else all is to go
		victims = slices.DeleteFunc(victims, func(v segment) bool { return v.info.kind == kindLog })
	}
	if len(victims) == 0 || e.lossy.Load() {
		return done, nil
	}
	turn := e.opts.Turn()
	defer turn.End()
	d := &denser{e: e, turn: turn}
	defer d.close()
	logs := false
	var moved []segment
	for _, v := range victims {
		err := d.move(ctx, v)
		if errs.Is(err, errs.Corrupt) {
			e.leaveAlone(v.info.number, err)
			continue
		}
		if err != nil {
			return done, err
		}
		done.Before += v.size
		logs = logs || v.info.kind == kindLog
		moved = append(moved, v)
	}
	if err := d.finish(ctx); err != nil {
		return done, err
	}
	done.After = d.size
	if len(d.moves) > 0 {
		if err := e.commitMoves(d.moves); err != nil {
			return done, err
		}
	}
	if logs {
		if err := e.checkpoint(ctx, turn); err != nil {
			return done, err
		}
		// The index must not need what is deleted now.
		if err := e.flushIndex(); err != nil {
			return done, errs.Wrap("local.Compact", err)
		}
	}
	for _, v := range moved {
		if err := e.removeSegment(v.info.number); err != nil {
			return done, err
		}
		done.Segments++
	}
	return done, nil
}

// leaveAlone keeps a damaged segment as it is: what cannot be read is not
// deleted. Repair takes it out.
func (e *Engine) leaveAlone(n uint32, err error) {
	e.mu.Lock()
	if s := e.mu.segments[n]; s != nil {
		s.damaged = true
	}
	e.mu.Unlock()
	e.finding(Finding{Segment: n, What: err.Error()})
}

// victims returns copies of the segments worth rewriting, oldest first: of the log
// only those whose commits are all in the index, and so will be in a checkpoint.
func (e *Engine) victims(deadShare float64) (victims []segment) {
	e.mu.Lock()
	defer e.mu.Unlock()
	indexed, newest := e.mu.indexed.segment(), e.newestLocked()
	claimed := map[uint32]bool{}
	for id := range e.mu.sealed {
		claimed[position(id).segment()] = true
	}
	for n, s := range e.mu.segments {
		if n >= indexed && s.info.kind == kindLog || claimed[n] || s.size == 0 || s.damaged || n == newest {
			continue
		}
		dead := s.size - s.live - s.own - segmentHeader
		if float64(dead) > deadShare*float64(s.size) || s.info.kind != kindDense && e.isOldLocked(s) {
			victims = append(victims, *s)
		}
	}
	slices.SortFunc(victims, func(a, b segment) int { return cmp.Compare(a.info.number, b.info.number) })
	return victims
}

// worthCheckpoint reports whether the log's segments among the victims have at
// least twice as many octets as the checkpoint that their end needs: those of the
// last checkpoint, which are not in use any more after the next one, and as many
// others. Without this a store whose checkpoint fills a segment would make a new one
// each time, for ever, and one that gets much mail would write all its rows for a
// few segments of it.
func (e *Engine) worthCheckpoint(victims []segment) bool {
	gone := int64(0)
	for _, v := range victims {
		if v.info.kind == kindLog {
			gone += v.size
		}
	}
	return gone >= 2*e.checkpointOctets()
}

// checkpointOctets is how many the last checkpoint had. Before the first one since
// the start it is guessed from the index, where rows were seen to take half of their
// octets.
func (e *Engine) checkpointOctets() int64 {
	if e.lastCheckpoint > 0 {
		return e.lastCheckpoint
	}
	total := e.index.Metrics().Total()
	return 2 * total.AggregateSize()
}

// newestLocked is the highest number of a segment that has a file. That file
// stays, so that no number is used again after a restart, and with it no
// BlobID.
func (e *Engine) newestLocked() uint32 {
	newest := e.mu.durable.segment()
	for n, s := range e.mu.segments {
		if s.size > 0 { // else it is the active one, which may not be begun
			newest = max(newest, n)
		}
	}
	return newest
}

// removeSegment deletes a segment. Readers that have it open go on.
func (e *Engine) removeSegment(n uint32) error {
	e.mu.Lock()
	delete(e.mu.segments, n)
	e.mu.Unlock()
	err := e.fs.Remove(e.segmentName(n))
	e.files.drop(n)
	return errs.As("local.Compact", errs.Temporary, "a segment cannot be removed", err)
}

// denser writes moved blobs into segments of their own. The first blobs of a
// segment wait in memory until its dictionary can be made from them.
type denser struct {
	e       *Engine
	turn    Turn
	pending []pending
	waiting int64 // octets of the messages in pending
	moves   []move
	size    int64

	// Of the segment that is being written:
	file       *openFile
	info       segmentInfo
	offset     int64
	prev       uint32
	blobs      int    // in it
	dictionary []byte // the payload of its record; nil: it has none
	coder      *coder
	unsynced   int64 // octets since the last sync
}

// pending is a blob that was read and is to be written.
type pending struct {
	id              engine.BlobID
	octets, summary []byte
	sha256          [32]byte
}

// syncStep is how many octets the background work syncs at once: commits wait
// behind what the disk has to write.
const syncStep = 2 << 20

func (d *denser) close() {
	if d.file != nil {
		d.e.files.done(d.file)
		d.file = nil
	}
}

// move copies the blobs of a segment that are kept.
func (d *denser) move(ctx context.Context, v segment) error {
	if v.live == 0 {
		return nil
	}
	moved := func(id engine.BlobID, r record) error {
		refs, err := readRefs(d.e.index, id)
		if err != nil {
			return indexError("local.Compact", err)
		}
		where, err := d.e.place(d.e.index, id)
		if err != nil {
			return indexError("local.Compact", err)
		}
		if refs.count == 0 || where != r.pos {
			return nil
		}
		return d.copy(ctx, id)
	}
	_, err := d.e.scanLocked(ctx, v, func(r record, payload []byte) error {
		if err := d.turn.Pause(ctx); err != nil {
			return err
		}
		switch {
		case r.typ == recBlob:
			return moved(engine.BlobID(r.pos), r)
		case r.typ == recMoved && len(payload) >= 8:
			return moved(engine.BlobID(binary.LittleEndian.Uint64(payload)), r)
		}
		return nil
	})
	return err
}

// scanLocked is scan for a segment that is complete.
func (e *Engine) scanLocked(ctx context.Context, v segment, fn func(record, []byte) error) (int64, error) {
	end, err := e.scan(ctx, v, segmentHeader, v.info.kind != kindBlob, fn)
	if err == nil && end < v.size {
		// Damage: what cannot be read must not be deleted.
		return end, errs.New("local.Compact", errs.Corrupt, Finding{Segment: v.info.number, Offset: end, What: "damaged; the segment is kept"}.String())
	}
	return end, err
}

// copy reads one blob, and writes it or lets it wait.
func (d *denser) copy(ctx context.Context, id engine.BlobID) error {
	opened, err := d.e.Blobs().Open(ctx, id, 0)
	if err != nil {
		return err
	}
	defer opened.Close()
	b := opened.(*blob)
	octets := make([]byte, b.head.size)
	if _, err := b.ReadAt(octets, 0); err != nil {
		return err
	}
	if sha256.Sum256(octets) != b.head.sha256 {
		return corrupt("local.Compact", "the message's digest is wrong")
	}
	summary, err := d.e.Blobs().Summary(ctx, id)
	if err != nil {
		return err
	}
	d.pending = append(d.pending, pending{id, octets, summary, b.head.sha256})
	d.waiting += int64(len(octets))
	return d.write(ctx, false)
}

// write writes what waits. It begins a segment only with enough to make its
// dictionary from, or when that is all there is.
func (d *denser) write(ctx context.Context, all bool) error {
	for len(d.pending) > 0 {
		if d.file == nil {
			if !all && d.waiting < d.e.trainOctets() {
				return nil
			}
			if err := d.start(); err != nil {
				return err
			}
		}
		p := d.pending[0]
		payload := d.coder.encode(p)
		if d.blobs > 0 && d.offset+int64(len(payload)) > d.e.opts.SegmentOctets {
			if err := d.end(ctx); err != nil {
				return err
			}
			continue
		}
		pos, size, err := d.append(recMoved, payload, 8+blobHead)
		if err != nil {
			return err
		}
		d.moves = append(d.moves, move{p.id, pos, size})
		d.blobs++
		d.pending[0], d.pending = pending{}, d.pending[1:]
		d.waiting -= int64(len(p.octets))
	}
	return nil
}

// append writes a record, whose checksum covers sumLen octets of the payload.
func (d *denser) append(typ byte, payload []byte, sumLen int) (pos position, size int64, err error) {
	r := record{length: int64(len(payload)), typ: typ, flags: flagMust, pos: at(d.info.number, d.offset), prev: d.prev, payload: checksum(payload[:sumLen])}
	b := make([]byte, r.size())
	copy(b[recordHeader:], payload)
	r.encode(b, d.e.uuid)
	if _, err := d.file.WriteAt(b, d.offset); err != nil {
		return 0, 0, errs.As("local.Compact", writeKind(err), "", err)
	}
	d.offset += r.size()
	d.size += r.size()
	if d.unsynced += r.size(); d.unsynced >= syncStep {
		d.unsynced = 0
		if err := d.file.Sync(); err != nil {
			return 0, 0, errs.As("local.Compact", errs.Temporary, "", err)
		}
	}
	d.prev = r.sum
	return r.pos, r.size(), nil
}

// start begins a segment for what waits, with a dictionary made from it.
func (d *denser) start() (err error) {
	dictionary := makeDictionary(d.pending)
	if d.coder, err = newCoder(dictionary); err == nil {
		d.dictionary, err = dictionaryRecord(dictionary)
	}
	if err != nil {
		return errs.As("local.Compact", errs.Internal, "", err)
	}
	d.e.mu.Lock()
	n := d.e.nextSegmentLocked()
	d.e.mu.Unlock()
	d.info = segmentInfo{number: n, kind: kindDense, created: d.e.opts.Now().Unix()}
	f, err := d.e.fs.Create(d.e.segmentName(n))
	if err != nil {
		return errs.As("local.Compact", writeKind(err), "", err)
	}
	d.e.files.put(n, f)
	if d.file, err = d.e.files.get(n); err != nil {
		return err
	}
	d.offset, d.blobs = segmentHeader, 0
	if _, err = d.file.WriteAt(d.info.encode(d.e.uuid), 0); err != nil {
		return errs.As("local.Compact", errs.Temporary, "", err)
	}
	d.prev = d.info.sum
	if d.dictionary != nil {
		_, _, err = d.append(recDictionary, d.dictionary, len(d.dictionary))
	}
	return err
}

// finish writes all that waits, and ends the last segment.
func (d *denser) finish(ctx context.Context) error {
	if err := d.write(ctx, true); err != nil {
		return err
	}
	return d.end(ctx)
}

// end writes the copy of the dictionary, makes the segment durable and reads it
// back.
func (d *denser) end(ctx context.Context) error {
	if d.file == nil {
		return nil
	}
	defer d.close()
	own := int64(0)
	if d.dictionary != nil {
		_, size, err := d.append(recDictionary, d.dictionary, len(d.dictionary))
		if err != nil {
			return err
		}
		own = 2 * size
	}
	err := d.file.Sync()
	if err == nil {
		err = d.e.fs.SyncDir(path.Join(d.e.dir, logDir))
	}
	if err != nil {
		return errs.As("local.Compact", errs.Temporary, "", err)
	}
	seg := segment{info: d.info, size: d.offset, own: own}
	d.e.mu.Lock()
	d.e.mu.segments[d.info.number] = &seg
	d.e.mu.Unlock()
	_, err = d.e.scanLocked(ctx, segment{info: d.info, size: d.offset}, func(record, []byte) error { return d.turn.Pause(ctx) })
	// Not Corrupt: that would be of the segment that is being moved.
	return errs.As("local.Compact", errs.Temporary, "what was written cannot be read back", err)
}

// movesMax is how many moves one record holds: commits wait while they are
// applied.
const movesMax = 256

// commitMoves makes the new places of blobs durable, through the log like any
// commit.
func (e *Engine) commitMoves(moves []move) error {
	for part := range slices.Chunk(moves, movesMax) {
		w := &waiter{moves: part, done: make(chan error, 1)}
		e.mu.Lock()
		if err := e.waitRoomLocked(); err != nil {
			e.mu.Unlock()
			return err
		}
		w.at = e.appendLocked(recRelocate, int64(len(part))*24, 0, func(dst []byte) []byte {
			for _, m := range part {
				dst = binary.LittleEndian.AppendUint64(dst, uint64(m.id))
				dst = binary.LittleEndian.AppendUint64(dst, uint64(m.to))
				dst = binary.LittleEndian.AppendUint64(dst, uint64(m.size))
			}
			return dst
		})
		e.addWaiterLocked(w)
		e.mu.Unlock()
		if err := <-w.done; err != nil {
			return err
		}
	}
	return nil
}

const (
	checkRowsOctets = 256 << 10 // about how much of the index one record holds
	checkBarrier    = 4         // records after which a checkpoint waits until they are durable
)

// checkpoint writes all rows of the index into the log, so that older commits
// may go, and returns when that is durable.
func (e *Engine) checkpoint(ctx context.Context, turn Turn) error {
	snap := e.index.NewSnapshot()
	defer snap.Close()
	mark, c, err := snap.Get([]byte{keyMark})
	if err != nil {
		return indexError("local.checkpoint", err)
	}
	begin, err := e.appendRecord(recCheckBegin, binary.LittleEndian.AppendUint64(nil, decodeID(mark)))
	c.Close()
	if err != nil {
		return err
	}
	it, err := snap.NewIter(nil)
	if err != nil {
		return indexError("local.checkpoint", err)
	}
	defer it.Close()
	var rows []byte
	records, octets := uint64(0), int64(0)
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return indexError("local.checkpoint", err)
		}
		rows = binary.LittleEndian.AppendUint32(rows, uint32(len(it.Key())))
		rows = binary.LittleEndian.AppendUint32(rows, uint32(len(v)))
		rows = append(append(rows, it.Key()...), v...)
		octets += int64(len(it.Key()) + len(v))
		if len(rows) >= checkRowsOctets {
			if _, err := e.appendRecord(recCheckRows, rows); err != nil {
				return err
			}
			rows = nil
			if records++; records%checkBarrier == 0 {
				if err := e.commitMoves([]move{{}}); err != nil { // let commits in between
					return err
				}
			}
			if err := turn.Pause(ctx); err != nil {
				return errs.Wrap("local.checkpoint", err)
			}
		}
	}
	if err := it.Error(); err != nil {
		return indexError("local.checkpoint", err)
	}
	if len(rows) > 0 {
		if _, err := e.appendRecord(recCheckRows, rows); err != nil {
			return err
		}
		records++
	}
	if _, err := e.appendRecord(recCheckCount, binary.LittleEndian.AppendUint64(nil, records)); err != nil {
		return err
	}
	if _, err := e.appendRecord(recCheckEnd, binary.LittleEndian.AppendUint64(nil, uint64(begin))); err != nil {
		return err
	}
	if err := e.commitMoves([]move{{}}); err != nil { // waits until all of it is durable
		return err
	}
	e.lastCheckpoint = octets
	return nil
}

// appendRecord appends a record that nobody waits for.
func (e *Engine) appendRecord(typ byte, payload []byte) (position, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.waitRoomLocked(); err != nil {
		return 0, err
	}
	return e.appendLocked(typ, int64(len(payload)), 0, func(dst []byte) []byte { return append(dst, payload...) }), nil
}
