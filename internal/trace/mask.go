package trace

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// masked stands for a secret.
const masked = "***"

// secretWords are the commands of all protocols whose arguments are secrets. A
// mailbox of such a name hides more than need be.
var secretWords = map[string]bool{"LOGIN": true, "AUTHENTICATE": true, "AUTH": true, "PASS": true, "APOP": true}

// secretAt returns where the arguments of a command with secrets begin, or -1.
// The command is looked for among the first words: people who type forget the
// tag.
func secretAt(line []byte) (at int, word string) {
	for range 3 {
		for at < len(line) && line[at] <= ' ' {
			at++
		}
		begin := at
		for at < len(line) && (line[at]|0x20) >= 'a' && (line[at]|0x20) <= 'z' {
			at++
		}
		word = strings.ToUpper(string(line[begin:at]))
		if secretWords[word] && (at == len(line) || line[at] <= ' ' || line[at] == '{' || line[at] == '"') {
			return at, word
		}
		for at < len(line) && line[at] > ' ' {
			at++
		}
	}
	return -1, ""
}

// isOneWord reports whether a line may be an answer of a SASL exchange.
func isOneWord(line []byte) bool { return len(bytes.Fields(line)) <= 1 }

var (
	// token is what authorizes a URL (RFC 4467 §4), behind its mechanism.
	token = regexp.MustCompile(`(?i)(urlauth=[^\s":]*:[^\s":]*:)[^\s"()]+`)
	// digits are those of a token that a broken URL holds.
	digits = regexp.MustCompile(`[0-9a-fA-F]{60,}`)
)

// maskURLs takes the tokens of authorized URLs out of a text.
func maskURLs(b []byte) []byte {
	if bytes.IndexByte(b, ':') < 0 {
		return b
	}
	b = token.ReplaceAll(b, []byte("${1}"+masked))
	return digits.ReplaceAll(b, []byte(masked))
}

// appendText appends a text as one line that a terminal shows as it is.
func appendText(b, text []byte) []byte {
	const hex = "0123456789abcdef"
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\n':
			b = append(b, `\n`...)
		case r == utf8.RuneError && n == 1, unicode.IsControl(r) && r != '\t':
			for _, c := range text[:n] {
				b = append(b, '\\', 'x', hex[c>>4], hex[c&15])
			}
		default:
			b = append(b, text[:n]...)
		}
		text = text[n:]
	}
	return b
}
