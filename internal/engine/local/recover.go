package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/cockroachdb/pebble/v2"
)

// recover brings the index up to the end of the log, or makes it anew when it
// cannot be used.
func (e *Engine) recover(ctx context.Context, numbers []uint32) (Recovery, error) {
	mark, err := position(0), e.openIndex()
	if err == nil {
		mark, err = e.readMark()
	}
	if err == nil && mark != 0 {
		err = e.indexFits(mark, numbers)
	}
	if err == nil {
		e.applied = mark
		e.checkEnd(mark)
	}
	r := Recovery{Rebuilt: err != nil || mark == 0 && len(numbers) > 0}
	if err != nil {
		if e.index != nil {
			e.index.Close()
			e.index = nil
		}
		if err := e.opts.IndexFS.RemoveAll(e.opts.IndexDir); err != nil {
			return r, errs.As("local.Open", errs.Temporary, "the index cannot be removed", err)
		}
		if err := e.openIndex(); err != nil {
			return r, errs.As("local.Open", errs.Temporary, "the index cannot be made", err)
		}
		mark = 0
	}
	if err := e.index.Set([]byte{keyStore}, e.uuid[:], pebble.NoSync); err != nil {
		return r, indexError("local.Open", err)
	}
	if mark == 0 && len(numbers) > 0 {
		if mark, err = e.loadCheckpoint(ctx, numbers, &r); err != nil {
			return r, err
		}
	}
	if err := e.replay(ctx, numbers, mark, &r); err != nil {
		return r, err
	}
	if err := errors.Join(e.noteDamage(), e.markAgain(mark)); err != nil {
		return r, err
	}
	return r, e.countLive()
}

// markAgain writes the mark once more, behind what recovery has put into the index
// without one, so that tables are not taken in before that (tables). Without any mark,
// it is the one that is given.
func (e *Engine) markAgain(mark position) error {
	last, err := e.readMark()
	if err != nil {
		return indexError("local.Open", err)
	}
	return e.index.Set([]byte{keyMark}, binary.BigEndian.AppendUint64(nil, uint64(max(last, mark))), pebble.NoSync)
}

// noteDamage remembers that commits may be lost, over restarts: what nobody
// seems to keep may be all that is left of them, and is not deleted then.
func (e *Engine) noteDamage() error {
	_, c, err := e.index.Get([]byte{keyDamage})
	if err == nil {
		e.lossy.Store(true)
		return c.Close()
	}
	if !errors.Is(err, pebble.ErrNotFound) {
		return indexError("local.Open", err)
	}
	if len(e.mu.found) == 0 {
		return nil
	}
	e.lossy.Store(true)
	return e.index.Set([]byte{keyDamage}, nil, pebble.NoSync)
}

func (e *Engine) readMark() (position, error) {
	v, c, err := e.index.Get([]byte{keyMark})
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return position(decodeID(v)), nil
}

// indexFits reports what is wrong with an index, besides damage: it is of
// another store, or needs commits that were compacted away since.
func (e *Engine) indexFits(mark position, numbers []uint32) error {
	v, c, err := e.index.Get([]byte{keyStore})
	if err == nil {
		defer c.Close()
		if !bytes.Equal(v, e.uuid[:]) {
			return errors.New("the index is of another store")
		}
	}
	if len(e.missing(numbers, mark)) > 0 {
		return errors.New("the index is older than what is left of the log")
	}
	return nil
}

// checkEnd reports a log that ends before what the index has seen. The index is
// all that is left of the commits then, and its rows go into the log.
func (e *Engine) checkEnd(mark position) {
	n := mark.segment()
	switch s := e.mu.segments[n]; {
	case s != nil && s.size < mark.offset():
		e.finding(Finding{Segment: n, Offset: s.size, What: fmt.Sprintf("%d octets at the segment's end are missing; messages in them are lost", mark.offset()-s.size)})
	case s == nil && n > e.lastLogLocked():
		e.finding(Finding{Segment: n, What: "the segment is missing; messages in it are lost"})
		e.mu.lastSegment = max(e.mu.lastSegment, n)
	default:
		return
	}
	e.rowsOnly = true
}

