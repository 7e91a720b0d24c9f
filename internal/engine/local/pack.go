package local

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
)

// A packed frame keeps lines of base64 as what they encode, which is a quarter
// smaller than they and mostly dense already. It holds the flags, the number of
// runs of such lines, the runs, the stored length of the text around them, the
// text, and what the runs encode. docs/format.md, "Blob".
const (
	packedTextZstd   = 1 // flag: the text is compressed
	packedBinaryZstd = 2 // flag: what the runs encode is
)

// Lines of this many octets in base64 are recoded, when runMin of them follow
// each other. They end in CRLF.
const (
	lineMin = 48
	lineMax = 998 // RFC 5322 §2.1.1
	runMin  = 2
)

// run is lines of base64 of one length. A frame has few of them.
type run struct {
	before int // octets between the run before and this one
	line   int // octets of a line without its end, a multiple of 4
	lines  int
}

func (r run) octets() int  { return r.lines * (r.line + 2) }
func (r run) encodes() int { return r.lines * r.line / 4 * 3 }

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" // RFC 4648 §4

var inBase64 = func() (is [256]bool) {
	for _, c := range []byte(alphabet) {
		is[c] = true
	}
	return is
}()

// base64Line returns the length of the line that b begins with, without its
// end, when it is one of base64, else 0; and the octets with its end.
func base64Line(b []byte) (line, octets int) {
	if octets = bytes.IndexByte(b, '\n') + 1; octets == 0 {
		return 0, len(b)
	}
	line = octets - 2
	if line < lineMin || line > lineMax || line%4 != 0 || b[line] != '\r' ||
		slices.ContainsFunc(b[:line], func(c byte) bool { return !inBase64[c] }) {
		return 0, octets
	}
	return line, octets
}

// findRuns returns the runs of base64 in a frame.
func findRuns(frame []byte) (runs []run) {
	end := 0 // of the last run
	for at := 0; at < len(frame); {
		line, octets := base64Line(frame[at:])
		r := run{before: at - end, line: line, lines: 1}
		for at += octets; line > 0; at += octets {
			var next int
			if next, octets = base64Line(frame[at:]); next != line {
				break
			}
			r.lines++
		}
		if line > 0 && r.lines >= runMin {
			runs = append(runs, r)
			end = at
		}
	}
	return runs
}

// split takes a frame apart: the text around the runs, and what these encode.
func split(frame []byte, runs []run) (text, binary []byte) {
	for _, r := range runs {
		text = append(text, frame[:r.before]...)
		frame = frame[r.before:]
		for range r.lines {
			// Four such octets are three octets, and these are these four again.
			binary, _ = base64.StdEncoding.AppendDecode(binary, frame[:r.line])
			frame = frame[r.line+2:]
		}
	}
	return append(text, frame...), binary
}

// pack returns the packed form of a frame, or nil when there is no base64 in it.
func pack(frame []byte, compress func([]byte) []byte) []byte {
	runs := findRuns(frame)
	if len(runs) == 0 {
		return nil
	}
	text, encoded := split(frame, runs)
	flags := byte(0)
	if c := compress(text); c != nil {
		flags, text = flags|packedTextZstd, c
	}
	if c := compress(encoded); c != nil {
		flags, encoded = flags|packedBinaryZstd, c
	}
	b := binary.AppendUvarint([]byte{flags}, uint64(len(runs)))
	for _, r := range runs {
		for _, n := range []int{r.before, r.line, r.lines} {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(append(b, text...), encoded...)
}

// packed is a packed frame, decoded as far as its parts.
type packed struct {
	flags        byte
	runs         []run
	text, binary []byte // as stored
	textLen      int    // octets of the text
	binaryLen    int    // octets that the runs encode
}

// decodePacked reads a packed frame of so many octets. What it returns shares b
// and the memory of runs.
func decodePacked(b []byte, octets int, runs []run) (p packed, ok bool) {
	if len(b) == 0 {
		return p, false
	}
	p.flags, b = b[0], b[1:]
	number := func() int { // at most octets, or -1
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(octets) {
			return -1
		}
		b = b[size:]
		return int(n)
	}
	p.runs, p.textLen = runs[:0], octets
	rest := octets
	for range number() {
		r := run{before: number(), line: number(), lines: number()}
		if r.before < 0 || r.line <= 0 || r.line%4 != 0 || r.lines <= 0 || r.octets() > rest-r.before {
			return p, false
		}
		rest -= r.before + r.octets()
		p.textLen -= r.octets()
		p.binaryLen += r.encodes()
		p.runs = append(p.runs, r)
	}
	n := number()
	if n < 0 || n > len(b) || len(p.runs) == 0 {
		return p, false
	}
	p.text, p.binary = b[:n], b[n:]
	return p, true
}

// unpack appends the octets of a packed frame, so many of them, to dst.
func (x *expander) unpack(dst, stored []byte, octets int, d *dictionary) (_ []byte, ok bool) {
	p, ok := decodePacked(stored, octets, x.runs)
	if !ok {
		return dst, false
	}
	x.runs = p.runs
	text, encoded := p.text, p.binary
	if p.flags&packedTextZstd != 0 {
		text, ok = x.zstd(&x.text, text, p.textLen, d)
	}
	if ok && p.flags&packedBinaryZstd != 0 {
		encoded, ok = x.zstd(&x.binary, encoded, p.binaryLen, d)
	}
	if !ok || len(text) != p.textLen || len(encoded) != p.binaryLen {
		return dst, false
	}
	dst = slices.Grow(dst, octets)
	for _, r := range p.runs {
		dst = append(dst, text[:r.before]...)
		text = text[r.before:]
		for range r.lines {
			n := r.line / 4 * 3
			end := len(dst) + r.line
			dst = dst[:end+2]
			encodeBase64(dst[end-r.line:end], encoded[:n])
			dst[end], dst[end+1] = '\r', '\n'
			encoded = encoded[n:]
		}
	}
	return append(dst, text...), true
}

// inPairs holds two digits of base64 for each value of 12 bits.
var inPairs = func() (pairs [1 << 12]uint16) {
	for i := range pairs {
		pairs[i] = uint16(alphabet[i>>6]) | uint16(alphabet[i&63])<<8
	}
	return pairs
}()

// encodeBase64 writes len(src)/3*4 digits to dst. The library's way takes twice
// as long, and most octets of mail come through here.
func encodeBase64(dst, src []byte) {
	for ; len(src) >= 8; dst, src = dst[8:], src[6:] {
		v := binary.BigEndian.Uint64(src)
		binary.LittleEndian.PutUint64(dst, uint64(inPairs[v>>52])|uint64(inPairs[v>>40&0xfff])<<16|
			uint64(inPairs[v>>28&0xfff])<<32|uint64(inPairs[v>>16&0xfff])<<48)
	}
	for ; len(src) >= 3; dst, src = dst[4:], src[3:] {
		v := uint32(src[0])<<16 | uint32(src[1])<<8 | uint32(src[2])
		binary.LittleEndian.PutUint32(dst, uint32(inPairs[v>>12])|uint32(inPairs[v&0xfff])<<16)
	}
}
