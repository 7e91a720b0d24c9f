package search

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// A block holds the trigrams of up to blockDocs messages: a header, the
// messages' blobs, where each bucket ends, and the buckets, which hold the
// trigrams that hash to them with the messages that have them. Each bucket has
// its own checksum, so that a look-up reads little and trusts nothing.
const (
	blockMagic    = 0x31425841 // "AXB1"
	blockHeader   = 32
	blockDocs     = 1 << docBits
	blockPostings = 3 << 20 // at which a block is full
	docBits       = 11
	bucketBits    = 12
	buckets       = 1 << bucketBits
	gramOctets    = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errBlock = errors.New("a block of the search index is damaged")

// docKey names a message's octets. The size tells them from others that took
// their place in a store that was put back to an earlier time.
type docKey struct {
	blob engine.BlobID
	size uint32
}

const docKeyOctets = 12

func keyOf(m *store.Message) docKey { return docKey{m.Blob, uint32(m.Size)} }

// bucketOf spreads trigrams over the buckets.
func bucketOf(gram uint32) uint32 { return gram * 2654435761 >> (32 - bucketBits) }

// block is where a block is in its file.
type block struct {
	file  vfs.File
	start int64 // of the header
	docs  uint32
}

func (b *block) directory() int64 { return b.start + blockHeader + docKeyOctets*int64(b.docs) }

// builder gathers what goes into one block.
type builder struct {
	docs  []docKey
	grams []uint32 // the trigrams of one message behind those of the other
	ends  []int    // where those of each message end
	seen  []uint64 // a bit for each trigram of the message that is being added

	postings, spare []uint64 // memory for encode
}

// newBuilder returns one for messages of so many octets, which tells how much memory their
// trigrams may take.
func newBuilder(octets int64) *builder {
	return &builder{seen: make([]uint64, 1<<24/64), grams: make([]uint32, 0, min(octets, blockPostings+blockPostings/64))}
}

// add takes a text of the message that end will name, or drop.
func (b *builder) add(folded []byte) {
	if len(folded) < gramOctets {
		return
	}
	gram := uint32(folded[0])<<8 | uint32(folded[1])
	for _, c := range folded[2:] {
		gram = gram<<8&0xffffff | uint32(c)
		if bit := uint64(1) << (gram % 64); b.seen[gram/64]&bit == 0 {
			b.seen[gram/64] |= bit
			b.grams = append(b.grams, gram)
		}
	}
}

// end names the message whose texts were added.
func (b *builder) end(id docKey) {
	b.forget()
	b.docs, b.ends = append(b.docs, id), append(b.ends, len(b.grams))
}

// drop takes back the texts of a message that end will not name.
func (b *builder) drop() {
	b.forget()
	b.grams = b.grams[:b.named()]
}

// forget makes ready for the texts of another message.
func (b *builder) forget() {
	for _, gram := range b.grams[b.named():] {
		b.seen[gram/64] = 0
	}
}

// named returns how many of the trigrams are those of messages that end named.
func (b *builder) named() int {
	if len(b.ends) == 0 {
		return 0
	}
	return b.ends[len(b.ends)-1]
}

// full reports whether the block should be written before the next message.
func (b *builder) full() bool { return len(b.docs) == blockDocs || len(b.grams) >= blockPostings }

// encode returns the block and makes the builder ready for the next one. All that was
// added must have been named or dropped.
func (b *builder) encode() []byte {
	bucketEnds := b.sort()
	out := make([]byte, blockHeader, blockHeader+docKeyOctets*len(b.docs)+4*buckets+2*len(b.postings))
	for _, id := range b.docs {
		out = binary.LittleEndian.AppendUint64(out, uint64(id.blob))
		out = binary.LittleEndian.AppendUint32(out, id.size)
	}
	docsSum := crc32.Checksum(out[blockHeader:], castagnoli)
	directory := len(out)
	out = append(out, make([]byte, 4*buckets)...)
	first := len(out)
	start := 0
	for n, end := range bucketEnds {
		out = appendBucket(out, uint32(n), b.postings[start:end])
		start = end
		binary.LittleEndian.PutUint32(out[directory+4*n:], uint32(len(out)-first))
	}
	h := binary.LittleEndian.AppendUint32(out[:0:blockHeader], blockMagic)
	h = binary.LittleEndian.AppendUint32(h, uint32(len(b.docs)))
	h = binary.LittleEndian.AppendUint64(h, uint64(len(out)))
	h = binary.LittleEndian.AppendUint32(h, docsSum)
	binary.LittleEndian.AppendUint32(h, crc32.Checksum(h, castagnoli))
	b.docs, b.grams, b.ends = b.docs[:0], b.grams[:0], b.ends[:0]
	return out
}

// sort makes postings, each a trigram and a message, sorted within buckets that stand in
// order, and returns where each ends. It takes linear time; to sort all of them by
// comparing took several times as long.
func (b *builder) sort() *[buckets]int {
	var next, ends [buckets]int
	for _, gram := range b.grams {
		ends[bucketOf(gram)]++
	}
	sum, most := 0, 0
	for n, count := range ends {
		next[n] = sum
		sum += count
		ends[n] = sum
		most = max(most, count)
	}
	b.postings = slices.Grow(b.postings[:0], sum)[:sum]
	at := 0
	for doc, end := range b.ends {
		for ; at < end; at++ {
			gram := b.grams[at]
			n := bucketOf(gram)
			b.postings[next[n]] = uint64(gram)<<docBits | uint64(doc)
			next[n]++
		}
	}
	b.spare = slices.Grow(b.spare[:0], most)[:most]
	start := 0
	for _, end := range ends {
		sortGrams(b.postings[start:end], b.spare)
		start = end
	}
	return &ends
}

// sortGrams sorts postings by their trigrams, octet by octet, the last one first; postings
// of one trigram keep their order. spare is as long at least.
func sortGrams(postings, spare []uint64) {
	if len(postings) < 64 { // of which the counts are most of the work
		slices.Sort(postings)
		return
	}
	from, to := postings, spare[:len(postings)]
	for shift := docBits; shift < docBits+8*gramOctets; shift += 8 {
		var next [256]int
		for _, p := range from {
			next[p>>shift&0xff]++
		}
		sum := 0
		for i, count := range next {
			next[i] = sum
			sum += count
		}
		for _, p := range from {
			i := p >> shift & 0xff
			to[next[i]] = p
			next[i]++
		}
		from, to = to, from
	}
	copy(postings, from)
}

// appendBucket appends a bucket: its checksum, and for each trigram its
// octets, how many messages have it, and their numbers as differences.
func appendBucket(out []byte, n uint32, postings []uint64) []byte {
	start := len(out)
	out = append(out, 0, 0, 0, 0)
	for len(postings) > 0 {
		gram := uint32(postings[0]>>docBits) & 0xffffff
		count := 0
		for count < len(postings) && uint32(postings[count]>>docBits)&0xffffff == gram {
			count++
		}
		out = append(out, byte(gram>>16), byte(gram>>8), byte(gram))
		out = binary.AppendUvarint(out, uint64(count))
		last := uint64(0)
		for _, p := range postings[:count] {
			doc := p & (blockDocs - 1)
			out = binary.AppendUvarint(out, doc-last)
			last = doc
		}
		postings = postings[count:]
	}
	binary.LittleEndian.PutUint32(out[start:], bucketSum(n, out[start+4:]))
	return out
}

func bucketSum(n uint32, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(binary.LittleEndian.AppendUint32(nil, n), castagnoli), castagnoli, b)
}

