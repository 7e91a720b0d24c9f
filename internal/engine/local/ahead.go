package local

import (
	"hash/crc32"
	"slices"

	"github.com/angarium/angarium/internal/engine"
)

// alone is a large record, with room for its header, and its checksum. It is
// made before the lock is taken, so that nobody waits for that, and becomes a
// chunk.
type alone struct {
	octets []byte
	length int64 // of the payload
	sum    uint32
	ahead  *ahead // where the payload is already; nil: nowhere
}

// ahead is a segment that begins with a large commit, written before the log has
// come there: nobody waits for that. Its header, and that of the record, are zero
// until then, so that without them it is a segment that was being made when the
// power went (decision 0015).
type ahead struct {
	number uint32
	file   *openFile
}

// aheadMin is the length from which a commit is written ahead. A shorter one takes
// less time than a segment costs.
const aheadMin = 4 << 20

// commitAlone encodes a commit that was prepared.
func commitAlone(w *waiter, length int64) (*alone, error) {
	octets := make([]byte, recordHeader, (&record{length: length}).size())
	octets = appendCommitHead(octets, w)
	for i := range w.ops {
		if err := w.pause(i); err != nil {
			return nil, w.prepared.failure(err)
		}
		octets = appendOp(octets, &w.ops[i], func(id engine.BlobID) int64 { return w.prepared.sizes[id] })
	}
	sum, err := w.checksum(octets[recordHeader:])
	if err != nil {
		return nil, w.prepared.failure(err)
	}
	return &alone{octets: octets[:cap(octets)], length: length, sum: sum}, nil
}

// checksum is that of a long payload. Its error is that of pause.
func (w *waiter) checksum(payload []byte) (sum uint32, err error) {
	const part = 1 << 10
	for i := 0; i*part < len(payload); i++ {
		if err := w.pause(i); err != nil {
			return 0, err
		}
		sum = crc32.Update(sum, castagnoli, payload[i*part:min(i*part+part, len(payload))])
	}
	return sum, nil
}

// writeAhead writes a commit's payload into a segment of its own, and makes it
// durable. Where that fails but for a failed sync, the commit goes the usual way,
// which finds out what is the matter.
func (e *Engine) writeAhead(a *alone) error {
	e.mu.Lock()
	n := e.nextSegmentLocked()
	e.mu.Unlock()
	f, err := e.fs.Create(e.segmentName(n))
	if err != nil {
		return nil
	}
	e.files.put(n, f)
	a.ahead = &ahead{number: n}
	if a.ahead.file, err = e.files.get(n); err != nil {
		e.dropAhead(a)
		return nil
	}
	file := a.ahead.file
	offset := int64(segmentHeader + recordHeader)
	for part := range slices.Chunk(a.octets[recordHeader:], syncStep) {
		if _, err := file.WriteAt(part, offset); err != nil {
			e.dropAhead(a)
			return nil
		}
		offset += int64(len(part))
		if err := file.Sync(); err != nil {
			e.fail(err)
			return e.stopped()
		}
	}
	return nil
}

// appendAheadLocked lets the log go on in the segment of a commit that was written
// ahead, behind the commit, whose position it returns.
func (e *Engine) appendAheadLocked(a *alone) position {
	e.rotateLocked(a.ahead.number)
	r := e.nextLocked(recCommit, a.length)
	r.flags |= flagGroup
	r.payload = a.sum
	c := &e.mu.chunks[len(e.mu.chunks)-1]
	c.buf, c.ahead = make([]byte, recordHeader), r.size()-recordHeader
	segment := c.segment
	pos := e.endRecordLocked(&r, c.buf)
	a.octets = nil // they may be many
	e.mu.buffered -= r.size() - recordHeader
	e.mu.chunks = append(e.mu.chunks, chunk{segment: segment, start: e.mu.offset})
	return pos
}

// dropAhead lets go of what was written ahead, and removes it when it has not
// become part of the log.
func (e *Engine) dropAhead(a *alone) {
	if a.ahead == nil {
		return
	}
	n := a.ahead.number
	if a.ahead.file != nil {
		e.files.done(a.ahead.file)
	}
	a.ahead = nil
	e.mu.Lock()
	used := e.mu.segments[n] != nil
	e.mu.Unlock()
	if !used {
		e.files.drop(n)
		e.fs.Remove(e.segmentName(n))
	}
}
