package local

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/klauspost/compress/zstd"
)

// A dense segment begins with a dictionary: pieces of messages that are in it,
// as if they stood before each frame. A copy of the record is the segment's last
// one. No other segment needs it, and what is in it goes when the segment goes.
const (
	dictionaryMax   = 96 << 10 // octets; what one block of zstd may hold is more
	dictionaryMin   = 4 << 10  // a smaller one is not worth its record
	dictionaryShare = 32       // one in so many octets of mail goes into it
	sampleMax       = 8 << 10  // octets of one message
	trainMax        = 4 << 20  // octets of messages among which the pieces are taken
)

// trainOctets is how many octets of messages a dictionary is made from.
func (e *Engine) trainOctets() int64 { return min(trainMax, e.opts.SegmentOctets/4) }

// makeDictionary chooses pieces of the messages that a dense segment begins
// with. nil: it would not pay.
func makeDictionary(messages []pending) (dictionary []byte) {
	total, samples := 0, 0 // octets, of all and of pieces of all
	for _, m := range messages {
		total += len(m.octets)
		samples += min(len(m.octets), sampleMax)
	}
	most := min(dictionaryMax, total/dictionaryShare)
	if most < dictionaryMin {
		return nil
	}
	sample := min(sampleMax, most/4)
	step := max(1, samples/most)
	for i := 0; i < len(messages) && len(dictionary) < most; i += step {
		start := messages[i].octets[:min(frameOctets, len(messages[i].octets))]
		text, _ := split(start, findRuns(start))
		dictionary = append(dictionary, text[:min(len(text), sample, most-len(dictionary))]...)
	}
	return dictionary
}

// dictionary is the beginning of a zstd frame: its header, and a block of the
// dictionary's octets as they are. Followed by the blocks of a frame that was made
// with the dictionary it is a frame of both, which the library decodes in half the
// time that it takes for one with a dictionary.
type dictionary struct {
	prefix []byte
	octets int       // of the dictionary
	inputs sync.Pool // of *[]byte, which begin with the prefix
}

// Of a zstd frame (RFC 8878 §3.1.1): the magic number; a descriptor that says that
// 4 octets with the size of the content follow and nothing else; a block's header.
const (
	zstdMagic       = 0xfd2fb528
	zstdDescriptor  = 2<<6 | 1<<5
	zstdSizeAt      = 5
	zstdBlockHeader = 3
)

func newDictionary(octets []byte) *dictionary {
	b := binary.LittleEndian.AppendUint32(nil, zstdMagic)
	b = append(b, zstdDescriptor)
	b = binary.LittleEndian.AppendUint32(b, 0) // the size comes with the frame
	block := binary.LittleEndian.AppendUint32(nil, uint32(len(octets))<<3)
	b = append(b, block[:zstdBlockHeader]...)
	return &dictionary{prefix: append(b, octets...), octets: len(octets)}
}

// input returns the frame of a dictionary's octets and of those of a frame that was
// made with it, so many. Give it back with release.
func (d *dictionary) input(stored []byte, octets int) (_ *[]byte, ok bool) {
	var h zstd.Header
	if err := h.Decode(stored); err != nil || h.Skippable || h.HasCheckSum || h.DictionaryID != 0 {
		return nil, false
	}
	input, _ := d.inputs.Get().(*[]byte)
	if input == nil {
		b := append(make([]byte, 0, len(d.prefix)+frameOctets), d.prefix...)
		input = &b
	}
	*input = append((*input)[:len(d.prefix)], stored[h.HeaderSize:]...)
	binary.LittleEndian.PutUint32((*input)[zstdSizeAt:], uint32(d.octets+octets))
	return input, true
}

func (d *dictionary) release(input *[]byte) {
	if cap(*input) <= 2*(dictionaryMax+frameOctets) { // a damaged frame may need much
		d.inputs.Put(input)
	}
}

// dictionariesMax bounds the dictionaries in memory, of dictionaryMax each.
const dictionariesMax = 32

// dictionaries keeps those that were used last, by the positions of their
// records.
type dictionaries struct {
	mu   sync.Mutex
	m    map[position]*usedDictionary
	tick int64
}

type usedDictionary struct {
	*dictionary
	used int64
}

