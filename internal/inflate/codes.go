package inflate

import "sync"

const (
	endOfBlock  = 256
	literalsMax = 286 // symbols of the literal and length alphabet that a block may have
	distanceMax = 30  // of the distance alphabet
	codeLenMax  = 15  // bits of a code (RFC 1951 §3.2.7)
	quickBits   = 9   // codes up to this length are found by one look
)

// Lengths and distances with their extra bits (RFC 1951 §3.2.5).
var (
	lengthBase    = [...]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra   = [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase  = [...]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceExtra = [...]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// codeLengthOrder is the order in which the lengths of the code of the
// lengths come (RFC 1951 §3.2.7).
var codeLengthOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// code is a Huffman code (RFC 1951 §3.2.2).
type code struct {
	// quick gives symbol<<4 | length for the next quickBits bits of input; 0
	// for those that begin a longer code, or none.
	quick   [1 << quickBits]uint16
	count   [codeLenMax + 1]uint16 // codes of each length
	symbols [288]uint16            // by code
}

// codes are those of one block.
type codes struct {
	literals, distances code

	// While the block's header is read:
	lengths                        [literalsMax + distanceMax]uint8
	nLiteral, nDistance, nCode, at int
}

var pool = sync.Pool{New: func() any { return new(codes) }}

var fixedCodes = sync.OnceValue(func() *codes {
	var c codes
	var lengths [288]uint8
	for i := range lengths { // §3.2.6
		switch {
		case i < 144, i >= 280:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		default:
			lengths[i] = 7
		}
	}
	c.literals.set(lengths[:])
	var five [32]uint8
	for i := range five {
		five[i] = 5
	}
	c.distances.set(five[:])
	return &c
})

// releaseTables lets go of a block's codes.
func (z *Reader) releaseTables() {
	if z.tables != nil && z.tables != fixedCodes() {
		pool.Put(z.tables)
	}
	z.tables = nil
}

// set makes the code of the symbols' lengths, 0 for a symbol that is not used.
// It reports whether there is such a code: as RFC 1951 §3.2.7 allows for
// distances, it may have one symbol or none; else every sequence of bits must
// mean something.
func (c *code) set(lengths []uint8) bool {
	c.count, c.quick = [codeLenMax + 1]uint16{}, [1 << quickBits]uint16{}
	for _, n := range lengths {
		c.count[n]++
	}
	c.count[0] = 0
	var next, index [codeLenMax + 1]int // the next code of a length, and its place among symbols
	free, used := 1, 0
	for n := 1; n <= codeLenMax; n++ {
		if free = free<<1 - int(c.count[n]); free < 0 {
			return false
		}
		next[n], index[n] = (next[n-1]+int(c.count[n-1]))<<1, index[n-1]+int(c.count[n-1])
		used += int(c.count[n])
	}
	if free > 0 && (used > 1 || used == 1 && c.count[1] != 1) {
		return false
	}
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		c.symbols[index[n]] = uint16(symbol)
		index[n]++
		c.setQuick(next[n], n, symbol)
		next[n]++
	}
	return true
}

// setQuick enters a code in the table by all that can follow it. Codes come
// with their first bit first, so that the table's index has it lowest.
func (c *code) setQuick(bits int, n uint8, symbol int) {
	if n > quickBits {
		return
	}
	reversed := 0
	for range n {
		reversed = reversed<<1 | bits&1
		bits >>= 1
	}
	for i := reversed; i < len(c.quick); i += 1 << n {
		c.quick[i] = uint16(symbol)<<4 | uint16(n)
	}
}

// decode reads the next symbol, if the input has all of its bits.
func (r *run) decode(c *code) (symbol int, ok bool) {
	z := r.z
	for {
		e := c.quick[z.bits&(1<<quickBits-1)]
		if n := uint8(e & 15); n != 0 && n <= z.nbits {
			z.take(n)
			return int(e >> 4), true
		}
		if e == 0 && z.nbits >= quickBits {
			return r.decodeLong(c)
		}
		if !r.need(z.nbits + 1) {
			return 0, false
		}
	}
}

// decodeLong reads a symbol bit by bit.
func (r *run) decodeLong(c *code) (symbol int, ok bool) {
	z := r.z
	first, index, bits := 0, 0, 0
	for n := uint8(1); n <= codeLenMax; n++ {
		if !r.need(n) {
			return 0, false
		}
		bits = bits<<1 | int(z.bits>>(n-1)&1)
		if k := bits - first; k < int(c.count[n]) {
			z.take(n)
			return int(c.symbols[index+k]), true
		}
		first, index = (first+int(c.count[n]))<<1, index+int(c.count[n])
	}
	z.fail()
	return 0, false
}

// codeCounts reads how much the header of a block with its own codes has.
func (r *run) codeCounts() bool {
	z := r.z
	if !r.need(14) {
		return false
	}
	c := pool.Get().(*codes)
	z.tables = c
	c.nLiteral, c.nDistance, c.nCode, c.at = z.take(5)+257, z.take(5)+1, z.take(4)+4, 0
	if c.nLiteral > literalsMax || c.nDistance > distanceMax {
		return z.fail()
	}
	clear(c.lengths[:])
	z.step = stepCodeLengths
	return true
}

// codeLengths reads the code of the lengths.
func (r *run) codeLengths() bool {
	z, c := r.z, r.z.tables
	for ; c.at < c.nCode; c.at++ {
		if !r.need(3) {
			return false
		}
		c.lengths[codeLengthOrder[c.at]] = uint8(z.take(3))
	}
	if !c.literals.set(c.lengths[:len(codeLengthOrder)]) {
		return z.fail()
	}
	clear(c.lengths[:])
	c.at, z.code, z.step = 0, 0, stepLengths
	return true
}

// lengths reads the lengths of the block's codes. A symbol and the count
// behind it are read in one.
func (r *run) lengths() bool {
	z, c := r.z, r.z.tables
	for total := c.nLiteral + c.nDistance; c.at < total; {
		if z.code == 0 { // no repetition waits for its count
			symbol, ok := r.decode(&c.literals)
			if !ok {
				return false
			}
			if symbol < 16 {
				c.lengths[c.at] = uint8(symbol)
				c.at++
				continue
			}
			z.code = symbol
		}
		if !r.repeat(total) {
			return false
		}
	}
	if c.lengths[endOfBlock] == 0 || !c.literals.set(c.lengths[:c.nLiteral]) || !c.distances.set(c.lengths[c.nLiteral:c.nLiteral+c.nDistance]) {
		return z.fail()
	}
	z.step = stepSymbol
	return true
}

// repeat repeats a length as the symbols 16 to 18 say (RFC 1951 §3.2.7).
func (r *run) repeat(total int) bool {
	z, c := r.z, r.z.tables
	kind := [...]struct {
		extra uint8
		least int
	}{{2, 3}, {3, 3}, {7, 11}}[z.code-16]
	if z.code == 16 && c.at == 0 {
		return z.fail()
	}
	if !r.need(kind.extra) {
		return false
	}
	n := kind.least + z.take(kind.extra)
	if c.at+n > total {
		return z.fail()
	}
	if z.code == 16 {
		for i := range n {
			c.lengths[c.at+i] = c.lengths[c.at-1]
		}
	}
	c.at, z.code = c.at+n, 0
	return true
}
