package imapwire

import (
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
)

// FetchItem is one data item of FETCH (RFC 3501 §6.4.5).
type FetchItem struct {
	Name    string // FLAGS, UID, ENVELOPE, BODY[…] as "BODY[", RFC822.SIZE …
	Peek    bool   // \Seen is not set
	Section Section
	Partial bool
	Offset  int64
	Count   int64
	Lazy    bool // of PREVIEW (RFC 8970 §3.1)

	Annotation *AnnotationFetch // of ANNOTATION (RFC 5257 §4.3)
}

// FetchModifiers stand behind the items of FETCH (RFC 4466 §2.4).
type FetchModifiers struct {
	Changed      bool // CHANGEDSINCE is there
	ChangedSince mail.ModSeq
	Vanished     bool     // RFC 7162 §3.2.6
	Partial      *Partial // RFC 9394 §3.3
}

// FetchModifiers reads them, if there are any.
func (d *Decoder) FetchModifiers() (m FetchModifiers) {
	if !d.Take(' ') {
		return m
	}
	d.List(func() {
		switch name := d.Word(); name {
		case "CHANGEDSINCE":
			d.Needs("CONDSTORE")
			d.Space()
			m.Changed, m.ChangedSince = true, d.ModSeq()
		case "VANISHED":
			m.Vanished = true
		case "PARTIAL":
			d.Needs("PARTIAL")
			d.Space()
			m.Partial = d.Partial()
		default:
			d.Fail("unknown fetch modifier " + name)
		}
	})
	return m
}

// Section is a section-spec.
type Section struct {
	Path   []int
	Kind   message.SectionKind
	Fields []string // of HEADER.FIELDS and HEADER.FIELDS.NOT
	Not    bool
	Text   string // as the answer repeats it, without brackets
}

var fetchMacros = map[string][]string{
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

var fetchNames = map[string]bool{
	"FLAGS": true, "UID": true, "INTERNALDATE": true, "ENVELOPE": true, "BODY": true, "BODYSTRUCTURE": true,
	"MODSEQ": true, "SAVEDATE": true, "EMAILID": true, "THREADID": true, "PREVIEW": true,
	"X-GM-MSGID": true, "X-GM-THRID": true, "X-GM-LABELS": true,
	"RFC822": true, "RFC822.HEADER": true, "RFC822.TEXT": true, "RFC822.SIZE": true,
}

// fetchCapabilities holds those of items that came with an extension.
var fetchCapabilities = map[string]string{
	"MODSEQ": "CONDSTORE", "SAVEDATE": "SAVEDATE", "EMAILID": "OBJECTID", "THREADID": "OBJECTID", "PREVIEW": "PREVIEW",
	"ANNOTATION": "ANNOTATE-EXPERIMENT-1",
	"BINARY":     "BINARY", "BINARY.PEEK": "BINARY", "BINARY.SIZE": "BINARY",
	"X-GM-MSGID": "X-GM-EXT-1", "X-GM-THRID": "X-GM-EXT-1", "X-GM-LABELS": "X-GM-EXT-1",
}

// FetchItems reads the items of FETCH or fails.
func (d *Decoder) FetchItems() []FetchItem {
	if d.Peek() == '(' {
		var items []FetchItem
		d.List(func() {
			if len(items) == FetchItemsMax {
				d.Fail("too many fetch items")
				return
			}
			items = append(items, d.fetchItem(d.fetchName()))
		})
		if len(items) == 0 {
			d.Fail("expected a fetch item")
		}
		return items
	}
	name := d.fetchName()
	if names := fetchMacros[name]; names != nil {
		var items []FetchItem
		for _, n := range names {
			items = append(items, FetchItem{Name: n})
		}
		return items
	}
	return []FetchItem{d.fetchItem(name)}
}

// fetchName reads letters, digits, dots and hyphens: a bracket ends it.
func (d *Decoder) fetchName() string {
	return strings.ToUpper(d.while(func(c byte) bool {
		return c == '.' || c == '-' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}))
}

func (d *Decoder) fetchItem(name string) FetchItem {
	item := FetchItem{Name: name}
	d.Needs(fetchCapabilities[name])
	switch {
	case (name == "BODY" || name == "BODY.PEEK") && d.Take('['):
		item.Name, item.Peek = "BODY[", name == "BODY.PEEK"
		item.Section = d.section()
		d.partial(&item)
	case (name == "BINARY" || name == "BINARY.PEEK" || name == "BINARY.SIZE") && d.Take('['):
		item.Name, item.Peek = "BINARY[", name == "BINARY.PEEK"
		if item.Section = d.section(); item.Section.Kind != message.SectionWhole {
			d.Fail("BINARY is of whole parts")
		}
		if name == "BINARY.SIZE" {
			item.Name = "BINARY.SIZE["
		} else {
			d.partial(&item)
		}
	case name == "PREVIEW":
		if d.PeekText(" (") {
			d.Space()
			d.List(func() {
				if d.Word() != "LAZY" {
					d.Fail("unknown preview modifier")
				}
				item.Lazy = true
			})
		}
	case name == "ANNOTATION":
		item.Annotation = d.annotationFetch()
	case !fetchNames[name]:
		d.Fail("unknown fetch item " + strconv.Quote(name))
	}
	return item
}

// ParseSection reads a section-spec as it stands between the brackets of
// BODY[].
func ParseSection(text string) (s Section, ok bool) {
	d := &Decoder{line: []byte(text + "]")}
	s = d.section()
	return s, d.err == nil && d.pos == len(d.line)
}

// section reads a section-spec whose "[" was taken.
func (d *Decoder) section() (s Section) {
	for c := d.Peek(); c >= '0' && c <= '9'; c = d.Peek() {
		n := d.Number32()
		if n == 0 || len(s.Path) >= message.DepthMax+2 {
			d.Fail("bad section number")
			return s
		}
		s.Path = append(s.Path, int(min(n, 1<<30)))
		if s.Text += strconv.Itoa(int(n)); !d.Take('.') {
			d.Expect(']')
			return s
		}
		s.Text += "."
	}
	if d.Peek() == ']' && len(s.Path) == 0 {
		d.pos++
		return s
	}
	name := d.fetchName()
	s.Text += name
	switch name {
	case "HEADER":
		s.Kind = message.SectionHeader
	case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
		s.Kind, s.Not = message.SectionHeader, name == "HEADER.FIELDS.NOT"
		d.Space()
		s.Fields = []string{}
		d.List(func() {
			if len(s.Fields) == FieldNamesMax {
				d.Fail("too many header field names")
				return
			}
			s.Fields = append(s.Fields, d.AString())
		})
		if len(s.Fields) == 0 {
			d.Fail("expected a header field name")
		}
		text := []byte(s.Text + " (")
		for i, f := range s.Fields {
			if i > 0 {
				text = append(text, ' ')
			}
			text = AppendAString(text, f)
		}
		s.Text = string(append(text, ')'))
	case "TEXT":
		s.Kind = message.SectionText
	case "MIME":
		s.Kind = message.SectionMIME
		if len(s.Path) == 0 {
			d.Fail("MIME needs a part number")
		}
	default:
		d.Fail("unknown section " + strconv.Quote(name))
	}
	d.Expect(']')
	return s
}

// partial reads <offset.count>.
func (d *Decoder) partial(item *FetchItem) {
	if !d.Take('<') {
		return
	}
	item.Partial = true
	item.Offset = int64(d.Number32())
	d.Expect('.')
	if item.Count = int64(d.Number32()); item.Count == 0 {
		d.Fail("a partial fetch of no octets")
	}
	d.Expect('>')
}
