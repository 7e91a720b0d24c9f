package local

import (
	"sync"

	"github.com/klauspost/compress/zstd"
)

var zstdReader = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(16<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
})

// expander gives back the octets of dense frames. It is used by one goroutine.
type expander struct {
	text, binary []byte // parts of a packed frame
	runs         []run
}

// expanders are taken for one frame each, so that a blob that a slow client
// reads does not hold one.
var expanders = sync.Pool{New: func() any { return new(expander) }}

// expandFrame appends the octets of a dense frame, so many, to dst. ok is false
// when it does not hold them.
func expandFrame(dst []byte, coding uint32, stored []byte, octets int, d *dictionary) (_ []byte, ok bool) {
	x := expanders.Get().(*expander)
	defer x.release()
	if coding == framePacked {
		return x.unpack(dst, stored, octets, d)
	}
	text, ok := x.zstd(&x.text, stored, octets, d)
	return append(dst, text...), ok
}

func (x *expander) release() {
	if cap(x.text)+cap(x.binary) <= 6*(frameOctets+dictionaryMax) { // a damaged frame may need much
		expanders.Put(x)
	}
}

// zstd returns the octets of a frame in zstd, so many, in memory.
func (x *expander) zstd(memory *[]byte, stored []byte, octets int, d *dictionary) ([]byte, bool) {
	before := 0
	if d != nil {
		input, ok := d.input(stored, octets)
		if !ok {
			return nil, false
		}
		defer d.release(input)
		before, stored = d.octets, *input
	}
	var err error
	*memory, err = zstdReader().DecodeAll(stored, (*memory)[:0])
	if err != nil || len(*memory) != before+octets {
		return nil, false
	}
	return (*memory)[before:], true
}
