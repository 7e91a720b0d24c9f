package local

import (
	"context"
	"slices"

	"github.com/angarium/angarium/internal/engine"
)

// How much of a segment is read at once for summaries: the least where their
// blobs are far from each other, up to the most where they follow each other.
const (
	windowLeast = 2 << 10
	windowMost  = 64 << 10
)

// summaries reads ahead. What it has read may be older than the file: a record
// that is not whole in it is read again.
type summaries struct {
	e      *Engine
	number uint32
	file   *openFile // the segment that was read last; nil before
	start  int64     // of the window in the file
	window []byte
	blob   blob // that is looked at
}

func (bs blobs) Summaries() engine.Summaries { return &summaries{e: bs.e} }

func (r *summaries) Read(ctx context.Context, id engine.BlobID) ([]byte, error) {
	pos, ok := r.place(id)
	for loads := 0; ok; loads++ { // once for the head, once more if that tells of a long summary
		summary, least := r.find(id, pos)
		if summary != nil {
			return summary, nil
		}
		ok = least > 0 && loads < 2 && r.load(pos, least)
	}
	// It is still in memory, or far from the record's start, or there is none: this
	// way knows.
	return blobs{r.e}.Summary(ctx, id)
}

func (r *summaries) Close() {
	if r.file != nil {
		r.e.files.done(r.file)
		r.file = nil
	}
}

// place returns where a blob's record is likely to be.
func (r *summaries) place(id engine.BlobID) (pos position, ok bool) {
	if pos = position(id); r.file != nil && pos.segment() == r.number {
		return pos, true
	}
	r.e.mu.Lock()
	there := r.e.mu.segments[pos.segment()] != nil
	r.e.mu.Unlock()
	if there {
		return pos, id != 0
	}
	if pos, ok = r.e.locations.get(id); ok {
		return pos, true
	}
	pos, err := readLocation(r.e.index, id)
	if ok = err == nil && pos != position(id); ok {
		r.e.locations.put(id, pos)
	}
	return pos, ok
}

// find returns a blob's summary when it is in the window. Otherwise it returns
// how many octets of the record are needed, 0 when these would not help.
func (r *summaries) find(id engine.BlobID, pos position) (summary []byte, least int) {
	from := pos.offset() - r.start
	if r.file == nil || pos.segment() != r.number || from < 0 || from > int64(len(r.window)) {
		return nil, windowLeast
	}
	record := r.window[from:]
	if len(record) < recordHeader+8+blobHead {
		return nil, windowLeast
	}
	r.blob = blob{id: id, prefix: record[recordHeader:]}
	b, err := r.e.parse(&r.blob, record, pos)
	if err != nil {
		return nil, windowLeast
	}
	end := b.head.summaryAt + int64(b.head.summaryLen)
	if end > int64(len(b.prefix)) {
		if needed := end + recordHeader + 8; needed <= windowMost {
			return nil, int(needed)
		}
		return nil, 0
	}
	if summary = b.prefix[b.head.summaryAt:end:end]; checksum(summary) != b.head.summarySum {
		return nil, windowLeast
	}
	return summary, 0
}

// load reads the window from a record on.
func (r *summaries) load(pos position, least int) bool {
	n := windowLeast
	if r.file == nil || pos.segment() != r.number {
		file, err := r.e.files.get(pos.segment())
		if err != nil {
			return false
		}
		r.Close()
		r.file, r.number = file, pos.segment()
	} else if gap := pos.offset() - r.start - int64(len(r.window)); pos.offset() > r.start && gap <= windowLeast {
		n = min(2*len(r.window), windowMost)
	}
	n = max(n, least)
	r.window = slices.Grow(r.window[:0], n)[:n]
	r.start = pos.offset()
	got, _ := r.file.ReadAt(r.window, r.start) // what is missing is found out
	r.window = r.window[:got]
	return true
}
