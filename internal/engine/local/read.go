package local

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"slices"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"golang.org/x/sys/unix"
)

func writeKind(err error) errs.Kind {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return errs.NoSpace
	}
	return errs.Temporary
}

// openFilesMax bounds the open segments.
const openFilesMax = 256

// fileCache keeps segments open. Files are closed without the lock: for the last
// one of a segment that was removed, the file system frees its 64 MiB then, behind
// whatever it still writes of them.
type fileCache struct {
	open func(n uint32) (vfs.File, error)
	mu   sync.Mutex
	m    map[uint32]*openFile
	tick int64
}

type openFile struct {
	vfs.File
	number uint32
	refs   int
	used   int64
	gone   bool // closed when the last reader leaves
}

func (c *fileCache) put(n uint32, f vfs.File) {
	c.mu.Lock()
	c.m[n] = &openFile{File: f, number: n}
	unused := c.trimLocked()
	c.mu.Unlock()
	closeFiles(unused)
}

// get returns an open segment; give it back with done.
func (c *fileCache) get(n uint32) (*openFile, error) {
	f, unused, err := c.use(n)
	closeFiles(unused)
	return f, err
}

func (c *fileCache) use(n uint32) (f *openFile, unused []*openFile, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f = c.m[n]
	if f == nil {
		file, err := c.open(n)
		if err != nil {
			return nil, nil, err
		}
		f = &openFile{File: file, number: n}
		c.m[n] = f
	}
	c.tick++
	f.refs++
	f.used = c.tick
	return f, c.trimLocked(), nil // not this one, which is in use now
}

func (c *fileCache) done(f *openFile) {
	c.mu.Lock()
	f.refs--
	last := f.refs == 0 && f.gone
	c.mu.Unlock()
	if last {
		f.Close()
	}
}

// dropLocked forgets a segment that is deleted or no longer used, and reports
// whether its file is to be closed: otherwise the last reader does.
func (c *fileCache) dropLocked(f *openFile) bool {
	delete(c.m, f.number)
	f.gone = true
	return f.refs == 0
}

func (c *fileCache) drop(n uint32) {
	c.mu.Lock()
	f := c.m[n]
	unused := f != nil && c.dropLocked(f)
	c.mu.Unlock()
	if unused {
		f.Close()
	}
}

// trimLocked drops the segments unused for longest, and returns those to close. The
// newest stays: it is the one being written.
func (c *fileCache) trimLocked() (unused []*openFile) {
	for len(c.m) > openFilesMax {
		var oldest *openFile
		newest := uint32(0)
		for n := range c.m {
			newest = max(newest, n)
		}
		for n, f := range c.m {
			if f.refs == 0 && n != newest && (oldest == nil || f.used < oldest.used) {
				oldest = f
			}
		}
		if oldest == nil {
			break
		}
		c.dropLocked(oldest)
		unused = append(unused, oldest)
	}
	return unused
}

func (c *fileCache) closeAll() {
	c.mu.Lock()
	var unused []*openFile
	for _, f := range c.m {
		if c.dropLocked(f) {
			unused = append(unused, f)
		}
	}
	c.mu.Unlock()
	closeFiles(unused)
}

func closeFiles(files []*openFile) {
	for _, f := range files {
		f.Close()
	}
}

// locationsMax bounds the locations in memory.
const locationsMax = 1 << 16

// locations are where compaction put blobs that were looked up, a MiB of them. They
// are guesses: what was moved again is not there, which its segment or the record
// tells, and a look into the index takes as long as reading a small message.
type locations struct {
	mu sync.Mutex
	at []location // each in a place of its own; nil before the first
}

type location struct {
	id  engine.BlobID
	pos position
}

// place spreads blobs, which begin at multiples of 8.
func (c *locations) place(id engine.BlobID) *location {
	return &c.at[uint64(id)*0x9e3779b97f4a7c15>>48%locationsMax]
}

func (c *locations) get(id engine.BlobID) (pos position, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		return 0, false
	}
	l := c.place(id)
	return l.pos, l.id == id
}

func (c *locations) put(id engine.BlobID, pos position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at == nil {
		c.at = make([]location, locationsMax)
	}
	*c.place(id) = location{id, pos}
}

// How much is read at once to find a blob's head. What is longer than the head wants
// is copied, so that of a large blob only that is read, and the rest where it is
// wanted.
const (
	firstRead = 16 << 10 // at most
	headRead  = 2 << 10  // the head, and most summaries
	headOnly  = math.MaxInt64
)

// firstLen returns how much to read of a blob of so many octets, 0 if that is not
// known.
func firstLen(octets int64) int64 {
	switch {
	case octets <= 0:
		return firstRead
	case octets <= firstRead-headRead:
		return headRead + octets
	}
	return headRead
}

