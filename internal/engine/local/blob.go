package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"path"
	"slices"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// blobInlineMax is the largest blob that goes through memory into the log; a
// larger one gets a segment of its own.
const blobInlineMax = 1 << 20

type blobs struct{ e *Engine }

// octetBuffers hold blobs on their way into the log, and digests sum them up.
var (
	octetBuffers = sync.Pool{New: func() any { return new([]byte) }}
	digests      = sync.Pool{New: func() any { return sha256.New() }}
)

func (b blobs) Create(ctx context.Context) (engine.BlobWriter, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Wrap("local.Create", err)
	}
	if err := b.e.stopped(); err != nil {
		return nil, err
	}
	pooled := octetBuffers.Get().(*[]byte)
	return &writer{e: b.e, digest: digests.Get().(hash.Hash), pooled: pooled, buf: (*pooled)[:0]}, nil
}

// writer writes one blob: into memory, or, from blobInlineMax on, into a
// segment of its own, of which it keeps less than one frame in memory.
type writer struct {
	e      *Engine
	digest hash.Hash
	size   int64
	pooled *[]byte // nil when buf is not
	buf    []byte  // what is not in the file
	file   vfs.File
	number uint32
	info   segmentInfo
	at     int64 // where the next frame goes, from the head's start
	table  []byte
	id     engine.BlobID
	done   bool
}

func (w *writer) Write(p []byte) (int, error) {
	w.digest.Write(p)
	w.size += int64(len(p))
	n := len(p)
	if w.file == nil {
		if w.size <= blobInlineMax {
			w.buf = append(w.buf, p...)
			return n, nil
		}
		if err := w.openFile(); err != nil {
			return 0, err
		}
		if err := w.writeFrames(frameOctets); err != nil {
			return 0, err
		}
		w.shrink()
	}
	w.buf = append(w.buf, p...)
	return n, w.writeFrames(frameOctets)
}

// openFile starts a segment for this blob.
func (w *writer) openFile() error {
	if err := w.e.checkReserve(w.size); err != nil {
		return err
	}
	w.e.mu.Lock()
	w.number = w.e.nextSegmentLocked()
	w.e.mu.Unlock()
	f, err := w.e.fs.Create(w.e.segmentName(w.number))
	if err != nil {
		return errs.As("local.Write", errs.Temporary, "the message cannot be stored", err)
	}
	w.file = f
	w.info = segmentInfo{number: w.number, kind: kindBlob, created: w.e.opts.Now().Unix()}
	w.at = blobHead
	return w.writeAt(w.info.encode(w.e.uuid), 0)
}

func (w *writer) writeAt(b []byte, off int64) error {
	if _, err := w.file.WriteAt(b, off); err != nil {
		// Only this blob is lost; nothing of it was acknowledged.
		return errs.As("local.Write", writeKind(err), "the message cannot be stored", err)
	}
	return nil
}

// writeFrames writes the buffered octets as frames while there are at least
// least of them.
func (w *writer) writeFrames(least int) error {
	rest := w.buf
	for len(rest) >= least && len(rest) > 0 {
		frame := rest[:min(frameOctets, len(rest))]
		if err := w.writeAt(frame, segmentHeader+recordHeader+w.at); err != nil {
			return err
		}
		w.table = appendFrame(w.table, frame, 0)
		w.at += int64(len(frame))
		rest = rest[len(frame):]
	}
	w.buf = append(w.buf[:0], rest...)
	return nil
}

// shrink gives the large buffer back, when octets go to the file from now on: the
// client may take its time.
func (w *writer) shrink() {
	rest := append(make([]byte, 0, 2*frameOctets), w.buf...)
	w.freeBuffer()
	w.buf = rest
}

func (w *writer) freeBuffer() {
	if w.pooled != nil && cap(w.buf) <= 2*blobInlineMax {
		*w.pooled = w.buf
		octetBuffers.Put(w.pooled)
	}
	w.pooled, w.buf = nil, nil
}

func appendFrame(table, stored []byte, coding uint32) []byte {
	table = binary.LittleEndian.AppendUint32(table, uint32(len(stored))|coding)
	return binary.LittleEndian.AppendUint32(table, checksum(stored))
}

