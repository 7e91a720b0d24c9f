package message

import (
	"bytes"
	"strings"
)

// ParseAddressList reads an address-list (RFC 5322 §3.4 with the obsolete
// forms of §4.4), at most AddressesMax addresses of it. What cannot be an
// address becomes one with what there is, so that nothing of the field is
// silently dropped.
func ParseAddressList(value []byte) []Address { return parseAddresses(value, AddressesMax) }

func parseAddresses(value []byte, limit int) []Address {
	a := addressParser{l: lexer{s: value}, limit: limit}
	for a.l.i < len(a.l.s) && len(a.list) < limit {
		if a.one() {
			a.l.take(',')
		}
	}
	if a.inGroup && len(a.list) < limit {
		a.list = append(a.list, Address{})
	}
	return a.list
}

type addressParser struct {
	l       lexer
	list    []Address
	limit   int
	inGroup bool
	comment string // the last one in the address, the old place for a name

	phrase, local, host []byte // of the address that is being read, in memory that the next one uses
}

// one reads an address up to the comma that ends it, a group's start or a
// group's end, and appends what it was. It reports whether a comma is due.
func (a *addressParser) one() bool {
	a.comment = ""
	a.phrase, a.local = a.phrase[:0], a.local[:0] // the words with and without the space between them
	for {
		start := a.l.i
		a.space()
		spaced := a.l.i > start && len(a.phrase) > 0
		switch c := a.l.peek(); {
		case a.l.i >= len(a.l.s) || c == ',':
			a.bare()
			return true
		case c == '<':
			a.l.i++
			a.angle()
			return true
		case c == ':' && !a.inGroup:
			a.l.i++
			a.inGroup = true
			a.list = append(a.list, Address{Mailbox: string(a.phrase)})
			return false
		case c == ';':
			if len(a.phrase) == 0 {
				a.endGroup()
			}
			a.bare() // which takes the semicolon
			return true
		case c == '@':
			a.l.i++
			a.append(Address{Mailbox: string(a.local), Host: a.domain()})
			return true
		default:
			if spaced {
				a.phrase = append(a.phrase, ' ')
			}
			before := len(a.local)
			if c == '.' {
				a.l.i++
				a.local = append(a.local, '.')
			} else {
				a.local = a.word(a.local)
			}
			a.phrase = append(a.phrase, a.local[before:]...)
		}
	}
}

// endGroup takes the semicolon that is next.
func (a *addressParser) endGroup() {
	a.l.i++
	if a.inGroup && len(a.list) < a.limit {
		a.inGroup = false
		a.list = append(a.list, Address{})
	}
}

// bare ends an address without a host: local mail, or a name alone.
func (a *addressParser) bare() {
	if len(a.phrase) > 0 {
		a.append(Address{Mailbox: string(a.phrase)})
	}
}

func (a *addressParser) append(ad Address) {
	a.space()
	if ad.Name == "" {
		ad.Name = a.comment
	}
	if ad.Host == "" {
		ad.Host = NoHost
	}
	if len(a.list) < a.limit {
		a.list = append(a.list, ad)
	}
	// What follows an address up to the comma is not of it.
	for a.l.i < len(a.l.s) && a.l.s[a.l.i] != ',' && a.l.s[a.l.i] != ';' {
		if a.l.take('"') {
			a.host = a.l.quoted(a.host[:0])
			continue
		}
		a.l.i++
	}
	if a.l.peek() == ';' {
		a.endGroup()
	}
}

// angle reads an angle-addr whose "<" was taken, behind its name.
func (a *addressParser) angle() {
	ad := Address{Name: string(a.phrase)}
	a.local = a.local[:0]
	a.space()
	if a.l.peek() == '@' { // obs-route
		start := a.l.i
		end := bytes.IndexAny(a.l.s[start:], ":>")
		if end >= 0 && a.l.s[start+end] == ':' {
			ad.Route = Unfold(a.l.s[start : start+end])
			a.l.i = start + end + 1
		}
	}
	for a.l.i < len(a.l.s) {
		a.space()
		c := a.l.peek()
		if c == '>' || c == 0 && a.l.i >= len(a.l.s) {
			break
		}
		if c == '@' {
			a.l.i++
			ad.Host = a.domain()
			continue
		}
		if c == '.' || c == ',' || c == ';' || c == ':' || c == '<' {
			a.l.i++
			a.local = append(a.local, c)
			continue
		}
		before := len(a.local)
		if a.local = a.word(a.local); ad.Host != "" {
			a.local = a.local[:before]
		}
	}
	a.l.take('>')
	ad.Mailbox = string(a.local)
	a.append(ad)
}

// endsAtom are the octets that no atom has (RFC 5322 §3.2.3), but for those that
// mail has there.
var endsAtom = octets(func(c byte) bool { return c <= ' ' && c != 0 || strings.IndexByte(`()<>@,;:".`, c) >= 0 })

// word appends an atom or a quoted-string, of which it reads at least one octet.
func (a *addressParser) word(dst []byte) []byte {
	if a.l.take('"') {
		return a.l.quoted(dst)
	}
	start, plain := a.l.i, true
	for a.l.i < len(a.l.s) && !endsAtom[a.l.s[a.l.i]] {
		c := a.l.s[a.l.i]
		plain = plain && c != '\\' && c != 0
		if c == '\\' && a.l.i+1 < len(a.l.s) {
			a.l.i++
		}
		a.l.i++
	}
	if a.l.i > start && plain {
		return append(dst, a.l.s[start:a.l.i]...)
	}
	if a.l.i == start {
		a.l.i++
	}
	return AppendUnfolded(dst, a.l.s[start:min(a.l.i, len(a.l.s))])
}

// domain reads what follows "@": atoms and dots, or a domain-literal.
func (a *addressParser) domain() string {
	b := a.host[:0]
	defer func() { a.host = b }()
	for a.l.i < len(a.l.s) {
		a.space()
		switch c := a.l.peek(); {
		case c == '.':
			a.l.i++
			b = append(b, '.')
		case c == '[':
			end := bytes.IndexByte(a.l.s[a.l.i:], ']')
			if end < 0 {
				end = len(a.l.s) - a.l.i - 1
			}
			b = AppendUnfolded(b, a.l.s[a.l.i:a.l.i+end+1])
			a.l.i += end + 1
			return string(b)
		case len(b) > 0 && b[len(b)-1] != '.', endsDomain[c]:
			return string(b)
		default:
			b = a.word(b)
		}
	}
	return string(b)
}

var endsDomain = octets(func(c byte) bool { return c == 0 || strings.IndexByte(`()<>@,;:"`, c) >= 0 })

// space skips white space and comments, and remembers the text of the last
// comment.
func (a *addressParser) space() {
	start := a.l.i
	if a.l.space(); a.l.i == start {
		return
	}
	skipped := a.l.s[start:a.l.i]
	if i := bytes.LastIndexByte(skipped, ')'); i > 0 {
		if j := bytes.IndexByte(skipped, '('); j >= 0 && j < i {
			a.comment = commentText(skipped[j+1 : i])
		}
	}
}

// commentText removes the quoting backslashes of a comment.
func commentText(c []byte) string {
	s := Unfold(c)
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
