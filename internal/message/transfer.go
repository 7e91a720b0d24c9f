package message

import (
	"bytes"
	"io"

	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// base64Values maps octets to their six bits, or 255.
var base64Values = func() (t [256]byte) {
	for i := range t {
		t[i] = 255
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

// appendBase64 decodes what is base64 in b and skips the rest (RFC 2045 §6.8).
func appendBase64(dst, b []byte) []byte {
	var d base64Decoder
	return d.append(dst, b)
}

// base64Decoder keeps the bits of an unfinished quantum between pieces.
type base64Decoder struct {
	bits uint32
	n    int
}

func (d *base64Decoder) append(dst, b []byte) []byte {
	for i := 0; i < len(b); i++ {
		// Four good characters at once, the usual case.
		for d.n == 0 && i+4 <= len(b) {
			x0, x1, x2, x3 := base64Values[b[i]], base64Values[b[i+1]], base64Values[b[i+2]], base64Values[b[i+3]]
			if (x0|x1|x2|x3)&0xc0 != 0 {
				break
			}
			dst = append(dst, x0<<2|x1>>4, x1<<4|x2>>2, x2<<6|x3)
			i += 4
		}
		if i == len(b) {
			break
		}
		v := base64Values[b[i]]
		if v == 255 {
			if b[i] == '=' { // padding ends a quantum
				d.n, d.bits = 0, 0
			}
			continue
		}
		d.bits = d.bits<<6 | uint32(v)
		switch d.n++; d.n {
		case 2:
			dst = append(dst, byte(d.bits>>4))
		case 3:
			dst = append(dst, byte(d.bits>>2))
		case 4:
			dst = append(dst, byte(d.bits))
			d.n, d.bits = 0, 0
		}
	}
	return dst
}

// quotedPrintable decodes in pieces (RFC 2045 §6.7). White space at line ends
// is kept: for searching it does no harm.
type quotedPrintable struct {
	tail  [escapeLen - 1]byte // the start of an escape
	tailN int
}

const escapeLen = 3 // octets

func (d *quotedPrintable) append(dst, b []byte) []byte {
	for d.tailN > 0 && len(b) > 0 { // until it is whole, what follows comes octet by octet
		var joined [escapeLen]byte
		n := copy(joined[:], d.tail[:d.tailN])
		joined[n], d.tailN = b[0], 0
		dst, b = d.append(dst, joined[:n+1]), b[1:]
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '=')
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(dst, b[:i]...)
		b = b[i:]
		switch {
		case len(b) >= 2 && b[1] == '\n':
			b = b[2:]
		case len(b) >= 3 && b[1] == '\r' && b[2] == '\n':
			b = b[3:]
		case len(b) < 3:
			d.tailN = copy(d.tail[:], b)
			return dst
		case unhex(b[1]) < 16 && unhex(b[2]) < 16:
			dst = append(dst, unhex(b[1])<<4|unhex(b[2]))
			b = b[3:]
		default:
			dst = append(dst, '=')
			b = b[1:]
		}
	}
	return dst
}

// Decoding is a place in a text with a transfer encoding from which decoding can go
// on without what is before.
type Decoding struct {
	Encoded, Decoded int64 // octets before it: of the text, and what they gave
	base64           base64Decoder
	qp               quotedPrintable
}

// ResumeTransfer decodes base64, or quoted-printable, from a place on. r has the
// octets of the text that are behind it.
func ResumeTransfer(r io.Reader, quoted bool, from Decoding) *TransferReader {
	t := &TransferReader{}
	t.reset(r, quoted)
	t.from, t.base64, t.qp = from, from.base64, from.qp
	return t
}

// Place returns a place shortly before what was read last.
func (t *TransferReader) Place() Decoding { return t.from }

// TextReader returns the text of a part's body in UTF-8, given the part's
// octets.
func TextReader(body io.Reader, part *Part) io.Reader { return new(TextDecoder).Reader(body, part) }

// TextDecoder decodes one text after the other in the same memory.
type TextDecoder struct {
	decoding TransferReader
	convert  charsetReader
}

// Reader is TextReader. What it returns is good until the next call.
func (d *TextDecoder) Reader(body io.Reader, part *Part) io.Reader {
	r := d.transfer(body, part.Encoding)
	if e, ok := Charset(param(part.Params, "charset")); ok && e != nil {
		return d.convert.reset(r, e)
	}
	return r
}

func (d *TextDecoder) transfer(r io.Reader, encoding string) io.Reader {
	switch toLower(encoding) {
	case "base64":
		return d.decoding.reset(r, false)
	case "quoted-printable":
		return d.decoding.reset(r, true)
	}
	return r
}

// TransferReader reads what a text with a transfer encoding stands for.
type TransferReader struct {
	r      io.Reader
	quoted bool // else base64
	base64 base64Decoder
	qp     quotedPrintable
	in     []byte
	out    []byte
	rest   []byte
	err    error
	from   Decoding // where out begins
	taken  int      // octets of in that out was made of
}

func (t *TransferReader) reset(r io.Reader, quoted bool) io.Reader {
	if t.in == nil {
		t.in = make([]byte, 8<<10)
	}
	*t = TransferReader{r: r, quoted: quoted, in: t.in, out: t.out[:0]}
	return t
}

func (t *TransferReader) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.from.Encoded += int64(t.taken)
		t.from.Decoded += int64(len(t.out))
		t.from.base64, t.from.qp = t.base64, t.qp
		t.taken, t.err = t.r.Read(t.in)
		if t.quoted {
			t.out = t.qp.append(t.out[:0], t.in[:t.taken])
		} else {
			t.out = t.base64.append(t.out[:0], t.in[:t.taken])
		}
		t.rest = t.out
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// charsetReader converts text to UTF-8 as transform.Reader does, but can be used
// again.
type charsetReader struct {
	r       io.Reader
	t       transform.Transformer
	in, out []byte
	raw     []byte // of in, to be converted
	rest    []byte // of out, to be read
	done    bool   // no more comes
	err     error  // of r; when it is done, the last answer
}

func (c *charsetReader) reset(r io.Reader, e encoding.Encoding) io.Reader {
	if c.in == nil {
		c.in, c.out = make([]byte, 4<<10), make([]byte, 8<<10)
	}
	*c = charsetReader{r: r, t: e.NewDecoder(), in: c.in, out: c.out}
	return c
}

func (c *charsetReader) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		if c.done {
			return 0, c.err
		}
		wrote, took, err := c.t.Transform(c.out, c.raw, c.err == io.EOF)
		c.raw, c.rest = c.raw[took:], c.out[:wrote]
		switch {
		case err == transform.ErrShortDst && wrote+took > 0: // what there is must be read first
		case (err == nil || err == transform.ErrShortSrc) && c.err == nil && len(c.raw) < len(c.in):
			kept := copy(c.in, c.raw)
			var n int
			n, c.err = c.r.Read(c.in[kept:])
			c.raw = c.in[:kept+n]
		default:
			if c.done = true; err != nil && (c.err == nil || c.err == io.EOF) {
				c.err = err
			}
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}