// missing returns the segments of the log that should be there: one from the
// mark on is deleted only when a later mark is durable.
func (e *Engine) missing(numbers []uint32, mark position) (gone []uint32) {
	for _, n := range numbers {
		s := e.mu.segments[n]
		if b := s.info.before; s.info.kind == kindLog && b >= max(mark.segment(), 1) && e.mu.segments[b] == nil {
			gone = append(gone, b)
		}
	}
	return gone
}

// scanOctets is how much of a segment is read at once: most records of the log are
// short.
const scanOctets = 8 << 10

// scan calls fn for each good record of a segment from offset on, with its payload,
// which is valid until fn returns, and returns the offset where the good records end. prev is not checked
// for the first record, when offset is not the segment's start. The payloads
// of blobs are read only if blobs is true.
func (e *Engine) scan(ctx context.Context, seg segment, offset int64, blobs bool, fn func(r record, payload []byte) error) (end int64, err error) {
	n := seg.info.number
	f, err := e.files.get(n)
	if err != nil {
		return offset, errs.As("local.scan", errs.Temporary, "", err)
	}
	defer e.files.done(f)
	prev, chained := seg.info.sum, offset == segmentHeader && !seg.damaged
	header := make([]byte, recordHeader)
	var memory []byte // of payloads
	log := io.NewSectionReader(f, 0, seg.size)
	log.Seek(offset, io.SeekStart)
	in := bufio.NewReaderSize(log, scanOctets)
	for {
		if err := ctx.Err(); err != nil {
			return offset, errs.Wrap("local.scan", err)
		}
		if _, err := io.ReadFull(in, header); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return offset, errs.As("local.scan", errs.Temporary, "the log cannot be read", err)
		}
		r, ok := decodeRecord(header, at(n, offset), e.uuid)
		if !ok || chained && r.prev != prev || offset+recordHeader+r.length > seg.size {
			return offset, nil
		}
		var payload []byte
		if blobs || r.typ != recBlob && r.typ != recMoved {
			memory = slices.Grow(memory[:0], int(r.length))
			payload = memory[:r.length]
			if _, err := io.ReadFull(in, payload); err != nil || !intact(r, payload) {
				return offset, nil
			}
		}
		if err := fn(r, payload); err != nil {
			return offset, err
		}
		prev, chained = r.sum, true
		offset += r.size()
		if rest := r.size() - recordHeader - int64(len(payload)); rest <= int64(in.Buffered()) {
			in.Discard(int(rest))
		} else {
			log.Seek(offset, io.SeekStart)
			in.Reset(log)
		}
		clear(header)
	}
}

// intact checks a payload against every checksum that is in it.
func intact(r record, payload []byte) bool {
	start := int64(0)
	switch r.typ {
	case recMoved:
		start = 8
		fallthrough
	case recBlob:
		if int64(len(payload)) < start+blobHead || checksum(payload[:start+blobHead]) != r.payload {
			return false
		}
		return blobIntact(payload[start:])
	}
	return checksum(payload) == r.payload
}

func blobIntact(b []byte) bool {
	h, ok := decodeHead(b, int64(len(b)))
	if !ok {
		return false
	}
	table := b[h.tableAt : h.tableAt+int64(h.frames)*frameEntry]
	frames, ok := decodeTable(nil, table, &h, int64(len(b)))
	if !ok || checksum(table) != h.tableSum || checksum(b[h.summaryAt:h.summaryAt+int64(h.summaryLen)]) != h.summarySum {
		return false
	}
	for _, f := range frames {
		if checksum(b[f.at:f.at+f.stored]) != f.sum {
			return false
		}
	}
	return true
}

// replay applies the commits behind mark and cuts a torn tail.
func (e *Engine) replay(ctx context.Context, numbers []uint32, mark position, out *Recovery) error {
	a := e.newApplier()
	defer func() { a.batch.Close() }()
	end := mark
	flush := func() error {
		err := a.commit(end)
		a.batch.Close()
		a = e.newApplier()
		return errs.As("local.replay", errs.Temporary, "the index cannot be written", err)
	}
	versions := map[engine.SpaceID]engine.Version{}
	for _, n := range e.missing(numbers, mark) {
		e.finding(Finding{Segment: n, What: "the segment is missing; commits and messages in it are lost"})
	}
	err := e.scanLogs(ctx, numbers, mark, out, func(r record, payload []byte) error {
		if e.tooLate(r, payload) {
			return errStop
		}
		end = at(r.pos.segment(), r.pos.offset()+r.size())
		w, err := replayed(r, payload)
		if err != nil || w == nil {
			return err
		}
		out.Replayed++
		if err := e.checkGap(versions, w, r.pos); err != nil {
			return err
		}
		if err := a.waiter(w); err != nil {
			return errs.As("local.replay", errs.Temporary, "the index cannot be written", err)
		}
		if a.octets() > 4<<20 {
			return flush()
		}
		return nil
	})
	if errors.Is(err, errStop) {
		e.forgetAfter(end)
	} else if err != nil {
		return err
	}
	if err := e.syncTail(); err != nil || end == 0 {
		return err
	}
	return flush()
}

