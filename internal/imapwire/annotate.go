package imapwire

import (
	"slices"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/message"
)

// Limits of ANNOTATE (RFC 5257).
const (
	AnnotationNameMax    = 255 // octets of an entry's name, or of a pattern for some
	AnnotationEntriesMax = 32  // entries of one FETCH: each is compared with each that a message has
)

// AnnotationEntry is the name of an entry, or a pattern for names (RFC 5257
// §3.2.1).
type AnnotationEntry struct {
	Name string
	Part []int // of the body, that it is about; nil: of the whole message, or of any
}

// IsPattern reports whether it has wildcards.
func (e *AnnotationEntry) IsPattern() bool { return strings.ContainsAny(e.Name, "*%") }

// AnnotationFetch is what the ANNOTATION item of FETCH asks for.
type AnnotationFetch struct {
	Entries    []AnnotationEntry
	Patterns   []*EntryPattern // of these
	Attributes []string        // value.priv, value.shared, size.priv, size.shared
}

// AnnotationValue is an attribute with its value, of STORE and APPEND.
type AnnotationValue struct {
	AnnotationEntry
	Private bool
	Value   []byte // nil: NIL
}

// fetchAttributes holds the attributes of FETCH. Without a suffix both are meant
// (RFC 5257 §3.2.2).
var fetchAttributes = map[string][]string{
	"value": {"value.priv", "value.shared"}, "value.priv": {"value.priv"}, "value.shared": {"value.shared"},
	"size": {"size.priv", "size.shared"}, "size.priv": {"size.priv"}, "size.shared": {"size.shared"},
}

// annotationFetch reads what stands behind ANNOTATION in FETCH.
func (d *Decoder) annotationFetch() *AnnotationFetch {
	f := &AnnotationFetch{}
	d.Space()
	d.Expect('(')
	d.oneOrList(func() {
		if len(f.Entries) == AnnotationEntriesMax {
			d.Fail("too many entries")
			return
		}
		e := d.entry(d.listMailbox(), true)
		f.Entries = append(f.Entries, e)
		f.Patterns = append(f.Patterns, NewEntryPattern(e.Name))
	})
	d.Space()
	d.oneOrList(func() {
		names := fetchAttributes[d.AString()]
		if names == nil {
			d.Fail("expected value or size, perhaps with .priv or .shared")
		}
		for _, name := range names {
			if !slices.Contains(f.Attributes, name) {
				f.Attributes = append(f.Attributes, name)
			}
		}
	})
	d.Expect(')')
	if d.err == nil && (len(f.Entries) == 0 || len(f.Attributes) == 0) {
		d.Fail("expected entries and attributes")
	}
	return f
}

// oneOrList reads one thing, or a list of them in parentheses.
func (d *Decoder) oneOrList(item func()) {
	if d.Peek() == '(' {
		d.List(item)
	} else {
		item()
	}
}

// entry checks an entry's name, or where that may be a pattern for names. Invalid
// ones are BAD wherever they stand (RFC 5257 §3.2).
func (d *Decoder) entry(name string, pattern bool) (e AnnotationEntry) {
	e.Name = name
	wild := e.IsPattern()
	other := func(r rune) bool { return r < ' ' || r > '~' }
	switch {
	case d.err != nil:
	case wild && !pattern, len(name) > AnnotationNameMax, strings.ContainsFunc(name, other), strings.Contains(name, "//"), strings.HasSuffix(name, "/"),
		!wild && !strings.HasPrefix(name, "/"):
		d.Fail("expected the name of an entry, like /comment")
	default:
		top, _, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		if name[0] == '/' && top[0] >= '0' && top[0] <= '9' && !strings.ContainsAny(top, "*%") {
			e.Part = d.part(top)
		}
	}
	return e
}

// part reads a section-part (RFC 3501 §9).
func (d *Decoder) part(text string) (path []int) {
	for _, number := range strings.Split(text, ".") {
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil || n == 0 || number[0] == '0' || len(path) >= message.DepthMax+2 {
			d.Fail("expected the number of a part in the name of an entry")
			return nil
		}
		path = append(path, int(n))
	}
	return path
}

// AnnotationValues reads entries with attributes and values (RFC 5257 §5
// att-annotate), which are to be stored.
func (d *Decoder) AnnotationValues() (values []AnnotationValue) {
	d.List(func() {
		e := d.entry(d.AString(), false)
		if d.err == nil && !e.registered() {
			d.Fail("this entry is not registered; one's own are below /vendor")
		}
		d.Space()
		before := len(values)
		d.List(func() {
			v := AnnotationValue{AnnotationEntry: e}
			v.Private = d.suffix()
			d.Space()
			if text, ok := d.Value(); ok {
				v.Value = []byte(text)
			}
			if d.err == nil && e.isFlag() && v.Value != nil && string(v.Value) != "0" && string(v.Value) != "1" {
				d.Fail(`the value of a flag is "1", "0" or NIL`)
			}
			values = append(values, v)
		})
		if len(values) == before {
			d.Fail("expected an attribute and its value")
		}
	})
	if len(values) == 0 {
		d.Fail("expected an entry")
	}
	return values
}

