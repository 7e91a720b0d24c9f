package message

import (
	"bytes"
	"iter"
)

// nextField splits the first field off a header block: its name and its octets
// up to and with the last line end of its last continuation line (RFC 5322
// §2.2). A line without a colon gives an empty name. raw is empty at the end
// of the block, which an empty line is too.
func nextField(header []byte) (name, raw, rest []byte) {
	if raw, rest = cutField(header); raw == nil {
		return nil, nil, nil
	}
	return fieldName(raw), raw, rest
}

// cutField is nextField without the name.
func cutField(header []byte) (raw, rest []byte) {
	if len(header) == 0 || header[0] == '\n' || header[0] == '\r' && len(header) > 1 && header[1] == '\n' {
		return nil, nil
	}
	end := 0
	for {
		i := bytes.IndexByte(header[end:], '\n')
		if i < 0 {
			end = len(header)
			break
		}
		end += i + 1
		if end == len(header) || header[end] != ' ' && header[end] != '\t' {
			break
		}
	}
	return header[:end], header[end:]
}

// fieldName returns a field's name, nil for what has none.
func fieldName(raw []byte) (name []byte) {
	if i := bytes.IndexByte(raw, ':'); i > 0 && bytes.IndexByte(raw[:i], '\n') < 0 {
		for name = raw[:i]; len(name) > 0 && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t'); {
			name = name[:len(name)-1]
		}
	}
	return name
}

// Unfold returns a field's value: without the line ends of continuation lines
// (RFC 5322 §2.2.3) and without white space around it. NUL and lone CR become
// spaces, since no header field may hold them.
func Unfold(value []byte) string {
	value = bytes.Trim(value, " \t\r\n")
	if isUnfolded(value) {
		return string(value)
	}
	return string(AppendUnfolded(make([]byte, 0, len(value)), value))
}

func isUnfolded(value []byte) bool {
	return bytes.IndexByte(value, '\n') < 0 && bytes.IndexByte(value, '\r') < 0 && bytes.IndexByte(value, 0) < 0
}

