package message

import (
	"strconv"
	"strings"
)

// lexer reads the tokens of structured header fields (RFC 5322 §3.2, RFC 2045
// §5.1) and is lenient where mail is.
type lexer struct {
	s []byte
	i int
}

// space skips white space, line ends and comments. Comments nest, counted, and
// an unclosed one goes to the end.
func (l *lexer) space() {
	depth := 0
	for ; l.i < len(l.s); l.i++ {
		switch c := l.s[l.i]; {
		case c == '(' && depth < commentDepthMax:
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			l.i++
		case depth > 0 || c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0:
		default:
			return
		}
	}
	l.i = len(l.s)
}

func (l *lexer) take(c byte) bool {
	if l.i < len(l.s) && l.s[l.i] == c {
		l.i++
		return true
	}
	return false
}

func (l *lexer) peek() byte {
	if l.i < len(l.s) {
		return l.s[l.i]
	}
	return 0
}

// octets returns a table of the octets of which is is true.
func octets(is func(c byte) bool) (table [256]bool) {
	for c := range len(table) {
		table[c] = is(byte(c))
	}
	return table
}

// tspecial are the separators of RFC 2045 §5.1 and white space.
var tspecial = octets(func(c byte) bool { return c <= ' ' || c == 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 })

// token reads a token (RFC 2045 §5.1), empty if there is none.
func (l *lexer) token() string {
	l.space()
	start := l.i
	for l.i < len(l.s) && !tspecial[l.s[l.i]] {
		l.i++
	}
	return string(l.s[start:l.i])
}

// quotedSpecial are the octets of a quoted-string that do not stand for themselves.
var quotedSpecial = octets(func(c byte) bool { return strings.IndexByte("\"\\\r\n\x00", c) >= 0 })

// quoted appends the text of a quoted-string whose quote was taken; an unclosed one
// goes to the end.
func (l *lexer) quoted(dst []byte) []byte {
	for l.i < len(l.s) {
		start := l.i
		for l.i < len(l.s) && !quotedSpecial[l.s[l.i]] {
			l.i++
		}
		if dst = append(dst, l.s[start:l.i]...); l.i == len(l.s) {
			break
		}
		c := l.s[l.i]
		l.i++
		if c == '"' {
			break
		}
		if c == '\\' && l.i < len(l.s) {
			dst = append(dst, l.s[l.i])
			l.i++
		}
	}
	return dst
}

// parseContentType reads a Content-Type; ok is false when it has no type and
// subtype (RFC 2045 §5.2 then means text/plain).
func parseContentType(value []byte) (t, sub string, params []Param, ok bool) {
	l := lexer{s: value}
	t = l.token()
	if l.space(); t == "" || !l.take('/') {
		return "", "", nil, false
	}
	if sub = l.token(); sub == "" {
		return "", "", nil, false
	}
	return t, sub, l.params(), true
}

// params reads the parameters to the end, joins those in pieces (RFC 2231 §3)
// and marks those with a character set by a "*" (§4, §6).
func (l *lexer) params() []Param {
	var raw []Param
	for len(raw) < ParamsMax {
		l.space()
		if !l.take(';') {
			// Garbage between parameters is skipped.
			for l.i < len(l.s) && l.s[l.i] != ';' {
				if l.take('"') {
					l.quoted(nil)
					continue
				}
				l.i++
			}
			if !l.take(';') {
				break
			}
		}
		name := l.token()
		if l.space(); name == "" || !l.take('=') {
			continue
		}
		l.space()
		raw = append(raw, Param{name, l.paramValue()})
	}
	return joinParams(raw)
}

// paramValue reads a quoted-string or whatever stands up to the next semicolon
// or white space: more than a token, since mail has unquoted separators.
func (l *lexer) paramValue() string {
	if l.take('"') {
		return string(l.quoted(nil))
	}
	start := l.i
	for l.i < len(l.s) && l.s[l.i] > ' ' && l.s[l.i] != ';' && l.s[l.i] != '(' && l.s[l.i] != 0x7f {
		l.i++
	}
	return string(l.s[start:l.i])
}

// joinParams joins name*0, name*1* … in the order of their numbers.
func joinParams(raw []Param) []Param {
	pieces := map[string]int{} // by name and number: index in raw
	joined := false
	for i, p := range raw {
		if base, n, _, ok := splitParam(p.Name); ok && n >= 0 {
			joined = true
			if _, dup := pieces[pieceKey(base, n)]; !dup {
				pieces[pieceKey(base, n)] = i
			}
		}
	}
	if !joined {
		return raw
	}
	var out []Param
	for _, p := range raw {
		base, n, _, ok := splitParam(p.Name)
		switch {
		case !ok || n < 0:
			out = append(out, p)
		case n == 0:
			var value strings.Builder
			encoded := false
			for k := 0; ; k++ {
				i, ok := pieces[pieceKey(base, k)]
				if !ok {
					break
				}
				_, _, ext, _ := splitParam(raw[i].Name)
				encoded = encoded || ext && k == 0
				value.WriteString(raw[i].Value)
			}
			if encoded {
				base += "*"
			}
			out = append(out, Param{base, value.String()})
		}
	}
	return out
}

func pieceKey(base string, n int) string { return toLower(base) + "*" + strconv.Itoa(n) }

// splitParam splits name*12* into name, 12, true. n is -1 where there is no
// number.
func splitParam(name string) (base string, n int, extended, ok bool) {
	base, rest, ok := strings.Cut(name, "*")
	if !ok || base == "" {
		return name, -1, false, false
	}
	rest, extended = strings.CutSuffix(rest, "*")
	if rest == "" {
		return base, -1, true, true
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 || n >= ParamsMax || rest != strconv.Itoa(n) {
		return name, -1, false, false
	}
	return base, n, extended, true
}

func param(params []Param, name string) string {
	for _, p := range params {
		if equalFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

func trimRightSpace(s string) string { return strings.TrimRight(s, " \t") }

// equalFold compares ASCII without regard to case.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func toLower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = lower(b[j])
			}
			return string(b)
		}
	}
	return s
}