// suffix reads value.priv or value.shared: other attributes cannot be set, and
// which of both is meant must be said (RFC 5257 §3.2.2).
func (d *Decoder) suffix() (private bool) {
	switch name := d.AString(); name {
	case "value.priv":
		return true
	case "value.shared":
	default:
		d.Fail("expected value.priv or value.shared")
	}
	return false
}

// below returns the name behind that of the part.
func (e *AnnotationEntry) below() string {
	if e.Part == nil {
		return e.Name
	}
	_, rest, _ := strings.Cut(e.Name[1:], "/")
	return "/" + rest
}

// isFlag reports whether it is a flag of a part.
func (e *AnnotationEntry) isFlag() bool {
	return e.Part != nil && strings.HasPrefix(e.below(), "/flags/")
}

// registered reports whether a name is one that RFC 5257 §3.2.1 and §6.2 define
// or leave to vendors. /flags is reserved.
func (e *AnnotationEntry) registered() bool {
	name := e.below()
	switch name {
	case "/comment":
		return true
	case "/altsubject":
		return e.Part == nil
	case "/flags/seen", "/flags/answered", "/flags/flagged", "/flags/forwarded":
		return e.Part != nil
	}
	return strings.HasPrefix(name, "/vendor/")
}

// annotationKey reads what stands behind ANNOTATION in SEARCH. NIL finds what has
// no such value.
func (d *Decoder) annotationKey() *SearchKey {
	k := &SearchKey{Op: SearchAnnotation, Field: d.entry(d.listMailbox(), true).Name}
	d.Space()
	switch d.AString() {
	case "value":
		k.Private, k.Shared = true, true
	case "value.priv":
		k.Private = true
	case "value.shared":
		k.Shared = true
	default:
		d.Fail("only value, value.priv and value.shared can be searched") // RFC 5257 §4.8
	}
	d.Space()
	text, ok := d.Value()
	if k.Text = text; !ok {
		return &SearchKey{Op: SearchNot, Keys: []*SearchKey{k}}
	}
	return k
}

// EntryPattern matches names of entries. As RFC 5257 §4.3 has it, "*" is one
// octet or more, "%" the same within a level. It is an automaton whose states are
// bits, so that the time is bounded whatever the wildcards.
type EntryPattern struct {
	name string // without wildcards
	// length is that of the pattern, whose last position accepts.
	length int
	leaves []entryStates // positions that an octet leaves
	of     [256]uint8    // index in leaves for each octet; the first is empty
	star   entryStates
	wild   entryStates
}

// entryStates are positions in a pattern.
type entryStates [AnnotationNameMax/64 + 1]uint64

func (s *entryStates) set(i int) { s[i/64] |= 1 << (i % 64) }

// NewEntryPattern makes a matcher of a name or pattern.
func NewEntryPattern(text string) *EntryPattern {
	if text = text[:min(len(text), AnnotationNameMax)]; !strings.ContainsAny(text, "*%") {
		return &EntryPattern{name: text}
	}
	p := &EntryPattern{length: len(text), leaves: make([]entryStates, 1)}
	for i := range len(text) {
		switch c := text[i]; c {
		case '*':
			p.star.set(i)
			p.wild.set(i)
		case '%':
			p.wild.set(i)
		default:
			if p.of[c] == 0 {
				p.of[c] = uint8(len(p.leaves))
				p.leaves = append(p.leaves, entryStates{})
			}
			p.leaves[p.of[c]].set(i)
		}
	}
	return p
}

// Match reports whether the whole name matches.
func (p *EntryPattern) Match(name string) bool {
	if p.leaves == nil {
		return name == p.name
	}
	now := entryStates{1}
	for i := range len(name) {
		stay, hit := &p.wild, &p.leaves[p.of[name[i]]]
		if name[i] == '/' {
			stay = &p.star
		}
		var next entryStates
		carry, alive := uint64(0), uint64(0)
		for w := range now {
			step := now[w] & stay[w]
			next[w] = step
			step |= now[w] & hit[w]
			next[w] |= step<<1 | carry
			carry = step >> 63
			alive |= next[w]
		}
		if alive == 0 {
			return false
		}
		now = next
	}
	return now[p.length/64]>>(p.length%64)&1 == 1
}
