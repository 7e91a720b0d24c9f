package local

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
)

// All numbers are little endian.
const (
	segmentMagic  = "ANGLOG\r\n"
	formatMajor   = 1
	formatMinor   = 10
	segmentHeader = 64
	recordMagic   = 0x52474e41 // "ANGR"
	recordHeader  = 40
	blobHead      = 88
	frameEntry    = 8
	frameOctets   = 64 << 10
	frameCoding   = 3 << 30 // bits of a frame's stored length: how it is stored
	frameZstd     = 1 << 31 // compressed
	framePacked   = 1 << 30 // see pack.go; since format 1.8
)

// Kinds of segments.
const (
	kindLog   = 1 // commits and young blobs
	kindBlob  = 2 // one large blob
	kindDense = 3 // blobs moved by compaction
)

// Types of records.
const (
	recBlob       = 1
	recCommit     = 2
	recMoved      = 3  // the original BlobID, then as recBlob
	recRelocate   = 4  // pairs of BlobID and new position
	recCheckBegin = 5  // position up to which commits are in the rows
	recCheckRows  = 6  // index rows
	recCheckEnd   = 7  // position of the begin record
	recClock      = 8  // seconds since 1970; may be skipped
	recCheckCount = 9  // number of row records, before the end record; may be skipped
	recDictionary = 10 // of a dense segment, compressed; since format 1.8
)

// Flags of records.
const (
	// flagGroup marks the first record of what one sync makes durable: all of
	// the log before it was durable before it was written. Since format 1.1.
	flagGroup = 0x01
	// flagMust marks a record that a reader which does not know its type must
	// not skip.
	flagMust = 0x80
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// position is a place in the log: segment number, then octet offset in it.
type position uint64

func at(segment uint32, offset int64) position { return position(segment)<<32 | position(offset) }

func (p position) segment() uint32 { return uint32(p >> 32) }
func (p position) offset() int64   { return int64(uint32(p)) }

// segmentInfo is a segment's header.
type segmentInfo struct {
	number  uint32
	minor   uint16
	kind    byte
	created int64  // seconds since 1970
	before  uint32 // the log segment before, 0 for none; since format 1.1
	sum     uint32
}

func (s *segmentInfo) encode(uuid [16]byte) []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint16(b[8:], formatMajor)
	s.minor = formatMinor
	binary.LittleEndian.PutUint16(b[10:], s.minor)
	binary.LittleEndian.PutUint32(b[12:], segmentHeader)
	copy(b[16:], uuid[:])
	binary.LittleEndian.PutUint32(b[32:], s.number)
	b[36] = s.kind
	binary.LittleEndian.PutUint64(b[40:], uint64(s.created))
	binary.LittleEndian.PutUint32(b[48:], s.before)
	s.sum = checksum(b[:60])
	binary.LittleEndian.PutUint32(b[60:], s.sum)
	return b
}

// isNewer reports whether a header is whole, and of a format that came later.
func isNewer(b []byte) bool {
	return string(b[:8]) == segmentMagic && checksum(b[:60]) == binary.LittleEndian.Uint32(b[60:]) && binary.LittleEndian.Uint16(b[8:]) > formatMajor
}

func decodeSegment(b []byte, uuid [16]byte) (segmentInfo, string) {
	switch {
	case len(b) < segmentHeader || string(b[:8]) != segmentMagic:
		return segmentInfo{}, "the segment header is not one"
	case checksum(b[:60]) != binary.LittleEndian.Uint32(b[60:]):
		return segmentInfo{}, "the segment header's checksum is wrong"
	case binary.LittleEndian.Uint16(b[8:]) != formatMajor:
		return segmentInfo{}, fmt.Sprintf("format %d.%d, which this version does not know: it needs angarium of format %d or newer",
			binary.LittleEndian.Uint16(b[8:]), binary.LittleEndian.Uint16(b[10:]), binary.LittleEndian.Uint16(b[8:]))
	case [16]byte(b[16:32]) != uuid:
		return segmentInfo{}, "the segment is of another store"
	}
	return segmentInfo{
		number:  binary.LittleEndian.Uint32(b[32:]),
		minor:   binary.LittleEndian.Uint16(b[10:]),
		kind:    b[36],
		created: int64(binary.LittleEndian.Uint64(b[40:])),
		before:  binary.LittleEndian.Uint32(b[48:]),
		sum:     binary.LittleEndian.Uint32(b[60:]),
	}, ""
}

// record is a record's header.
type record struct {
	length  int64 // octets of payload
	typ     byte
	flags   byte
	pos     position
	prev    uint32 // checksum of the record before, or of the segment header
	payload uint32 // checksum of the payload; of a blob: of its head
	sum     uint32 // checksum of this header
}

// size is what the record takes in the log.
func (r *record) size() int64 { return (recordHeader + r.length + 7) &^ 7 }

