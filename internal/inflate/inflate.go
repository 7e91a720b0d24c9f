package inflate

import (
	"errors"
	"io"
)

// ErrCorrupt is what is no DEFLATE stream.
var ErrCorrupt = errors.New("the compressed data is damaged")

// step is what a Reader expects next (RFC 1951 §3.2.3).
type step uint8

const (
	stepBlock        step = iota // three bits before each block
	stepStoredLength             // of a stored block, and its complement (§3.2.4)
	stepStored                   // its octets
	stepCounts                   // how many code lengths follow (§3.2.7)
	stepCodeLengths              // the lengths of the code in which the lengths are written
	stepLengths                  // the lengths of both codes
	stepSymbol                   // a literal, a length or the end of the block (§3.2.5)
	stepLengthBits               // the extra bits of a length
	stepDistance                 // the code of a distance
	stepDistanceBits             // its extra bits
	stepMatch                    // octets to be repeated
	stepEnded                    // behind the last block
)

// Reader is the state of one stream. The zero value stands at its start.
type Reader struct {
	bits  uint64 // nbits of the input that are not used yet, the first one lowest
	nbits uint8
	step  step
	last  bool // the block is the last one
	empty bool // the block held nothing so far
	full  bool // the last call ended for want of room
	err   error

	left   int    // octets of the stored block or of the match
	back   int    // how far back the match begins
	code   int    // symbol whose extra bits are missing
	tables *codes // of a block with codes, else nil

	ring  []byte // what was put out before this call, as far as a match can reach
	total int    // octets put out before this call, at most windowMax
	at    int    // where in ring the next one comes
}

// More reports whether a further call could put something out without input.
func (z *Reader) More() bool { return z.full }

// Between reports whether the stream stands between two blocks.
func (z *Reader) Between() bool { return z.step == stepBlock }

// Inflate decompresses from src to dst, and says how much it put out and took.
// It returns when dst is full, when src is used up, behind an empty block - the
// mark of a flush - once there is output, and with io.EOF behind the last block.
func (z *Reader) Inflate(dst, src []byte) (n, used int, err error) {
	if z.err != nil {
		return 0, 0, z.err
	}
	r := run{z: z, dst: dst, src: src}
	z.full = false
	for r.step() {
	}
	z.remember(dst[:r.n])
	if z.step == stepEnded {
		z.err = io.EOF
	}
	if z.err != nil {
		z.releaseTables()
	}
	return r.n, r.used, z.err
}

// run is one call of Inflate.
type run struct {
	z    *Reader
	dst  []byte
	n    int
	src  []byte
	used int
}

// need makes n bits available, if the input has them.
func (r *run) need(n uint8) bool {
	z := r.z
	for z.nbits < n {
		if r.used == len(r.src) {
			return false
		}
		z.bits |= uint64(r.src[r.used]) << z.nbits
		z.nbits += 8
		r.used++
	}
	return true
}

// take takes n bits that are available.
func (z *Reader) take(n uint8) int {
	v := z.bits & (1<<n - 1)
	z.bits >>= n
	z.nbits -= n
	return int(v)
}

func (z *Reader) fail() bool {
	z.err = ErrCorrupt
	return false
}

// step goes on by one step, and reports whether a further one is possible.
func (r *run) step() bool {
	switch z := r.z; z.step {
	case stepBlock:
		return r.blockHeader()
	case stepStoredLength:
		return r.storedLength()
	case stepStored:
		return r.stored()
	case stepCounts:
		return r.codeCounts()
	case stepCodeLengths:
		return r.codeLengths()
	case stepLengths:
		return r.lengths()
	case stepSymbol:
		return r.symbols()
	case stepLengthBits:
		return r.lengthBits()
	case stepDistance:
		return r.distance()
	case stepDistanceBits:
		return r.distanceBits()
	case stepMatch:
		return r.match()
	default:
		return false
	}
}

func (r *run) blockHeader() bool {
	z := r.z
	if !r.need(3) {
		return false
	}
	z.last, z.empty = z.take(1) == 1, true
	switch z.take(2) {
	case 0:
		z.take(z.nbits % 8) // §3.2.4: up to the next octet
		z.step = stepStoredLength
	case 1:
		z.tables, z.step = fixedCodes(), stepSymbol
	case 2:
		z.step = stepCounts
	default:
		return z.fail()
	}
	return true
}

func (r *run) storedLength() bool {
	z := r.z
	if !r.need(32) {
		return false
	}
	z.left = z.take(16)
	if z.take(16) != z.left^0xffff {
		return z.fail()
	}
	if z.left == 0 {
		return r.endBlock()
	}
	z.empty, z.step = false, stepStored
	return true
}

func (r *run) stored() bool {
	z := r.z
	if r.n == len(r.dst) {
		z.full = true
		return false
	}
	k := copy(r.dst[r.n:], r.src[r.used:min(len(r.src), r.used+z.left)])
	r.n, r.used, z.left = r.n+k, r.used+k, z.left-k
	if z.left == 0 {
		return r.endBlock()
	}
	return k > 0
}

// endBlock ends a block. Behind a flush it reports false.
func (r *run) endBlock() bool {
	z := r.z
	z.releaseTables()
	if z.last {
		z.step = stepEnded
		return false
	}
	z.step = stepBlock
	return !z.empty || r.n == 0
}

// symbols reads literals until something else comes.
func (r *run) symbols() bool {
	z := r.z
	for {
		if r.n == len(r.dst) {
			z.full = true
			return false
		}
		code, ok := r.decode(&z.tables.literals)
		switch {
		case !ok:
			return false
		case code < endOfBlock:
			r.dst[r.n] = byte(code)
			r.n++
			z.empty = false
			continue
		case code == endOfBlock:
			return r.endBlock()
		case code >= endOfBlock+1+len(lengthBase):
			return z.fail()
		}
		z.code, z.step, z.empty = code-endOfBlock-1, stepLengthBits, false
		return true
	}
}

func (r *run) lengthBits() bool {
	z := r.z
	extra := lengthExtra[z.code]
	if !r.need(extra) {
		return false
	}
	z.left = int(lengthBase[z.code]) + z.take(extra)
	z.step = stepDistance
	return true
}

func (r *run) distance() bool {
	z := r.z
	code, ok := r.decode(&z.tables.distances)
	switch {
	case !ok:
		return false
	case code >= len(distanceBase):
		return z.fail()
	}
	z.code, z.step = code, stepDistanceBits
	return true
}

func (r *run) distanceBits() bool {
	z := r.z
	extra := distanceExtra[z.code]
	if !r.need(extra) {
		return false
	}
	z.back = int(distanceBase[z.code]) + z.take(extra)
	if z.back > z.total+r.n {
		return z.fail()
	}
	z.step = stepMatch
	return true
}
