package local

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// windowOctets is how far back a frame may refer: over all of the dictionary.
const windowOctets = 256 << 10

// coder makes the dense form of blobs, all for one segment.
type coder struct {
	enc    *zstd.Encoder
	prefix *dictionary // nil: there is none
	octets []byte      // memory for one frame
}

// newCoder returns a coder with a dictionary, or without one if it is nil.
func newCoder(dictionary []byte) (c *coder, err error) {
	c = &coder{}
	// Frames have no checksum of their own: their entries in the table have.
	o := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithWindowSize(windowOctets)}
	if dictionary != nil {
		c.prefix = newDictionary(dictionary)
		o = append(o, zstd.WithEncoderDictRaw(0, dictionary)) // 0: the blob's head names it
	}
	c.enc, err = zstd.NewWriter(nil, o...)
	return c, err
}

// dictionaryRecord returns the payload of a dictionary's record, nil for none.
func dictionaryRecord(dictionary []byte) ([]byte, error) {
	if dictionary == nil {
		return nil, nil
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(dictionary, nil), nil
}

// encode returns the payload of a moved blob's record.
func (c *coder) encode(p pending) []byte {
	var table, frames []byte
	for frame := range slices.Chunk(p.octets, frameOctets) {
		stored, coding := c.frame(frame)
		table = appendFrame(table, stored, coding)
		frames = append(frames, stored...)
	}
	h := head{size: int64(len(p.octets)), sha256: p.sha256}
	if c.prefix != nil {
		h.dictionary = segmentHeader // the segment's first record
	}
	payload := binary.LittleEndian.AppendUint64(nil, uint64(p.id))
	payload = startBlob(payload, h, table, p.summary)
	return append(payload, frames...)
}

// frame returns a frame as it is stored: dense when that saves enough and gives
// back the same octets. Octets come from anybody: what makes the coding panic stays
// as it is, or the server would end by it after each start.
func (c *coder) frame(frame []byte) (stored []byte, coding uint32) {
	defer func() {
		if recover() != nil {
			stored, coding = frame, 0
		}
	}()
	stored, coding = pack(frame, c.compress), framePacked
	if stored == nil {
		stored, coding = c.compress(frame), frameZstd
	}
	if stored == nil || !saves(len(stored), len(frame)) {
		return frame, 0
	}
	var ok bool
	if c.octets, ok = expandFrame(c.octets[:0], coding, stored, len(frame), c.prefix); !ok || !bytes.Equal(c.octets, frame) {
		return frame, 0
	}
	return stored, coding
}

// compress returns octets in zstd, or nil when that saves little.
func (c *coder) compress(octets []byte) []byte {
	if z := c.enc.EncodeAll(octets, nil); saves(len(z), len(octets)) {
		return z
	}
	return nil
}

// saves reports whether octets are worth to be decoded when they are read.
func saves(stored, octets int) bool { return stored <= octets-octets/16 }
