package message

import (
	"strings"
)

// DecodeHeader returns an unstructured field's value with its encoded words
// decoded (RFC 2047 §6.2): white space between two of them goes, what is not
// well formed stays as it is. Linear in the length of s.
func DecodeHeader(s string) string {
	if !strings.Contains(s, "=?") {
		return ToUTF8(s, "")
	}
	var b strings.Builder
	var pending struct { // raw octets of adjacent words in one charset
		charset string
		octets  strings.Builder
		any     bool
	}
	flush := func() {
		if pending.any {
			b.WriteString(ToUTF8(pending.octets.String(), pending.charset))
			pending.octets.Reset()
			pending.any = false
		}
	}
	for i := 0; i < len(s); {
		j := strings.Index(s[i:], "=?")
		if j < 0 {
			flush()
			b.WriteString(ToUTF8(s[i:], ""))
			break
		}
		charset, octets, n, ok := encodedWord(s[i+j:])
		if !ok {
			flush()
			b.WriteString(ToUTF8(s[i:i+j+2], ""))
			i += j + 2
			continue
		}
		if gap := s[i : i+j]; strings.Trim(gap, " \t\r\n") != "" || !pending.any {
			flush()
			b.WriteString(ToUTF8(gap, ""))
		}
		if pending.any && !equalFold(pending.charset, charset) {
			flush()
		}
		pending.any, pending.charset = true, charset
		pending.octets.WriteString(octets)
		i += j + n
	}
	flush()
	return b.String()
}

// encodedWordMax bounds the search for the end of an encoded word. RFC 2047 §2
// allows 75 octets; mail has longer ones.
const encodedWordMax = 2000

// encodedWord decodes the encoded word at the start of s and returns its
// length.
func encodedWord(s string) (charset, octets string, n int, ok bool) {
	s = s[:min(len(s), encodedWordMax)]
	charset, rest, ok := strings.Cut(s[2:], "?")
	if !ok || charset == "" || len(rest) < 2 || rest[1] != '?' {
		return "", "", 0, false
	}
	text, _, ok := strings.Cut(rest[2:], "?=")
	if !ok || strings.ContainsAny(text, " \t\r\n?") && rest[0]|0x20 == 'b' {
		return "", "", 0, false
	}
	n = 2 + len(charset) + 3 + len(text) + 2
	charset, _, _ = strings.Cut(charset, "*") // RFC 2231 §5: a language
	if strings.ContainsAny(charset, " \t\r\n()<>@,;:\"/[].=") {
		return "", "", 0, false
	}
	switch rest[0] | 0x20 {
	case 'b':
		return charset, string(appendBase64(nil, []byte(text))), n, true
	case 'q':
		return charset, string(appendQ(nil, text)), n, true
	}
	return "", "", 0, false
}

func appendQ(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '_':
			dst = append(dst, ' ')
		case c == '=' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16:
			dst = append(dst, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