var readBuffers = sync.Pool{New: func() any { return new([firstRead]byte) }}

// blob is an open blob.
type blob struct {
	e      *Engine
	id     engine.BlobID
	file   *openFile // nil while the record is in memory
	base   int64     // of the head in the file
	prefix []byte    // octets from the head's start on
	pooled *[firstRead]byte
	head   head
	length int64 // of the payload from the head's start
	frames []frame
	first  [1]frame // the memory of frames, when there is but one

	mu     sync.Mutex
	cached int    // index of the frame in octets, -1 for none
	octets []byte // in prefix or in memory
	rest   int    // octets of it behind what was read of it last
	memory *frameMemory
}

// frameMemory holds one frame: as it is stored, and, where that is dense, as it
// is read.
type frameMemory struct{ stored, octets []byte }

var frameMemories = sync.Pool{New: func() any { return new(frameMemory) }}

// isLarge tells of memory that a damaged frame needed.
func (m *frameMemory) isLarge() bool { return cap(m.stored)+cap(m.octets) > 4*frameOctets }

func (m *frameMemory) release() {
	if !m.isLarge() {
		frameMemories.Put(m)
	}
}

// keptMax bounds the dense frames in memory, of mostly less than 160 KiB each and never
// more than 256.
const keptMax = 32

// keptFrames are dense frames of which a part was read, for who reads the next part
// with another command.
type keptFrames struct {
	mu  sync.Mutex
	all []keptFrame // the newest last
}

type keptFrame struct {
	id     engine.BlobID
	frame  int
	memory *frameMemory
}

func (c *keptFrames) put(f keptFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) == keptMax {
		c.all[0].memory.release()
		c.all = slices.Delete(c.all, 0, 1)
	}
	c.all = append(c.all, f)
}

// take returns a frame that was kept, and keeps it no longer; nil if there is none.
func (c *keptFrames) take(id engine.BlobID, frame int) *frameMemory {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, f := range slices.Backward(c.all) {
		if f.id == id && f.frame == frame {
			c.all = slices.Delete(c.all, i, i+1)
			return f.memory
		}
	}
	return nil
}

func corrupt(op string, what string) error {
	return errs.As(op, errs.Corrupt, "the message is damaged", errors.New(what))
}

// find opens the record of a blob of so many octets, as far as is known, and reads
// its head.
func (e *Engine) find(id engine.BlobID, octets int64) (*blob, error) {
	const op = "local.Open"
	if id == 0 {
		return nil, errs.New(op, errs.NotFound, "")
	}
	e.mu.Lock()
	if s := e.mu.sealed[id]; s != nil && s.record != nil {
		record := append([]byte(nil), s.record...)
		e.mu.Unlock()
		return e.parse(&blob{e: e, id: id, prefix: record[recordHeader:], cached: -1}, record, position(id))
	}
	there := e.mu.segments[position(id).segment()] != nil
	e.mu.Unlock()
	pos, file, err := e.locate(id, there)
	if err != nil {
		return nil, err
	}
	b := &blob{e: e, id: id, file: file, cached: -1, pooled: readBuffers.Get().(*[firstRead]byte)}
	first := firstLen(octets)
	if pos != position(id) { // dense: it has fewer octets
		first = firstRead
	}
	n, err := file.ReadAt(b.pooled[:first], pos.offset())
	if err != nil && err != io.EOF {
		b.Close()
		return nil, errs.As(op, errs.Corrupt, "the message cannot be read", err)
	}
	b.prefix = b.pooled[min(recordHeader, n):n]
	b.base = pos.offset() + recordHeader
	if opened, err := e.parse(b, b.pooled[:n], pos); err == nil {
		return opened, nil
	}
	b.Close()
	return nil, corrupt(op, Finding{Segment: pos.segment(), Offset: pos.offset(), What: "no readable blob"}.String())
}

// locate opens the segment that a blob's record is in. That in which it was written
// is there, or not, which is so where compaction moved it.
func (e *Engine) locate(id engine.BlobID, there bool) (pos position, file *openFile, err error) {
	const op = "local.Open"
	if pos = position(id); there {
		if file, err = e.files.get(pos.segment()); !errors.Is(err, fs.ErrNotExist) {
			return pos, file, errs.As(op, errs.Temporary, "", err)
		}
	}
	if known, ok := e.locations.get(id); ok {
		if file, err = e.files.get(known.segment()); err == nil {
			return known, file, nil
		}
	}
	pos, err = readLocation(e.index, id)
	if err == nil && pos == position(id) {
		return 0, nil, errs.New(op, errs.NotFound, "")
	}
	if err == nil {
		e.locations.put(id, pos)
		file, err = e.files.get(pos.segment())
	}
	return pos, file, errs.As(op, errs.Temporary, "", err)
}

