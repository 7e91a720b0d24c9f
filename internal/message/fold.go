package message

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// AppendFold appends s, UTF-8, in the form in which texts are compared: upper
// and lower case are the same, and so are composed and decomposed characters
// (in the manner of i;unicode-casemap, RFC 5051 §2). Octets that are not UTF-8
// stand for themselves.
func AppendFold(dst, s []byte) []byte {
	for i := 0; i < len(s); {
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
		dst = appendFoldRune(dst, r, s[i:i+n])
		i += n
	}
	return dst
}

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
