package message

import (
	"encoding/binary"

	"github.com/angarium/angarium/internal/errs"
)

// summaryVersion is the first octet of an encoded summary. A summary is
// derived data: of another version, it is made again from the octets.
const summaryVersion = 1

// offsetMax is the largest offset in a message that is believed.
const offsetMax = 1 << 40

const (
	flagFieldsWhole = 1 << iota
	flagBareLF
	flagPlain
)

// IsPlain tells of an encoded summary whether it is that of a plain message. Those of
// earlier formats never are.
func IsPlain(summary []byte) bool {
	return len(summary) > 1 && summary[0] == summaryVersion && summary[1]&flagPlain != 0
}

// Append appends the encoded summary (docs/format.md, "Message summary").
func (s *Summary) Append(dst []byte) []byte {
	flags := byte(0)
	if s.FieldsWhole {
		flags |= flagFieldsWhole
	}
	if s.BareLF {
		flags |= flagBareLF
	}
	if s.Plain {
		flags |= flagPlain
	}
	dst = append(dst, summaryVersion, flags)
	dst = binary.AppendUvarint(dst, uint64(s.Size))
	dst = append(binary.AppendUvarint(dst, uint64(len(s.Fields))), s.Fields...)
	dst = binary.AppendUvarint(dst, uint64(len(s.Parts)))
	for i := range s.Parts {
		dst = s.Parts[i].append(dst)
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func (p *Part) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(p.Parent+1))
	dst = binary.AppendUvarint(dst, uint64(p.HeaderStart))
	dst = binary.AppendUvarint(dst, uint64(p.BodyStart-p.HeaderStart))
	dst = binary.AppendUvarint(dst, uint64(p.End-p.BodyStart))
	dst = binary.AppendUvarint(dst, uint64(p.Lines))
	for _, s := range []string{p.Type, p.Subtype, p.Encoding, p.ID, p.Description, p.MD5, p.Location, p.Disposition} {
		dst = appendString(dst, s)
	}
	dst = appendParams(dst, p.Params)
	dst = appendParams(dst, p.DispositionParams)
	dst = binary.AppendUvarint(dst, uint64(len(p.Languages)))
	for _, l := range p.Languages {
		dst = appendString(dst, l)
	}
	e := p.Envelope
	if e == nil {
		return append(dst, 0)
	}
	has := byte(1)
	if e.HasDate {
		has |= 2
	}
	if e.HasSubject {
		has |= 4
	}
	dst = append(dst, has)
	for _, s := range []string{e.Date, e.Subject, e.InReplyTo, e.MessageID} {
		dst = appendString(dst, s)
	}
	for _, l := range e.lists() {
		dst = binary.AppendUvarint(dst, uint64(len(*l)))
		for _, a := range *l {
			for _, s := range []string{a.Name, a.Route, a.Mailbox, a.Host} {
				dst = appendString(dst, s)
			}
		}
	}
	return dst
}

func (e *Envelope) lists() [6]*[]Address {
	return [...]*[]Address{&e.From, &e.Sender, &e.ReplyTo, &e.To, &e.Cc, &e.Bcc}
}

func appendParams(dst []byte, params []Param) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(params)))
	for _, p := range params {
		dst = appendString(appendString(dst, p.Name), p.Value)
	}
	return dst
}

// DecodeSummary decodes what Append made. It returns an error of kind Corrupt
// for a summary of another version and for anything else.
func DecodeSummary(b []byte) (*Summary, error) {
	s := &Summary{}
	if err := s.Decode(b); err != nil {
		return nil, err
	}
	return s, nil
}

// Decode is DecodeSummary into the memory of a summary that nobody needs any more,
// except for that of the strings.
func (s *Summary) Decode(b []byte) error {
	start, fields, rest, ok := splitSummary(b)
	if !ok {
		return errs.New("message.DecodeSummary", errs.Corrupt, "")
	}
	s.FieldsWhole, s.BareLF, s.Plain = start.flags&flagFieldsWhole != 0, start.flags&flagBareLF != 0, start.flags&flagPlain != 0
	s.Size = start.size
	s.Fields = append(s.Fields[:0], fields...)
	d := decoder{s: string(rest)}
	n := d.count(PartsMax, 16)
	s.Parts = sized(s.Parts, n)
	for i := range s.Parts {
		p := &s.Parts[i]
		p.Children, p.next, p.first = 0, 0, 0
		d.part(p)
		if int(p.Parent) >= i || (i == 0) != (p.Parent < 0) || p.HeaderStart > p.BodyStart || p.BodyStart > p.End || p.End > s.Size {
			d.bad = true
			break
		}
	}
	if d.bad || n == 0 || d.i != len(d.s) || s.Parts[0].Envelope == nil {
		return errs.New("message.DecodeSummary", errs.Corrupt, "")
	}
	s.link()
	for i := range s.Parts {
		if p := &s.Parts[i]; p.IsMessage() && s.Parts[p.first].Envelope == nil {
			return errs.New("message.DecodeSummary", errs.Corrupt, "")
		}
	}
	return nil
}

// decoder reads values that share the memory of one string, into the memory of
// slices that are there. After the first bad one all are zero.
type decoder struct {
	s   string
	i   int
	bad bool
}

func (d *decoder) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64 && d.i < len(d.s); shift += 7 {
		c := d.s[d.i]
		d.i++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	d.bad = true
	return 0
}