// parse checks the record's header and the blob's head.
func (e *Engine) parse(b *blob, start []byte, pos position) (*blob, error) {
	r, ok := decodeRecord(start, pos, e.uuid)
	if !ok || r.typ != recBlob && r.typ != recMoved {
		return nil, corrupt("local.parse", "no blob record")
	}
	b.length = r.length
	if r.typ == recMoved {
		if len(b.prefix) < 8 || engine.BlobID(binary.LittleEndian.Uint64(b.prefix)) != b.id {
			return nil, corrupt("local.parse", "the record is of another blob")
		}
		b.prefix, b.base, b.length = b.prefix[8:], b.base+8, b.length-8
	}
	h, ok := decodeHead(b.prefix, b.length)
	if !ok || r.typ == recBlob && checksum(b.prefix[:blobHead]) != r.payload ||
		r.typ == recMoved && checksum(start[recordHeader:recordHeader+8+blobHead]) != r.payload {
		return nil, corrupt("local.parse", "the blob's head is damaged")
	}
	b.head = h
	b.prefix = b.prefix[:min(int64(len(b.prefix)), b.length)]
	return b, nil
}

// span returns n octets at off from the head's start: of prefix, where they are
// there, else read into memory, which is made larger as need be.
func (b *blob) span(memory *[]byte, off, n int64) ([]byte, error) {
	if end := off + n; end <= int64(len(b.prefix)) {
		return b.prefix[off:end:end], nil
	}
	*memory = slices.Grow((*memory)[:0], int(n))[:n]
	return *memory, b.read(*memory, off)
}

// read reads into p what is at off from the head's start.
func (b *blob) read(p []byte, off int64) error {
	n := 0
	if off < int64(len(b.prefix)) {
		n = copy(p, b.prefix[off:])
	}
	if n == len(p) {
		return nil
	}
	if b.file == nil {
		return io.ErrUnexpectedEOF
	}
	_, err := b.file.ReadAt(p[n:], b.base+off+int64(n))
	return err
}

func (bs blobs) Summary(ctx context.Context, id engine.BlobID) ([]byte, error) {
	const op = "local.Summary"
	b, err := bs.e.find(id, headOnly)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	summary, err := b.readSummary()
	return bytes.Clone(summary), errs.Wrap(op, err)
}

// readSummary returns the summary, until a frame is read, or Close.
func (b *blob) readSummary() ([]byte, error) {
	const op = "local.readSummary"
	summary, err := b.span(&b.frameMemory().stored, b.head.summaryAt, int64(b.head.summaryLen))
	if err != nil {
		return nil, errs.As(op, errs.Corrupt, "the message cannot be read", err)
	}
	if checksum(summary) != b.head.summarySum {
		return nil, corrupt(op, "the summary's checksum is wrong")
	}
	return summary, nil
}

func (bs blobs) Open(ctx context.Context, id engine.BlobID, octets int64) (engine.Blob, error) {
	const op = "local.Open"
	b, err := bs.e.find(id, octets)
	if err != nil {
		return nil, err
	}
	table, err := b.span(new([]byte), b.head.tableAt, int64(b.head.frames)*frameEntry)
	if err != nil {
		b.Close()
		return nil, errs.As(op, errs.Corrupt, "the message cannot be read", err)
	}
	frames, ok := decodeTable(b.first[:0], table, &b.head, b.length)
	if !ok || checksum(table) != b.head.tableSum {
		b.Close()
		return nil, corrupt(op, "the table of frames is damaged")
	}
	b.frames = frames
	return b, nil
}

func (b *blob) Size() int64 { return b.head.size }

func (b *blob) Summary() []byte {
	end := b.head.summaryAt + int64(b.head.summaryLen)
	if end > int64(len(b.prefix)) {
		return nil
	}
	summary := b.prefix[b.head.summaryAt:end:end]
	if checksum(summary) != b.head.summarySum {
		return nil
	}
	return summary
}

func (b *blob) Close() error {
	if b.file != nil {
		b.e.files.done(b.file)
		b.file = nil
	}
	if b.pooled != nil {
		b.prefix = nil
		readBuffers.Put(b.pooled)
		b.pooled = nil
	}
	if m := b.memory; m != nil && b.rest > 0 && !m.isLarge() {
		b.e.kept.put(keptFrame{b.id, b.cached, m})
	} else if m != nil {
		m.release()
	}
	b.cached, b.octets, b.rest, b.memory = -1, nil, 0, nil
	return nil
}

