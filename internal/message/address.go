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
}

// one reads an address up to the comma that ends it, a group's start or a
// group's end, and appends what it was. It reports whether a comma is due.
func (a *addressParser) one() bool {
	a.comment = ""
	var phrase, local []byte // the words with and without the space between them
	for {
		start := a.l.i
		a.space()
		spaced := a.l.i > start && len(phrase) > 0
		switch c := a.l.peek(); {
		case a.l.i >= len(a.l.s) || c == ',':
			a.bare(phrase)
			return true
		case c == '<':
			a.l.i++
			a.angle(string(phrase))
			return true
		case c == ':' && !a.inGroup:
			a.l.i++
			a.inGroup = true
			a.list = append(a.list, Address{Mailbox: string(phrase)})
			return false
		case c == ';':
			if len(phrase) == 0 {
				a.endGroup()
			}
			a.bare(phrase) // which takes the semicolon
			return true
		case c == '@':
			a.l.i++
			a.append(Address{Mailbox: string(local), Host: a.domain()})
			return true
		default:
			if spaced {
				phrase = append(phrase, ' ')
			}
			w := "."
			if c == '.' {
				a.l.i++
			} else {
				w = a.word()
			}
			phrase = append(phrase, w...)
			local = append(local, w...)
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
func (a *addressParser) bare(phrase []byte) {
	if len(phrase) > 0 {
		a.append(Address{Mailbox: string(phrase)})
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
			a.l.quoted()
			continue
		}
		a.l.i++
	}
	if a.l.peek() == ';' {
		a.endGroup()
	}
}

// angle reads an angle-addr whose "<" was taken.
func (a *addressParser) angle(name string) {
	ad := Address{Name: name}
	a.space()
	if a.l.peek() == '@' { // obs-route
		start := a.l.i
		end := bytes.IndexAny(a.l.s[start:], ":>")
		if end >= 0 && a.l.s[start+end] == ':' {
			ad.Route = Unfold(a.l.s[start : start+end])
			a.l.i = start + end + 1
		}
	}
	var local strings.Builder
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
			local.WriteByte(c)
			continue
		}
		w := a.word()
		if ad.Host == "" {
			local.WriteString(w)
		}
	}
	a.l.take('>')
	ad.Mailbox = local.String()
	a.append(ad)
}

// word reads an atom or a quoted-string, at least one octet.
func (a *addressParser) word() string {
	if a.l.take('"') {
		return a.l.quoted()
	}
	start := a.l.i
	for a.l.i < len(a.l.s) {
		c := a.l.s[a.l.i]
		if c <= ' ' && c != 0 || strings.IndexByte(`()<>@,;:".`, c) >= 0 {
			break
		}
		if c == '\\' && a.l.i+1 < len(a.l.s) {
			a.l.i++
		}
		a.l.i++
	}
	if a.l.i == start {
		a.l.i++
	}
	return Unfold(a.l.s[start:min(a.l.i, len(a.l.s))])
}

// domain reads what follows "@": atoms and dots, or a domain-literal.
func (a *addressParser) domain() string {
	var b strings.Builder
	for a.l.i < len(a.l.s) {
		a.space()
		switch c := a.l.peek(); {
		case c == '.':
			a.l.i++
			b.WriteByte('.')
		case c == '[':
			end := bytes.IndexByte(a.l.s[a.l.i:], ']')
			if end < 0 {
				end = len(a.l.s) - a.l.i - 1
			}
			b.WriteString(Unfold(a.l.s[a.l.i : a.l.i+end+1]))
			a.l.i += end + 1
			return b.String()
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "."), tspecialDomain(c):
			return b.String()
		default:
			b.WriteString(a.word())
		}
	}
	return b.String()
}

func tspecialDomain(c byte) bool {
	return c == 0 || strings.IndexByte(`()<>@,;:"`, c) >= 0
}

// space skips white space and comments, and remembers the text of the last
// comment.
func (a *addressParser) space() {
	start := a.l.i
	a.l.space()
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
