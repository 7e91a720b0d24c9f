package imapwire

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// EncodeUTF7 returns a mailbox name in modified UTF-7 (RFC 3501 §5.1.3).
func EncodeUTF7(s string) string {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f && s[i] != '&'
	}
	if plain {
		return s
	}
	var b strings.Builder
	var pending []rune
	flush := func() {
		if len(pending) == 0 {
			return
		}
		var octets []byte
		for _, u := range utf16.Encode(pending) {
			octets = append(octets, byte(u>>8), byte(u))
		}
		b.WriteByte('&')
		b.WriteString(utf7Base64.EncodeToString(octets))
		b.WriteByte('-')
		pending = pending[:0]
	}
	for _, r := range s {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= ' ' && r < 0x7f:
			flush()
			b.WriteByte(byte(r))
		default:
			pending = append(pending, r)
		}
	}
	flush()
	return b.String()
}

// DecodeUTF7 is the reverse of EncodeUTF7, and refuses any other spelling of a
// name, so that a name has one spelling only.
func DecodeUTF7(s string) (string, error) {
	if strings.IndexByte(s, '&') < 0 {
		for i := range len(s) {
			if s[i] < ' ' || s[i] >= 0x7f {
				return "", &SyntaxError{"the mailbox name is not modified UTF-7"}
			}
		}
		return s, nil
	}
	bad := &SyntaxError{"the mailbox name is not modified UTF-7"}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] != '&' {
			b.WriteByte(s[i])
			i++
			continue
		}
		end := strings.IndexByte(s[i:], '-')
		if end < 0 {
			return "", bad
		}
		code := s[i+1 : i+end]
		i += end + 1
		if code == "" {
			b.WriteByte('&')
			continue
		}
		octets, err := utf7Base64.DecodeString(code)
		if err != nil || len(octets)%2 != 0 {
			return "", bad
		}
		units := make([]uint16, len(octets)/2)
		for j := range units {
			units[j] = uint16(octets[2*j])<<8 | uint16(octets[2*j+1])
		}
		for _, r := range utf16.Decode(units) {
			if r == utf8.RuneError {
				return "", bad
			}
			b.WriteRune(r)
		}
	}
	if EncodeUTF7(b.String()) != s {
		return "", bad
	}
	return b.String(), nil
}