// readBlock reads a block's header and messages, and returns where it ends.
func readBlock(f vfs.File, start int64) (b *block, docs []docKey, end int64, err error) {
	var h [blockHeader]byte
	if _, err := f.ReadAt(h[:], start); err != nil {
		return nil, nil, 0, err
	}
	n, length := binary.LittleEndian.Uint32(h[4:]), binary.LittleEndian.Uint64(h[8:])
	if binary.LittleEndian.Uint32(h[:]) != blockMagic || crc32.Checksum(h[:20], castagnoli) != binary.LittleEndian.Uint32(h[20:]) ||
		n == 0 || n > blockDocs || length > 1<<31 {
		return nil, nil, 0, errBlock
	}
	raw := make([]byte, docKeyOctets*n)
	if _, err := f.ReadAt(raw, start+blockHeader); err != nil {
		return nil, nil, 0, err
	}
	if crc32.Checksum(raw, castagnoli) != binary.LittleEndian.Uint32(h[16:]) {
		return nil, nil, 0, errBlock
	}
	docs = make([]docKey, n)
	for i := range docs {
		at := raw[docKeyOctets*i:]
		docs[i] = docKey{engine.BlobID(binary.LittleEndian.Uint64(at)), binary.LittleEndian.Uint32(at[8:])}
	}
	return &block{f, start, n}, docs, start + int64(length), nil
}

// bucket reads the bucket of a trigram.
func (b *block) bucket(n uint32, buf []byte) ([]byte, error) {
	var ends [8]byte
	if n == 0 {
		if _, err := b.file.ReadAt(ends[4:], b.directory()); err != nil {
			return nil, err
		}
	} else if _, err := b.file.ReadAt(ends[:], b.directory()+4*int64(n-1)); err != nil {
		return nil, err
	}
	from, to := binary.LittleEndian.Uint32(ends[:]), binary.LittleEndian.Uint32(ends[4:])
	if to < from+4 || to-from > blockPostings*8 {
		return nil, errBlock
	}
	buf = slices.Grow(buf[:0], int(to-from))[:to-from]
	if _, err := b.file.ReadAt(buf, b.directory()+4*buckets+int64(from)); err != nil {
		return nil, err
	}
	if bucketSum(n, buf[4:]) != binary.LittleEndian.Uint32(buf) {
		return nil, errBlock
	}
	return buf, nil
}

// lookUp keeps of docs, a bit for each message of the block, those that have a
// trigram. It reports whether any is left.
func (b *block) lookUp(gram uint32, docs *[blockDocs / 64]uint64, buf []byte) (left bool, _ []byte, err error) {
	buf, err = b.bucket(bucketOf(gram), buf)
	if err != nil {
		return false, buf, err
	}
	have := [blockDocs / 64]uint64{}
	for rest := buf[4:]; len(rest) > gramOctets; {
		this := uint32(rest[0])<<16 | uint32(rest[1])<<8 | uint32(rest[2])
		count, n := binary.Uvarint(rest[gramOctets:])
		if n <= 0 || count > blockDocs {
			return false, buf, errBlock
		}
		rest = rest[gramOctets+n:]
		doc := uint64(0)
		for range count {
			d, n := binary.Uvarint(rest)
			if n <= 0 {
				return false, buf, errBlock
			}
			rest = rest[n:]
			if doc += d; this == gram && doc < blockDocs {
				have[doc/64] |= 1 << (doc % 64)
			}
		}
		if this == gram {
			break
		}
	}
	for i := range docs {
		docs[i] &= have[i]
		left = left || docs[i] != 0
	}
	return left, buf, nil
}