func (c *dictionaries) get(pos position) *dictionary {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.m[pos]
	if d == nil {
		return nil
	}
	c.tick++
	d.used = c.tick
	return d.dictionary
}

func (c *dictionaries) put(pos position, d *dictionary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tick++
	c.m[pos] = &usedDictionary{d, c.tick}
	for len(c.m) > dictionariesMax {
		oldest := pos
		for p, d := range c.m {
			if d.used < c.m[oldest].used {
				oldest = p
			}
		}
		delete(c.m, oldest)
	}
}

// dictionary returns the dictionary at pos in a segment, or else its copy.
func (e *Engine) dictionary(f vfs.File, pos position) (*dictionary, error) {
	if d := e.dictionaries.get(pos); d != nil {
		return d, nil
	}
	octets, err := e.readDictionary(f, pos)
	if err != nil {
		what := "the dictionary is damaged; its copy is used"
		if octets, err = e.copyOfDictionary(f, pos); err != nil {
			what = "the dictionary and its copy are damaged; no message in the segment can be read"
		}
		finding := Finding{Segment: pos.segment(), Offset: pos.offset(), What: what}
		e.finding(finding)
		if err != nil {
			return nil, corrupt("local.dictionary", finding.String())
		}
	}
	d := newDictionary(octets)
	e.dictionaries.put(pos, d)
	return d, nil
}

// readDictionary reads the dictionary whose record is at pos.
func (e *Engine) readDictionary(f vfs.File, pos position) ([]byte, error) {
	header := make([]byte, recordHeader)
	if _, err := f.ReadAt(header, pos.offset()); err != nil {
		return nil, err
	}
	r, ok := decodeRecord(header, pos, e.uuid)
	if !ok || r.typ != recDictionary || r.length > 2*dictionaryMax {
		return nil, fmt.Errorf("no dictionary at octet %d of segment %d", pos.offset(), pos.segment())
	}
	stored := make([]byte, r.length)
	if _, err := f.ReadAt(stored, pos.offset()+recordHeader); err != nil {
		return nil, err
	}
	if checksum(stored) != r.payload {
		return nil, fmt.Errorf("the dictionary at octet %d of segment %d has a wrong checksum", pos.offset(), pos.segment())
	}
	octets, err := zstdReader().DecodeAll(stored, nil)
	if err == nil && len(octets) > dictionaryMax {
		err = fmt.Errorf("the dictionary at octet %d of segment %d is too long", pos.offset(), pos.segment())
	}
	return octets, err
}

// copyOfDictionary reads the copy of the dictionary that is damaged at pos.
func (e *Engine) copyOfDictionary(f vfs.File, pos position) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	at2, err := e.nextRecordIn(f, segment{info: segmentInfo{number: pos.segment()}, size: size}, pos.offset(), isDictionary)
	if err != nil {
		return nil, err
	}
	if at2 == size {
		return nil, io.ErrUnexpectedEOF
	}
	return e.readDictionary(f, at(pos.segment(), at2))
}

// damagedDictionaries returns where the dictionary of a segment and its copy
// should be and are not.
func (e *Engine) damagedDictionaries(seg segment) (damaged []position, err error) {
	n := seg.info.number
	f, err := e.files.get(n)
	if err != nil {
		return nil, nil // compacted away just now
	}
	defer e.files.done(f)
	header := make([]byte, recordHeader)
	if _, err := f.ReadAt(header, segmentHeader); err != nil && err != io.EOF {
		return nil, errs.As("local.Verify", errs.Temporary, "", err)
	}
	r, ok := decodeRecord(header, at(n, segmentHeader), e.uuid)
	if ok && !isDictionary(r) {
		return nil, nil
	}
	second := seg.size - r.size()
	if !ok { // it may be that of a blob, of which who keeps it tells
		if second, err = e.nextRecordIn(f, seg, segmentHeader, isDictionary); err != nil || second == seg.size {
			return nil, err
		}
	}
	for _, offset := range []int64{segmentHeader, second} {
		if _, err := e.readDictionary(f, at(n, offset)); err != nil {
			damaged = append(damaged, at(n, offset))
		}
	}
	return damaged, nil
}

func isDictionary(r record) bool { return r.typ == recDictionary }
