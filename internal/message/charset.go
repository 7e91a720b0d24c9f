package message

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// Charset returns the encoding of a charset name in any case. A nil encoding
// with ok means that text in it is UTF-8 already.
func Charset(name string) (e encoding.Encoding, ok bool) {
	name = toLower(strings.Trim(name, ` "'`))
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "unknown-8bit":
		return nil, true
	case "utf-16", "utf16":
		return unicode.UTF16(unicode.BigEndian, unicode.UseBOM), true // RFC 2781 §4.3
	}
	if e, err := htmlindex.Get(name); err == nil {
		return e, true
	}
	if e, err := ianaindex.MIME.Encoding(name); err == nil && e != nil {
		return e, true
	}
	return nil, false
}

// ToUTF8 returns text in UTF-8. Text in an unknown charset, or with octets that
// are none of its charset, comes through as well as it can.
func ToUTF8(text, charset string) string {
	e, ok := Charset(charset)
	if ok && e != nil {
		if s, err := e.NewDecoder().String(text); err == nil {
			return s
		}
	}
	if !utf8.ValidString(text) {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	return text
}