// Seal ends the blob.
func (w *writer) Seal(summary []byte) (engine.BlobID, int64, error) {
	if err := w.e.checkReserve(w.size); err != nil {
		return 0, 0, err
	}
	if w.file != nil {
		return w.sealFile(summary)
	}
	start, octets := w.start(summary)
	r := record{length: int64(len(start) + len(octets))}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if err := w.e.waitRoomLocked(); err != nil {
		return 0, 0, err
	}
	pos := w.e.appendLocked(recBlob, r.length, blobHead, func(dst []byte) []byte { return append(append(dst, start...), octets...) })
	c := &w.e.mu.chunks[len(w.e.mu.chunks)-1]
	w.register(engine.BlobID(pos), &sealed{record: c.buf[int64(len(c.buf))-r.size():], size: r.size()})
	w.freeBuffer() // the next blob of the same commit can have it
	return w.id, w.size, nil
}

func (w *writer) register(id engine.BlobID, s *sealed) {
	w.id = id
	w.e.mu.sealed[id] = s
	w.e.stats.blobs.Add(1)
}

// sealFile completes and syncs the blob's own segment, so that it is durable
// before any commit that keeps it.
func (w *writer) sealFile(summary []byte) (engine.BlobID, int64, error) {
	if err := w.writeFrames(1); err != nil {
		return 0, 0, err
	}
	h := head{size: w.size, frames: uint32(len(w.table) / frameEntry), tableSum: checksum(w.table), framesAt: blobHead,
		tableAt: w.at, summaryAt: w.at + int64(len(w.table)), summaryLen: uint32(len(summary)), summarySum: checksum(summary)}
	h.sha256 = [32]byte(w.digest.Sum(nil))
	const base = segmentHeader + recordHeader
	if err := w.writeAt(append(w.table, summary...), base+h.tableAt); err != nil {
		return 0, 0, err
	}
	start := make([]byte, recordHeader+blobHead)
	h.encode(start[recordHeader:])
	r := record{length: h.summaryAt + int64(len(summary)), typ: recBlob, flags: flagMust, pos: at(w.number, segmentHeader),
		prev: w.info.sum, payload: checksum(start[recordHeader:])}
	r.encode(start, w.e.uuid)
	if err := w.writeAt(start, segmentHeader); err != nil {
		return 0, 0, err
	}
	if err := w.syncFile(); err != nil {
		return 0, 0, err
	}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	w.e.mu.segments[w.number] = &segment{info: w.info, size: segmentHeader + r.size()}
	w.e.files.put(w.number, w.file)
	w.file = nil
	w.register(engine.BlobID(r.pos), &sealed{size: r.size()})
	return w.id, w.size, nil
}

func (w *writer) syncFile() error {
	err := w.file.Sync()
	if err == nil {
		err = w.e.fs.SyncDir(path.Join(w.e.dir, logDir))
	}
	if err != nil {
		// What a failed sync left behind is unknown (reliability paper 0.3).
		w.e.fail(err)
		return w.e.stopped()
	}
	return nil
}

// Release ends the writer's claim on the blob.
func (w *writer) Release() {
	if w.done {
		return
	}
	w.done = true
	w.freeBuffer()
	w.digest.Reset()
	digests.Put(w.digest)
	if w.file != nil { // not sealed
		w.file.Close()
		w.e.fs.Remove(w.e.segmentName(w.number))
	}
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	delete(w.e.mu.sealed, w.id)
}

// start returns what stands before the blob's frames, made behind them in the same memory,
// and them.
func (w *writer) start(summary []byte) (start, octets []byte) {
	octets = w.buf
	for frame := range slices.Chunk(octets, frameOctets) {
		w.buf = appendFrame(w.buf, frame, 0)
	}
	table := w.buf[len(octets):]
	n := len(w.buf)
	w.buf = startBlob(w.buf, head{size: w.size, sha256: [32]byte(w.digest.Sum(nil))}, table, summary)
	return w.buf[n:], octets
}

// startBlob appends what stands before a blob's frames: its head, its summary and
// the frames' table. h tells what the octets are.
func startBlob(dst []byte, h head, table, summary []byte) []byte {
	h.frames, h.tableSum = uint32(len(table)/frameEntry), checksum(table)
	h.summaryAt, h.summaryLen, h.summarySum = blobHead, uint32(len(summary)), checksum(summary)
	h.tableAt = blobHead + int64(len(summary))
	h.framesAt = h.tableAt + int64(len(table))
	n := len(dst)
	dst = slices.Grow(dst, int(h.framesAt))[:n+blobHead]
	h.encode(dst[n:])
	return append(append(dst, summary...), table...)
}