// tooLate reports whether a record says that what follows is not wanted.
func (e *Engine) tooLate(r record, payload []byte) bool {
	return !e.opts.Until.IsZero() && r.typ == recClock && len(payload) == 8 &&
		int64(binary.LittleEndian.Uint64(payload)) > e.opts.Until.Unix()
}

// forgetAfter takes what is behind the wanted end out of the log, here alone.
func (e *Engine) forgetAfter(end position) {
	for n, s := range e.mu.segments {
		switch {
		case s.info.kind != kindLog:
		case n == end.segment():
			s.size = end.offset()
		case n > end.segment():
			delete(e.mu.segments, n)
		}
	}
}

// checkGap reports commits of a space that damage took.
func (e *Engine) checkGap(versions map[engine.SpaceID]engine.Version, w *waiter, pos position) error {
	if w.space == 0 {
		return nil
	}
	was, ok := versions[w.space]
	if !ok {
		var err error
		if was, err = e.indexVersion(w.space); err != nil {
			return err
		}
	}
	versions[w.space] = w.version
	if w.version > was+1 {
		e.finding(Finding{Segment: pos.segment(), Offset: pos.offset(),
			What: fmt.Sprintf("the commits %d to %d of space %d are lost", was+1, w.version-1, w.space)})
	}
	return nil
}

// syncTail makes durable what was read: after a crash of the process alone the
// log's end may be in the system's memory only, and what is served must not be
// lost with it.
func (e *Engine) syncTail() error {
	last := e.lastLogLocked()
	if last == 0 || e.opts.ReadOnly {
		return nil
	}
	f, err := e.files.get(last)
	if err == nil {
		defer e.files.done(f)
		if err = f.Sync(); err == nil {
			err = e.fs.SyncDir(path.Join(e.dir, logDir))
		}
	}
	return errs.As("local.Open", errs.Temporary, "the log's end cannot be synced", err)
}

func (e *Engine) isLastLog(later []uint32) bool {
	for _, n := range later {
		if e.mu.segments[n].info.kind == kindLog {
			return false
		}
	}
	return true
}

// replayed decodes a record that changes the index; nil for others. Keys and values
// are in the payload.
func replayed(r record, payload []byte) (*waiter, error) {
	switch r.typ {
	case recCommit:
		w, ok := decodeCommit(payload)
		if !ok {
			return nil, errs.As("local.replay", errs.Corrupt, "", fmt.Errorf("%v", Finding{Segment: r.pos.segment(), Offset: r.pos.offset(), What: "a commit that this version does not know"}))
		}
		return w, nil
	case recRelocate:
		return &waiter{moves: decodeMoves(payload)}, nil
	case recBlob, recCheckBegin, recCheckRows, recCheckEnd, recClock, recCheckCount:
		return nil, nil
	}
	if r.flags&flagMust != 0 {
		return nil, errs.As("local.replay", errs.Corrupt, "", fmt.Errorf("record type %d of a newer version", r.typ))
	}
	return nil, nil
}

func decodeMoves(b []byte) (moves []move) {
	for ; len(b) >= 24; b = b[24:] {
		moves = append(moves, move{engine.BlobID(binary.LittleEndian.Uint64(b)), position(binary.LittleEndian.Uint64(b[8:])), int64(binary.LittleEndian.Uint64(b[16:]))})
	}
	return moves
}

