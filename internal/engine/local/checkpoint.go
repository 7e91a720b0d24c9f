package local

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/angarium/angarium/internal/errs"
	"github.com/cockroachdb/pebble/v2"
)

// checkpoint is where one is in the log.
type checkpoint struct {
	begin, end position // of its first and last record
	mark       position // commits before it are in the rows
	records    uint64   // of rows; 0: not known, before format 1.1
}

// loadCheckpoint puts the rows of the last complete checkpoint into the index
// and returns the position from which commits are to be replayed. A torn tail
// is cut before, so that the checkpoint that it belongs to does not count.
func (e *Engine) loadCheckpoint(ctx context.Context, numbers []uint32, out *Recovery) (mark position, err error) {
	var last checkpoint
	marks, count := map[position]position{}, uint64(0)
	err = e.scanLogs(ctx, numbers, 0, out, func(r record, payload []byte) error {
		switch {
		case e.tooLate(r, payload):
			return errStop
		case r.typ == recCheckBegin && len(payload) == 8:
			marks[r.pos] = position(binary.LittleEndian.Uint64(payload))
		case r.typ == recCheckCount && len(payload) == 8:
			count = binary.LittleEndian.Uint64(payload)
		case r.typ == recCheckEnd && len(payload) == 8:
			begin := position(binary.LittleEndian.Uint64(payload))
			if marks[begin] != 0 {
				last = checkpoint{begin: begin, end: r.pos, mark: marks[begin], records: count}
			}
			count = 0
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) || last.begin == 0 {
		return 0, noStop(err)
	}
	return last.mark, e.loadRows(ctx, numbers, last, out)
}

// scanLogs calls fn for each good record of the log from a position on, in
// order. Damage is reported and passed over; a torn tail is cut.
func (e *Engine) scanLogs(ctx context.Context, numbers []uint32, from position, out *Recovery, fn func(r record, payload []byte) error) error {
	for i, n := range numbers {
		seg := e.mu.segments[n]
		if n < from.segment() || seg.info.kind != kindLog {
			continue
		}
		offset := int64(segmentHeader)
		if n == from.segment() {
			offset = max(offset, from.offset())
		}
		for offset < seg.size {
			stop, err := e.scan(ctx, *seg, offset, true, fn)
			if err != nil {
				return err
			}
			if offset, err = e.afterBad(n, stop, e.isLastLog(numbers[i+1:]), out); err != nil {
				return err
			}
		}
	}
	return nil
}

// noStop returns nil for errStop.
func noStop(err error) error {
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func (e *Engine) loadRows(ctx context.Context, numbers []uint32, c checkpoint, out *Recovery) error {
	batch := e.index.NewBatch()
	records := uint64(0)
	err := e.scanLogs(ctx, numbers, at(c.begin.segment(), segmentHeader), out, func(r record, payload []byte) error {
		if r.typ != recCheckRows || r.pos < c.begin || r.pos > c.end {
			return nil
		}
		records++
		if err := setRows(batch, payload); err != nil || batch.Len() < 4<<20 {
			return err
		}
		err := batch.Commit(pebble.NoSync)
		batch = e.index.NewBatch()
		return err
	})
	if err != nil {
		return err
	}
	if c.records != 0 && records != c.records {
		e.finding(Finding{Segment: c.begin.segment(), Offset: c.begin.offset(), What: fmt.Sprintf("%d of %d parts of the checkpoint are damaged; the rows in them are lost", c.records-records, c.records)})
	}
	return batch.Commit(pebble.NoSync)
}

// setRows puts the rows of one record into the index.
func setRows(batch *pebble.Batch, b []byte) error {
	for len(b) >= 8 {
		k, v := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
		if b = b[8:]; k+v > uint64(len(b)) {
			return errs.New("local.Open", errs.Corrupt, "")
		}
		if err := batch.Set(b[:k], b[k:k+v], nil); err != nil {
			return err
		}
		b = b[k+v:]
	}
	return nil
}