func (r *record) encode(b []byte, uuid [16]byte) {
	clear(b[:recordHeader])
	binary.LittleEndian.PutUint32(b[0:], recordMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(r.length))
	b[8], b[9] = r.typ, r.flags
	copy(b[12:16], uuid[:4])
	binary.LittleEndian.PutUint64(b[16:], uint64(r.pos))
	binary.LittleEndian.PutUint32(b[24:], r.prev)
	binary.LittleEndian.PutUint32(b[28:], r.payload)
	r.sum = checksum(b[:36])
	binary.LittleEndian.PutUint32(b[36:], r.sum)
}

// decodeRecord reads the header of the record at pos; ok is false when there
// is none.
func decodeRecord(b []byte, pos position, uuid [16]byte) (r record, ok bool) {
	if len(b) < recordHeader || binary.LittleEndian.Uint32(b) != recordMagic ||
		checksum(b[:36]) != binary.LittleEndian.Uint32(b[36:]) ||
		[4]byte(b[12:16]) != [4]byte(uuid[:4]) || position(binary.LittleEndian.Uint64(b[16:])) != pos {
		return record{}, false
	}
	return record{
		length:  int64(binary.LittleEndian.Uint32(b[4:])),
		typ:     b[8],
		flags:   b[9],
		pos:     pos,
		prev:    binary.LittleEndian.Uint32(b[24:]),
		payload: binary.LittleEndian.Uint32(b[28:]),
		sum:     binary.LittleEndian.Uint32(b[36:]),
	}, true
}

// head is the start of a blob's payload. Offsets count from the head's start.
type head struct {
	size       int64 // octets of the blob
	summaryAt  int64
	summaryLen uint32
	summarySum uint32
	tableAt    int64
	frames     uint32
	tableSum   uint32
	framesAt   int64
	sha256     [32]byte
	dictionary int64 // offset in the segment of the dictionary's record, 0 for none; since format 1.8
}

func (h *head) encode(b []byte) {
	binary.LittleEndian.PutUint64(b[0:], uint64(h.size))
	binary.LittleEndian.PutUint64(b[8:], uint64(h.summaryAt))
	binary.LittleEndian.PutUint32(b[16:], h.summaryLen)
	binary.LittleEndian.PutUint32(b[20:], h.summarySum)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.tableAt))
	binary.LittleEndian.PutUint32(b[32:], h.frames)
	binary.LittleEndian.PutUint32(b[36:], h.tableSum)
	binary.LittleEndian.PutUint64(b[40:], uint64(h.framesAt))
	copy(b[48:80], h.sha256[:])
	binary.LittleEndian.PutUint64(b[80:], uint64(h.dictionary))
}

// decodeHead reads a blob's head; length is what the payload has from the
// head's start on.
func decodeHead(b []byte, length int64) (h head, ok bool) {
	if len(b) < blobHead {
		return head{}, false
	}
	h = head{
		size:       int64(binary.LittleEndian.Uint64(b[0:])),
		summaryAt:  int64(binary.LittleEndian.Uint64(b[8:])),
		summaryLen: binary.LittleEndian.Uint32(b[16:]),
		summarySum: binary.LittleEndian.Uint32(b[20:]),
		tableAt:    int64(binary.LittleEndian.Uint64(b[24:])),
		frames:     binary.LittleEndian.Uint32(b[32:]),
		tableSum:   binary.LittleEndian.Uint32(b[36:]),
		framesAt:   int64(binary.LittleEndian.Uint64(b[40:])),
		sha256:     [32]byte(b[48:80]),
		dictionary: int64(binary.LittleEndian.Uint64(b[80:])),
	}
	inside := func(from, n int64) bool { return from >= blobHead && n >= 0 && from <= length && n <= length-from }
	ok = h.size >= 0 && h.dictionary >= 0 && h.dictionary <= math.MaxUint32 && inside(h.summaryAt, int64(h.summaryLen)) && inside(h.tableAt, int64(h.frames)*frameEntry) &&
		inside(h.framesAt, 0) && int64(h.frames) == (h.size+frameOctets-1)/frameOctets
	return h, ok
}

// frame is one entry of a blob's table.
type frame struct {
	at     int64 // from the head's start
	stored int64
	coding uint32 // 0: as it is
	sum    uint32
}

// decodeTable decodes the table of frames, into the memory of frames where there is
// room.
func decodeTable(frames []frame, b []byte, h *head, length int64) (_ []frame, ok bool) {
	frames = slices.Grow(frames[:0], int(h.frames))[:h.frames]
	next := h.framesAt
	for i := range frames {
		n := binary.LittleEndian.Uint32(b[i*frameEntry:])
		f := frame{next, int64(n &^ frameCoding), n & frameCoding, binary.LittleEndian.Uint32(b[i*frameEntry+4:])}
		if next += f.stored; next > length || f.coding == frameCoding || f.coding == 0 && f.stored != h.rawLen(i) {
			return nil, false
		}
		frames[i] = f
	}
	return frames, true
}

// rawLen is how many octets of the blob the i-th frame holds.
func (h *head) rawLen(i int) int64 { return min(frameOctets, h.size-int64(i)*frameOctets) }