// AppendUnfolded appends what Unfold returns.
func AppendUnfolded(dst, value []byte) []byte {
	value = bytes.Trim(value, " \t\r\n")
	if isUnfolded(value) {
		return append(dst, value...)
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\n', c == '\r' && i+1 < len(value) && value[i+1] == '\n':
		case c == '\r', c == 0:
			dst = append(dst, ' ')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// A known field is one that is looked at.
type known struct {
	name string // in lower case
	kept bool   // a summary holds the octets of top-level ones
}

var knownFields = func() map[string]*known {
	fields := map[string]*known{}
	for _, name := range []string{
		"from", "to", "cc", "bcc", "sender", "reply-to",
		"subject", "date", "message-id", "in-reply-to", "references",
		"content-type", "content-transfer-encoding", "mime-version",
		"list-id", "list-post", "list-unsubscribe", "newsgroups",
		"x-priority", "importance", "priority", "x-mailer", "user-agent",
		"return-path", "delivered-to", "x-label", "disposition-notification-to",
		"content-disposition", "content-language", "auto-submitted", "precedence",
	} {
		fields[name] = &known{name, true}
	}
	for _, name := range []string{"content-id", "content-description", "content-md5", "content-location"} {
		fields[name] = &known{name, false}
	}
	return fields
}()

// knownMax is the length of the longest name of a known field.
const knownMax = len("disposition-notification-to")

// knownField returns what is known of a field by its name in any case, or nil.
func knownField[T string | []byte](name T) *known {
	if len(name) > knownMax {
		return nil
	}
	var key [knownMax]byte
	for i := range len(name) {
		key[i] = lower(name[i])
	}
	return knownFields[string(key[:len(name)])]
}

// Kept reports whether a summary answers for a field's name in any case.
func Kept(name string) bool {
	k := knownField(name)
	return k != nil && k.kept
}

// endField looks at the field that was read, which is of the innermost part.
func (p *Parser) endField() {
	k, raw := p.known, p.field
	p.known, p.field = nil, p.field[:0]
	if k == nil {
		return
	}
	o := p.top()
	keep := o.part == 0 && k.kept
	if keep && len(p.sum.Fields)+len(raw) > KeptFieldsMax {
		keep, p.sum.FieldsWhole = false, false
	}
	if keep {
		if p.sum.Fields == nil {
			p.sum.Fields = make([]byte, 0, fieldsUsual)
		}
		p.sum.Fields = append(p.sum.Fields, raw...)
	}
	if len(raw) > FieldMax {
		return
	}
	part, value := &p.sum.Parts[o.part], raw[bytes.IndexByte(raw, ':')+1:]
	if !p.readMIMEField(part, k.name, value) && part.Envelope != nil {
		p.readEnvelopeField(part.Envelope, k.name, value)
	}
}

// fieldsUsual is room for the fields that a summary of most messages keeps.
const fieldsUsual = 1 << 10

// setDefaults fills in what the header of a part did not say.
func (part *Part) setDefaults() {
	if part.Type == "" {
		part.Type, part.Subtype = "text", "plain" // RFC 2045 §5.2
		if part.Params == nil {
			part.Params = []Param{{"charset", "us-ascii"}}
		}
	}
	if e := part.Envelope; e != nil {
		// RFC 3501 §7.4.2: missing or empty, they default to From.
		if len(e.Sender) == 0 {
			e.Sender = e.From
		}
		if len(e.ReplyTo) == 0 {
			e.ReplyTo = e.From
		}
	}
}

// readMIMEField takes one of the fields of RFC 2045, 2183, 1864, 3282 and 2557.
func (p *Parser) readMIMEField(part *Part, key string, value []byte) bool {
	switch key {
	case "content-type":
		if t, sub, params, ok := parseContentType(value); ok && !part.typed {
			part.Type, part.Subtype, part.Params = t, sub, params
			part.typed = true
		}
	case "content-transfer-encoding":
		if part.Encoding == "" {
			l := lexer{s: value}
			part.Encoding = l.token()
		}
	case "content-disposition":
		if part.Disposition == "" {
			l := lexer{s: value}
			if part.Disposition = l.token(); part.Disposition != "" {
				part.DispositionParams = l.params()
			}
		}
	case "content-id":
		setOnce(&part.ID, value)
	case "content-description":
		setOnce(&part.Description, value)
	case "content-md5":
		setOnce(&part.MD5, value)
	case "content-location":
		setOnce(&part.Location, value)
	case "content-language":
		if part.Languages == nil {
			part.Languages = parseLanguages(value)
		}
	default:
		return false
	}
	return true
}

func setOnce(s *string, value []byte) {
	if *s == "" {
		*s = Unfold(value)
	}
}

func parseLanguages(value []byte) (tags []string) {
	l := lexer{s: value}
	for len(tags) < ParamsMax {
		if t := l.token(); t != "" {
			tags = append(tags, t)
		}
		if l.space(); !l.take(',') {
			return tags
		}
	}
	return tags
}

func (p *Parser) readEnvelopeField(e *Envelope, key string, value []byte) {
	var list *[]Address
	switch key {
	case "date":
		if !e.HasDate {
			e.Date, e.HasDate = Unfold(value), true
		}
	case "subject":
		if !e.HasSubject {
			e.Subject, e.HasSubject = Unfold(value), true
		}
	case "message-id":
		setOnce(&e.MessageID, value)
	case "in-reply-to":
		setOnce(&e.InReplyTo, value)
	case "from":
		list = &e.From
	case "sender":
		list = &e.Sender
	case "reply-to":
		list = &e.ReplyTo
	case "to":
		list = &e.To
	case "cc":
		list = &e.Cc
	case "bcc":
		list = &e.Bcc
	}
	if list != nil && p.addresses > 0 {
		more := parseAddresses(value, p.addresses)
		p.addresses -= len(more)
		*list = append(*list, more...)
	}
}

// SelectFields appends the fields of a header block whose names are, or with
// not are not, among names in any case, and the empty line that ends a header
// (RFC 3501 §6.4.5 HEADER.FIELDS).
func SelectFields(dst, header []byte, names []string, not bool) []byte {
	for rest := header; ; {
		var name, raw []byte
		if name, raw, rest = nextField(rest); raw == nil {
			return append(dst, '\r', '\n')
		}
		if len(name) > 0 && nameIn(name, names) != not || len(name) == 0 && not {
			dst = append(dst, raw...)
			if raw[len(raw)-1] != '\n' {
				dst = append(dst, '\r', '\n')
			}
		}
	}
}

func nameIn(name []byte, names []string) bool {
	for _, n := range names {
		if len(n) == len(name) && equalFold(n, string(name)) {
			return true
		}
	}
	return false
}

// SelectKept is SelectFields of the fields that a summary holds, where these are all
// of the message's.
func SelectKept(dst, fields []byte, whole bool, names []string) ([]byte, bool) {
	if !whole {
		return dst, false
	}
	for _, n := range names {
		if !Kept(n) {
			return dst, false
		}
	}
	return SelectFields(dst, fields, names, false), true
}

// RawValues yields the values of all fields of a name in a header block, with
// their line ends.
func RawValues(header []byte, name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for rest := header; ; {
			if name != "" && isLetter(name[0]) { // no continuation line begins with one
				rest = skipTo(lower(name[0]), rest)
			}
			var raw []byte
			if raw, rest = cutField(rest); raw == nil {
				return
			}
			if len(raw) < len(name) || !equalFold(string(raw[:len(name)]), name) {
				continue
			}
			if len(fieldName(raw)) == len(name) && !yield(raw[bytes.IndexByte(raw, ':')+1:]) {
				return
			}
		}
	}
}

func isLetter(c byte) bool { return 'a' <= lower(c) && lower(c) <= 'z' }

// skipTo returns a header block from the first line on that begins with a letter in any
// case, or from one that may be the empty line which ends it.
func skipTo(letter byte, header []byte) []byte {
	for len(header) > 0 && header[0]|0x20 != letter && header[0] != '\n' && header[0] != '\r' {
		i := bytes.IndexByte(header, '\n')
		if i < 0 {
			return nil
		}
		header = header[i+1:]
	}
	return header
}

// FieldValues returns the unfolded values of all fields of a name in a header
// block.
func FieldValues(header []byte, name string) (values []string) {
	for raw := range RawValues(header, name) {
		values = append(values, Unfold(raw))
	}
	return values
}
