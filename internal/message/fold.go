package message

import (
	"encoding/binary"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// AppendFold appends s, UTF-8, in the form in which texts are compared: upper
// and lower case are the same, and so are composed and decomposed characters
// (in the manner of i;unicode-casemap, RFC 5051 §2). Octets that are not UTF-8
// stand for themselves.
func AppendFold(dst, s []byte) []byte {
	dst = slices.Grow(dst, len(s))
	for i := 0; i < len(s); {
		for i+8 <= len(s) { // as long as all eight are ASCII
			x := binary.LittleEndian.Uint64(s[i:])
			if x&highBits != 0 {
				break
			}
			dst = binary.LittleEndian.AppendUint64(dst, lowerAll(x))
			i += 8
		}
		if i == len(s) {
			break
		}
		c := s[i]
		if c < utf8.RuneSelf {
			dst = append(dst, lower(c))
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n <= 1 {
			dst = append(dst, c)
			i++
			continue
		}
		if int(r) < len(foldedRunes()) {
			dst = append(dst, foldedRunes()[r]...)
		} else {
			dst = appendFoldRune(dst, r, s[i:i+n])
		}
		i += n
	}
	return dst
}

const (
	eachOctet = 0x0101010101010101
	highBits  = 0x80 * eachOctet
)

// lowerAll is lower for eight octets of ASCII.
func lowerAll(x uint64) uint64 {
	fromA := x + (0x80-'A')*eachOctet // the high bits say which are A or more,
	overZ := x + (0x7f-'Z')*eachOctet // and which are more than Z
	return x | (fromA^overZ)&highBits>>2
}

// foldedRunes are the forms of the characters that take two octets: those of the
// Latin, Greek, Cyrillic, Hebrew and Arabic scripts.
var foldedRunes = sync.OnceValue(func() *[0x800]string {
	var folded [0x800]string
	for r := range rune(len(folded)) {
		folded[r] = string(appendFoldRune(nil, r, utf8.AppendRune(nil, r)))
	}
	return &folded
})

func appendFoldRune(dst []byte, r rune, octets []byte) []byte {
	d := norm.NFKD.Properties(octets).Decomposition()
	if d == nil {
		return utf8.AppendRune(dst, foldRune(r))
	}
	for len(d) > 0 {
		x, n := utf8.DecodeRune(d)
		dst = utf8.AppendRune(dst, foldRune(x))
		d = d[n:]
	}
	return dst
}

func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		return rune(lower(byte(r)))
	}
	return unicode.ToLower(unicode.ToTitle(r))
}

// Fold is AppendFold for strings.
func Fold(s string) string { return string(AppendFold(nil, []byte(s))) }

// AppendCollation appends s, UTF-8, in the form whose octets sort as
// i;unicode-casemap does (RFC 5051 §2): title case, then decomposed.
func AppendCollation(dst []byte, s string) []byte {
	for i, r := range s {
		switch {
		case r < utf8.RuneSelf:
			dst = append(dst, byte(unicode.ToUpper(r)))
		case r == utf8.RuneError:
			dst = append(dst, s[i])
		default:
			dst = norm.NFKD.AppendString(dst, string(unicode.ToTitle(r)))
		}
	}
	return dst
}