// ReadAt implements io.ReaderAt. Frames that are wanted whole come straight into p,
// and those that are raw together.
func (b *blob) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errs.New("local.ReadAt", errs.Invalid, "")
	}
	for n < len(p) && off < b.head.size {
		i := int(off / frameOctets)
		var got int
		if off%frameOctets == 0 {
			got, err = b.readWhole(p[n:], i)
		}
		if got == 0 && err == nil {
			got, err = b.readPart(p[n:], i, off-int64(i)*frameOctets)
		}
		if err != nil {
			return n, err
		}
		n += got
		off += int64(got)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// readWhole reads the i-th frame, and raw ones behind a raw one, where they fit
// into p.
func (b *blob) readWhole(p []byte, i int) (n int, err error) {
	if n := int(b.head.rawLen(i)); b.frames[i].coding != 0 && n <= len(p) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.cached, b.rest = -1, 0 // it may be where this one is read into
		_, err := b.appendFrame(p[:0:n], i)
		return n, err
	}
	last := i
	for last < len(b.frames) && b.frames[last].coding == 0 && n+int(b.frames[last].stored) <= len(p) {
		n += int(b.frames[last].stored)
		last++
	}
	if n == 0 {
		return 0, nil
	}
	if err := b.read(p[:n], b.frames[i].at); err != nil {
		return 0, errs.As("local.ReadAt", errs.Corrupt, "the message cannot be read", err)
	}
	rest := p[:n]
	for _, f := range b.frames[i:last] {
		if checksum(rest[:f.stored]) != f.sum {
			return 0, corrupt("local.ReadAt", "a frame's checksum is wrong")
		}
		rest = rest[f.stored:]
	}
	return n, nil
}

// readPart reads from the i-th frame, which it keeps for the next call.
func (b *blob) readPart(p []byte, i int, from int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cached != i {
		octets, err := b.takeFrame(i)
		if err != nil {
			return 0, err
		}
		b.cached, b.octets = i, octets
	}
	n := copy(p, b.octets[from:])
	if b.rest = 0; b.frames[i].coding != 0 {
		b.rest = len(b.octets) - int(from) - n
	}
	return n, nil
}

// takeFrame is frame for one that may be kept.
func (b *blob) takeFrame(i int) ([]byte, error) {
	b.cached, b.rest = -1, 0
	if b.frames[i].coding != 0 {
		if kept := b.e.kept.take(b.id, i); kept != nil {
			if b.memory != nil {
				b.memory.release()
			}
			b.memory = kept
			return kept.octets, nil
		}
	}
	return b.frame(i)
}

// frame returns the octets of the i-th frame, until the next call or Close.
func (b *blob) frame(i int) ([]byte, error) {
	m := b.frameMemory()
	octets, err := b.appendFrame(m.octets[:0], i)
	if err == nil && b.frames[i].coding != 0 {
		m.octets = octets
	}
	return octets, err
}

func (b *blob) frameMemory() *frameMemory {
	if b.memory == nil {
		b.memory = frameMemories.Get().(*frameMemory)
	}
	return b.memory
}

// appendFrame appends the octets of the i-th frame to dst, when it is dense; those
// of a raw one it returns where they were read, until the next call or Close.
func (b *blob) appendFrame(dst []byte, i int) ([]byte, error) {
	f := b.frames[i]
	stored, err := b.span(&b.frameMemory().stored, f.at, f.stored)
	if err != nil {
		return nil, errs.As("local.ReadAt", errs.Corrupt, "the message cannot be read", err)
	}
	if checksum(stored) != f.sum {
		return nil, corrupt("local.ReadAt", "a frame's checksum is wrong")
	}
	if f.coding == 0 {
		return stored, nil
	}
	d, err := b.dictionary()
	if err != nil {
		return nil, err
	}
	octets, ok := expandFrame(dst, f.coding, stored, int(b.head.rawLen(i)), d)
	if !ok {
		return nil, corrupt("local.ReadAt", "a compressed frame is damaged")
	}
	return octets, nil
}

// dictionary returns the one that the blob's frames were made with, nil for none.
func (b *blob) dictionary() (*dictionary, error) {
	if b.head.dictionary == 0 {
		return nil, nil
	}
	return b.e.dictionary(b.file, at(b.file.number, b.head.dictionary))
}

// recordSize returns what a blob's record takes in the log, 0 when it cannot
// be read.
func (e *Engine) recordSize(id engine.BlobID) int64 {
	e.mu.Lock()
	s := e.mu.sealed[id]
	e.mu.Unlock()
	if s != nil {
		return s.size
	}
	b, err := e.find(id, headOnly)
	if err != nil {
		return 0
	}
	defer b.Close()
	r := record{length: b.length}
	return r.size()
}
