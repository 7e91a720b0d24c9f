package store

import (
	"encoding/binary"
	"iter"

	"github.com/angarium/angarium/internal/engine"
)

// The forms that are kept of messages outlive a stop: else each of them is a read
// beside its message.

const (
	warmFile  = "forms"
	warmBlock = 256 << 10      // octets from which a block is written
	warmEntry = 8 + 2*FormsMax // octets of an entry before its forms: the BlobID, and their lengths
)

func (s *Store) saveWarm() {
	s.opts.Warm.Save(warmFile, s.opts.FormsVersion, warmBlocks(&s.summaries))
}

// warmBlocks yields entries of all messages of which forms are kept.
func warmBlocks(c *summaryCache) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var block []byte
		for id, k := range c.all() {
			if len(k.forms) == 0 {
				continue
			}
			if block = appendWarm(block, id, &k); len(block) < warmBlock {
				continue
			}
			if !yield(block) {
				return
			}
			block = block[:0]
		}
		if len(block) > 0 {
			yield(block)
		}
	}
}

// appendWarm appends the entry of one message.
func appendWarm(dst []byte, id engine.BlobID, k *Known) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(id))
	for i := range FormsMax {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(k.Form(i))))
	}
	for i := range FormsMax {
		dst = append(dst, k.Form(i)...)
	}
	return dst
}

// loadWarm keeps what was kept at the last stop.
func (s *Store) loadWarm() {
	for block := range s.opts.Warm.Load(warmFile, s.opts.FormsVersion) {
		for len(block) > 0 {
			var id engine.BlobID
			var k Known
			if id, k, block = decodeWarm(block); id != 0 {
				s.summaries.put(id, k)
			}
		}
	}
}

// decodeWarm takes one entry from a block. id is 0 where there is none.
func decodeWarm(b []byte) (id engine.BlobID, k Known, rest []byte) {
	if len(b) < warmEntry {
		return 0, k, nil
	}
	id = engine.BlobID(binary.LittleEndian.Uint64(b))
	lengths, rest := b[8:warmEntry], b[warmEntry:]
	var forms [FormsMax][]byte
	for i := range forms {
		n := int(binary.LittleEndian.Uint16(lengths[2*i:]))
		if n > len(rest) {
			return 0, k, nil
		}
		forms[i], rest = rest[:n], rest[n:]
	}
	k.AddForms(forms)
	k.asked = true // which the file does not tell, and most were
	return id, k, rest
}