// afterBad decides what the octets from stop on are. When the log went on
// behind a sync of them they are damage: reported, left alone and passed over.
// Else they are a torn tail, never acknowledged: cut off, with what may stand
// behind them, since a disk writes the sectors between two syncs in any order.
func (e *Engine) afterBad(n uint32, stop int64, last bool, out *Recovery) (next int64, err error) {
	seg := e.mu.segments[n]
	if stop >= seg.size {
		return seg.size, nil
	}
	synced := func(r record) bool { return r.flags&flagGroup != 0 || seg.info.minor == 0 }
	proof, err := e.nextRecord(*seg, stop, synced)
	if err != nil {
		return 0, err
	}
	if proof < seg.size || !last || e.applied > at(n, stop) {
		if next, err = e.nextRecord(*seg, stop, anyRecord); err != nil {
			return 0, err
		}
		e.finding(Finding{Segment: n, Offset: stop, What: fmt.Sprintf("%d damaged octets; commits and messages in them are lost, all else is served", next-stop)})
		return next, nil
	}
	torn, err := e.tornOctets(*seg, stop)
	if err == nil && !e.opts.ReadOnly {
		err = e.cut(n, stop)
	}
	out.Cut += torn
	seg.size = stop
	return stop, errs.As("local.Open", errs.Temporary, "the log's torn tail cannot be cut", err)
}

// tornOctets is how much there is behind stop but zeros.
func (e *Engine) tornOctets(seg segment, stop int64) (torn int64, err error) {
	f, err := e.files.get(seg.info.number)
	if err != nil {
		return 0, err
	}
	defer e.files.done(f)
	b := make([]byte, min(1<<20, seg.size-stop))
	for at := stop; at < seg.size; at += int64(len(b)) {
		n, err := f.ReadAt(b, at)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if written := len(bytes.TrimRight(b[:n], "\x00")); written > 0 {
			torn = at + int64(written) - stop
		}
	}
	return torn, nil
}

func (e *Engine) cut(n uint32, size int64) error {
	f, err := e.files.get(n)
	if err != nil {
		return err
	}
	defer e.files.done(f)
	return f.Truncate(size) // syncTail makes it durable
}

func anyRecord(record) bool { return true }

// nextRecord finds the next offset behind from where the header of a wanted
// record is, or the segment's size.
func (e *Engine) nextRecord(seg segment, from int64, wanted func(record) bool) (int64, error) {
	f, err := e.files.get(seg.info.number)
	if err != nil {
		return 0, errs.As("local.scan", errs.Temporary, "", err)
	}
	defer e.files.done(f)
	return e.nextRecordIn(f, seg, from, wanted)
}

// nextRecordIn is nextRecord in a file that is open.
func (e *Engine) nextRecordIn(f vfs.File, seg segment, from int64, wanted func(record) bool) (int64, error) {
	n, size := seg.info.number, seg.size
	buf := make([]byte, 1<<20)
	for offset := (from + 8) &^ 7; offset < size; offset += int64(len(buf)) - recordHeader&^7 {
		got, err := f.ReadAt(buf, offset)
		if err != nil && err != io.EOF {
			return 0, errs.As("local.scan", errs.Temporary, "the log cannot be read", err)
		}
		for i := 0; i+recordHeader <= got; i += 8 {
			if r, ok := decodeRecord(buf[i:], at(n, offset+int64(i)), e.uuid); ok && r.pos.offset()+r.size() <= size && wanted(r) {
				return offset + int64(i), nil
			}
		}
	}
	return size, nil
}

// countLive finds out what each segment holds that is kept, and deletes the
// segments of large blobs that nobody keeps.
func (e *Engine) countLive() error {
	for _, s := range e.mu.segments {
		s.live = 0 // the replay counted only its own
	}
	err := e.forEachKept(e.index, func(_ engine.BlobID, size int64, where position) error {
		if s := e.mu.segments[where.segment()]; s != nil {
			s.live += size
		}
		return nil
	})
	if err != nil {
		return err
	}
	newest := e.newestLocked()
	for n, s := range e.mu.segments {
		if s.damaged && s.live > 0 {
			e.finding(Finding{Segment: n, What: "the segment header is damaged"})
		}
		unused := s.unfinished() || s.info.kind != kindLog && s.live == 0 && !s.damaged && n != newest
		if unused && !e.opts.ReadOnly && !e.lossy.Load() {
			e.files.drop(n)
			if err := e.fs.Remove(e.segmentName(n)); err != nil {
				return errs.As("local.Open", errs.Temporary, "an unused segment cannot be removed", err)
			}
			delete(e.mu.segments, n)
		}
	}
	return nil
}
