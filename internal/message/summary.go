package message

// Summary is what a server needs of a message without reading it.
type Summary struct {
	Size  int64  // octets of the message
	Parts []Part // in order of appearance; Parts[0] is the message itself
	// Fields are octets of the top-level header's fields that clients ask
	// for (see knownFields), each with its line ends, in order.
	Fields []byte
	// FieldsWhole tells that all occurrences of kept fields are in Fields.
	FieldsWhole bool
	BareLF      bool // some line ends in LF without CR
	// Plain tells that no line does, and none begins with a dot: it is sent as lines
	// as it is (RFC 1939 §3).
	Plain bool
}

// Part is one MIME entity (RFC 2045 §2.4). For an entity of type message/rfc822
// that was looked into, the one child is the inner message.
type Part struct {
	Parent   int32 // index of the parent; -1 for Parts[0]
	Children int32 // how many there are
	next     int32 // index of the next sibling, 0 for none
	first    int32 // index of the first child, 0 for none

	Type, Subtype     string // as written, "text" and "plain" by default
	typed             bool   // a Content-Type was read
	Params            []Param
	ID, Description   string
	Encoding          string // Content-Transfer-Encoding as written; "" for none
	MD5, Location     string
	Languages         []string
	Disposition       string
	DispositionParams []Param

	HeaderStart, BodyStart, End int64 // octet offsets in the message
	Lines                       int64 // line ends in the body

	Envelope *Envelope // of a message: Parts[0] and the child of a message/rfc822
}

// Param is one parameter of a Content-Type or Content-Disposition. RFC 2231
// continuations are joined; when the value carries a character set, Name ends
// in "*" and Value is left encoded (RFC 2231 §6).
type Param struct{ Name, Value string }

// Envelope holds the header fields of an IMAP ENVELOPE (RFC 3501 §7.4.2),
// unfolded and otherwise as written.
type Envelope struct {
	Date, Subject, InReplyTo, MessageID string
	HasDate, HasSubject                 bool // an empty field is not a missing one
	From, Sender, ReplyTo, To, Cc, Bcc  []Address
}

// NoHost is the Host of an address without a domain: an empty one means a group.
const NoHost = "\x00"

// Address is one address (RFC 5322 §3.4). A group is an Address with Mailbox
// set to its name and no Host, its members, and one with neither (RFC 3501
// §7.4.2).
type Address struct{ Name, Route, Mailbox, Host string }

// IsMultipart reports whether the part has parts of its own, and is not a message.
func (p *Part) IsMultipart() bool { return p.first != 0 && !p.IsMessage() }

// IsMessage reports whether the part is a message/rfc822 that was looked into.
func (p *Part) IsMessage() bool { return p.first != 0 && equalFold(p.Type, "message") }

// Size returns the octets of the part's body.
func (p *Part) Size() int64 { return p.End - p.BodyStart }

// Child returns the index of the n-th child of a part, counted from 0, or -1.
func (s *Summary) Child(part int32, n int) int32 {
	c := s.Parts[part].first
	for ; n > 0 && c != 0; n-- {
		c = s.Parts[c].next
	}
	if c == 0 {
		return -1
	}
	return c
}

// Next returns the index of the sibling behind a part, or 0.
func (s *Summary) Next(part int32) int32 { return s.Parts[part].next }

// link sets first, next and Children from Parent. Parts are in order of
// appearance, so children of one part follow each other.
func (s *Summary) link() {
	last := make([]int32, len(s.Parts))
	for i := 1; i < len(s.Parts); i++ {
		parent := s.Parts[i].Parent
		if l := last[parent]; l == 0 {
			s.Parts[parent].first = int32(i)
		} else {
			s.Parts[l].next = int32(i)
		}
		last[parent] = int32(i)
		s.Parts[parent].Children++
	}
}

// SectionKind is the part of a section-spec after its numbers (RFC 3501 §6.4.5).
type SectionKind uint8

const (
	SectionWhole  SectionKind = iota // BODY[], BODY[1.2]
	SectionHeader                    // HEADER and HEADER.FIELDS
	SectionText                      // TEXT
	SectionMIME                      // MIME
)

// Section returns where a section's octets are, from <= offset < to. ok is
// false when the message has no such section; its content then is empty.
func (s *Summary) Section(path []int, kind SectionKind) (from, to int64, ok bool) {
	if len(path) == 0 {
		root := &s.Parts[0]
		switch kind {
		case SectionWhole:
			return 0, s.Size, true
		case SectionHeader:
			return root.HeaderStart, root.BodyStart, true
		case SectionText:
			return root.BodyStart, root.End, true
		}
		return 0, 0, false
	}
	i := s.Find(path)
	if i < 0 {
		return 0, 0, false
	}
	p := &s.Parts[i]
	switch kind {
	case SectionWhole:
		return p.BodyStart, p.End, true
	case SectionMIME:
		return p.HeaderStart, p.BodyStart, true
	}
	if !p.IsMessage() {
		return 0, 0, false
	}
	inner := &s.Parts[p.first]
	if kind == SectionHeader {
		return inner.HeaderStart, inner.BodyStart, true
	}
	return inner.BodyStart, inner.End, true
}

// Find returns the index of the part with the given numbers, or -1. Every
// message has a part 1 (RFC 3501 §6.4.5).
func (s *Summary) Find(path []int) int32 {
	at := int32(0) // a message or a multipart
	for depth, n := range path {
		p := &s.Parts[at]
		if depth > 0 && p.IsMessage() {
			at = p.first
			p = &s.Parts[at]
		}
		switch {
		case p.IsMultipart():
			if at = s.Child(at, n-1); at < 0 || n < 1 {
				return -1
			}
		case n == 1 && p.Envelope != nil:
			// The body of a message that is not multipart. A leaf has no
			// further parts, which the next step finds out.
			if depth+1 < len(path) && !p.IsMessage() {
				return -1
			}
		default:
			return -1
		}
	}
	return at
}
