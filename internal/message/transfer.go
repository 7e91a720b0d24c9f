package message

import (
	"bytes"
	"io"
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
type quotedPrintable struct{ tail []byte } // the start of an escape, at most 3 octets

func (d *quotedPrintable) append(dst, b []byte) []byte {
	if len(d.tail) > 0 {
		n := min(len(b), 4-len(d.tail))
		joined := append(append([]byte(nil), d.tail...), b[:n]...)
		d.tail = nil
		dst = d.append(dst, joined)
		b = b[n:]
		if len(d.tail) > 0 && len(b) > 0 {
			return d.append(dst, b)
		}
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
			d.tail = append(d.tail[:0], b...)
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

// TransferReader decodes a Content-Transfer-Encoding from r. An unknown
// encoding is identity.
func TransferReader(r io.Reader, encoding string) io.Reader {
	switch toLower(encoding) {
	case "base64":
		var d base64Decoder
		return &transferReader{r: r, decode: d.append}
	case "quoted-printable":
		var d quotedPrintable
		return &transferReader{r: r, decode: d.append}
	}
	return r
}

type transferReader struct {
	r      io.Reader
	decode func(dst, b []byte) []byte
	in     [8 << 10]byte
	out    []byte
	rest   []byte
	err    error
}

func (t *transferReader) Read(p []byte) (int, error) {
	for len(t.rest) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		var n int
		n, t.err = t.r.Read(t.in[:])
		t.out = t.decode(t.out[:0], t.in[:n])
		t.rest = t.out
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

// TextReader returns the text of a part's body in UTF-8, given the part's
// octets.
func TextReader(body io.Reader, part *Part) io.Reader {
	r := TransferReader(body, part.Encoding)
	if e, ok := Charset(param(part.Params, "charset")); ok && e != nil {
		return e.NewDecoder().Reader(r)
	}
	return r
}
