package store

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/vfs"
)

// The forms that are kept of messages outlive a stop in order in a file of their own,
// so that a server that was restarted answers as fast as before: what clients ask for
// lies beside the messages, one read for each, otherwise. What the file has of a blob
// stays true as long as the blob is what it was. That the store was not put back to
// an earlier time, where blobs to come would get the same ids, shows in a note that
// the engine has from the same stop. The file is not needed and nobody waits for
// it to be durable: one that is damaged, or of another stop, is as good as none.

// Warm says where that file is.
type Warm struct {
	FS   vfs.FS
	Name string // "": nothing outlives a stop
	// Version is another one whenever a server sends other forms of the same summary.
	Version uint64
}

const (
	warmMagic    = "ANGWARM1"
	warmNote     = 16             // octets that the engine has, too
	warmHead     = 8              // of a block: octets of its payload, and their CRC-32C
	warmBlock    = 256 << 10      // octets from which a block is written
	warmBlockMax = 1 << 20        // of one that is read
	warmEntry    = 8 + 2*FormsMax // of an entry, before its forms: the BlobID and their lengths
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// first returns the first block's payload, which says what the file is of.
func (w *Warm) first(note []byte) []byte {
	return binary.LittleEndian.AppendUint64(append([]byte(warmMagic), note...), w.Version)
}

// saveWarm writes what is kept, and a note into the engine, which is closed next.
func (s *Store) saveWarm() {
	w := &s.opts.Warm
	if w.Name == "" {
		return
	}
	note := make([]byte, warmNote)
	rand.Read(note)
	w.write(note, &s.summaries) // as far as it came, it is right
	s.engine.SetNote(note)
}

func (w *Warm) write(note []byte, c *summaryCache) error {
	if err := w.FS.RemoveAll(w.Name); err != nil {
		return err
	}
	f, err := w.FS.Create(w.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	offset := int64(0)
	put := func(payload []byte) error {
		head := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
		head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(payload, castagnoli))
		if _, err := f.WriteAt(append(head, payload...), offset); err != nil {
			return err
		}
		offset += int64(len(head) + len(payload))
		return nil
	}
	if err := put(w.first(note)); err != nil {
		return err
	}
	var block []byte
	for id, k := range c.all() {
		if len(k.forms) == 0 {
			continue
		}
		if block = appendWarm(block, id, &k); len(block) >= warmBlock {
			if err := put(block); err != nil {
				return err
			}
			block = block[:0]
		}
	}
	if len(block) == 0 {
		return nil
	}
	return put(block)
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

// loadWarm keeps what the file has, and removes it: it is of the last stop.
func (s *Store) loadWarm(note []byte) {
	w := &s.opts.Warm
	f, err := w.FS.Open(w.Name)
	if err != nil {
		return
	}
	defer w.FS.Remove(w.Name)
	defer f.Close()
	offset := int64(0)
	next := func() []byte {
		payload := readWarm(f, offset)
		offset += warmHead + int64(len(payload))
		return payload
	}
	if len(note) != warmNote || !bytes.Equal(next(), w.first(note)) {
		return
	}
	for block := next(); len(block) > 0; block = next() {
		for len(block) > 0 {
			var id engine.BlobID
			var k Known
			if id, k, block = decodeWarm(block); id != 0 {
				s.summaries.put(id, k)
			}
		}
	}
}

// readWarm returns the payload of a block, nil for none and for a damaged one.
func readWarm(f vfs.File, offset int64) []byte {
	var head [warmHead]byte
	if n, _ := f.ReadAt(head[:], offset); n < len(head) {
		return nil
	}
	length := binary.LittleEndian.Uint32(head[:])
	if length > warmBlockMax {
		return nil
	}
	payload := make([]byte, length)
	if n, _ := f.ReadAt(payload, offset+warmHead); n < len(payload) || crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil
	}
	return payload
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
	return id, k, rest
}