func (d *decoder) offset() int64 {
	v := d.uvarint()
	if v > offsetMax {
		d.bad = true
		return 0
	}
	return int64(v)
}

func (d *decoder) string() string {
	n := d.uvarint()
	if d.bad || n > uint64(len(d.s)-d.i) {
		d.bad = true
		return ""
	}
	d.i += int(n)
	return d.s[d.i-int(n) : d.i]
}

// count reads how many elements of at least size octets follow.
func (d *decoder) count(limit, size int) int {
	n := d.uvarint()
	if d.bad || n > uint64(limit) || n > uint64((len(d.s)-d.i)/size) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) byte() byte {
	if d.i == len(d.s) {
		d.bad = true
		return 0
	}
	d.i++
	return d.s[d.i-1]
}

func (d *decoder) part(p *Part) {
	p.Parent = int32(min(d.uvarint(), PartsMax)) - 1
	p.HeaderStart = d.offset()
	p.BodyStart = p.HeaderStart + d.offset()
	p.End = p.BodyStart + d.offset()
	p.Lines = d.offset()
	for _, s := range []*string{&p.Type, &p.Subtype, &p.Encoding, &p.ID, &p.Description, &p.MD5, &p.Location, &p.Disposition} {
		*s = d.string()
	}
	p.Params = d.params(p.Params)
	p.DispositionParams = d.params(p.DispositionParams)
	p.Languages = sized(p.Languages, d.count(ParamsMax, 1))
	for i := range p.Languages {
		p.Languages[i] = d.string()
	}
	has := d.byte()
	if has == 0 {
		p.Envelope = nil
		return
	}
	if p.Envelope == nil {
		p.Envelope = &Envelope{}
	}
	e := p.Envelope
	e.HasDate, e.HasSubject = has&2 != 0, has&4 != 0
	for _, s := range []*string{&e.Date, &e.Subject, &e.InReplyTo, &e.MessageID} {
		*s = d.string()
	}
	for _, l := range e.lists() {
		*l = sized(*l, d.count(AddressesMax, 4))
		for i := range *l {
			a := &(*l)[i]
			a.Name, a.Route, a.Mailbox, a.Host = d.string(), d.string(), d.string(), d.string()
		}
	}
}

func (d *decoder) params(to []Param) []Param {
	to = sized(to, d.count(ParamsMax, 2))
	for i := range to {
		to[i] = Param{d.string(), d.string()}
	}
	return to
}

// sized returns n elements, in the memory of s where there is room.
func sized[T any](s []T, n int) []T {
	if n > cap(s) {
		return make([]T, n)
	}
	return s[:n]
}

// Top is what a summary tells of the message itself and not of its parts. One
// may be used for many messages: Decode uses its memory again, except for that of
// the strings.
type Top struct {
	Envelope    *Envelope
	Fields      []byte // as in Summary
	FieldsWhole bool   // likewise
	BodyStart   int64  // octet offset in the message

	part     Part
	envelope Envelope
}

// Top returns that of a decoded summary.
func (s *Summary) Top() *Top {
	return &Top{Envelope: s.Parts[0].Envelope, Fields: s.Fields, FieldsWhole: s.FieldsWhole, BodyStart: s.Parts[0].BodyStart}
}

// Decode decodes what Summary.Append made, no further than it must. Fields are
// then in b. It returns an error as DecodeSummary does.
func (t *Top) Decode(b []byte) error {
	start, fields, rest, ok := splitSummary(b)
	if !ok {
		return errs.New("message.Top.Decode", errs.Corrupt, "")
	}
	t.Fields, t.FieldsWhole = fields, start.flags&flagFieldsWhole != 0
	d := decoder{s: string(rest)}
	d.count(PartsMax, 16)
	t.part.Envelope = &t.envelope
	d.part(&t.part)
	if d.bad || t.part.Envelope == nil {
		return errs.New("message.Top.Decode", errs.Corrupt, "")
	}
	t.Envelope, t.BodyStart = t.part.Envelope, t.part.BodyStart
	return nil
}

// DecodeFields returns the Fields of an encoded summary, which are in b, and
// FieldsWhole. It returns an error as DecodeSummary does.
func DecodeFields(b []byte) (fields []byte, whole bool, err error) {
	start, fields, _, ok := splitSummary(b)
	if !ok {
		return nil, false, errs.New("message.DecodeFields", errs.Corrupt, "")
	}
	return fields, start.flags&flagFieldsWhole != 0, nil
}

// summaryStart is what stands before the fields of an encoded summary.
type summaryStart struct {
	flags byte
	size  int64
}

// splitSummary returns the pieces of an encoded summary: what stands before its
// fields, these, and its parts.
func splitSummary(b []byte) (start summaryStart, fields, parts []byte, ok bool) {
	if len(b) < 2 || b[0] != summaryVersion {
		return summaryStart{}, nil, nil, false
	}
	size, n := binary.Uvarint(b[2:])
	if n <= 0 || size > offsetMax {
		return summaryStart{}, nil, nil, false
	}
	rest := b[2+n:]
	length, n := binary.Uvarint(rest)
	if n <= 0 || length > uint64(len(rest)-n) {
		return summaryStart{}, nil, nil, false
	}
	rest = rest[n:]
	return summaryStart{b[1], int64(size)}, rest[:length:length], rest[length:], true
}
