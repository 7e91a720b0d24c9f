package message

import "bytes"

// Parser takes one message's octets in pieces of any size. It is used by one
// goroutine.
//
// Invariants:
//  1. off counts every octet given; offsets in parts never exceed it.
//  2. open holds the parts that are not ended, outermost first; the last one
//     is the part that the next line belongs to.
//  3. line holds the start of a line whose end has not been seen, at most
//     FieldMax+2 octets of it in a header and bodyLineMax elsewhere.
//  4. field holds at most FieldMax+1 octets, and nothing of a field that is not
//     known. Whatever a header is, no more of it is in memory.
type Parser struct {
	sum       Summary
	off       int64  // octets seen
	lines     int64  // line ends seen
	lineStart int64  // offset of the current line
	line      []byte // its start, when it came in pieces
	cut       bool   // line holds less than the whole
	last      byte   // the octet before the current piece of the line
	eol       int64  // octets of the line end before lineStart
	dots      bool   // a line begins with a dot
	midLine   bool   // the octet before the next that skim reads ended no line
	inHeader  bool
	open      []openPart
	field     []byte    // the header field being read
	known     *known    // nil for one that is passed over
	headerLen int       // octets of the header block that were looked at
	fields    int       // fields in them
	headerCut bool      // there is more of it than is looked at
	addresses int       // addresses that may still be parsed
	envelope  *Envelope // of the message itself
}

type openPart struct {
	part        int32
	boundary    string // of a multipart that may have further parts
	digest      bool
	linesBefore int64 // line ends before its body
}

// bodyLineMax is how much of a line's start decides whether it is a boundary.
const bodyLineMax = BoundaryMax + 8

// Of the memory for one message that much is kept for the next: a list's elements.
const (
	partsKept  = 64
	octetsKept = 16 << 10
)

// NewParser returns a parser for one message.
func NewParser() *Parser {
	p := &Parser{envelope: &Envelope{}}
	p.Reset()
	return p
}

// Reset makes the parser ready for another message. It has the memory of the last one,
// whose summary nobody may need any more.
func (p *Parser) Reset() {
	*p.envelope = Envelope{}
	*p = Parser{
		sum:       Summary{Parts: emptied(p.sum.Parts, partsKept), Fields: emptied(p.sum.Fields, octetsKept), FieldsWhole: true},
		line:      emptied(p.line, octetsKept),
		open:      emptied(p.open, partsKept),
		field:     emptied(p.field, octetsKept),
		addresses: AddressesMax,
		envelope:  p.envelope,
	}
	p.push(Part{Parent: -1, Envelope: p.envelope}, 0)
}

// emptied returns a list without elements in the memory of s, if that is not too large.
func emptied[T any](s []T, most int) []T {
	if cap(s) > most {
		return nil
	}
	clear(s)
	return s[:0]
}

// Parse sums up a message that is in memory.
func Parse(b []byte) *Summary {
	p := NewParser()
	p.Write(b)
	return p.Finish()
}

// push opens a part whose header starts at offset start.
func (p *Parser) push(part Part, start int64) {
	part.HeaderStart, part.BodyStart, part.End = start, start, start
	p.sum.Parts = append(p.sum.Parts, part)
	p.open = append(p.open, openPart{part: int32(len(p.sum.Parts) - 1)})
	p.inHeader = true
	p.headerLen, p.fields, p.headerCut = 0, 0, false
}

func (p *Parser) top() *openPart { return &p.open[len(p.open)-1] }

// Write takes further octets. It never fails.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if !p.inHeader && len(p.open) == 1 && p.top().boundary == "" && len(p.line) == 0 && !p.cut {
			p.skim(b)
			return n, nil
		}
		if !p.inHeader && len(p.line) == 0 && !p.cut {
			if b = p.skimLines(b); len(b) == 0 {
				return n, nil
			}
		}
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.keep(b)
			p.last = b[len(b)-1]
			p.off += int64(len(b))
			return n, nil
		}
		line := b[:i+1]
		p.off += int64(i + 1)
		b = b[i+1:]
		if len(p.line) > 0 || p.cut {
			p.keep(line)
			p.takeLine(p.line, line)
			p.line, p.cut = p.line[:0], false
		} else {
			p.takeLine(line, line)
		}
	}
	return n, nil
}

// skim reads the body of a message without parts, where only line ends count.
func (p *Parser) skim(b []byte) {
	p.lines += int64(bytes.Count(b, []byte{'\n'}))
	if !p.sum.BareLF {
		p.lookAtLines(b)
	}
	p.eol, p.midLine = 0, true
	switch b[len(b)-1] {
	case '\r':
		p.eol = 1
	case '\n':
		p.midLine = false
	}
	p.off += int64(len(b))
	p.lineStart = p.off
}

// skimLines reads whole lines of a body that are no boundaries, and returns what is
// left.
func (p *Parser) skimLines(b []byte) []byte {
	start, lines := len(b), p.lines
	for len(b) > 0 && b[0] != '-' {
		p.dots = p.dots || b[0] == '.'
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			break
		}
		p.lines++
		if p.eol = 2; i == 0 || b[i-1] != '\r' {
			p.eol, p.sum.BareLF = 1, true
		}
		b = b[i+1:]
	}
	p.off += int64(start - len(b))
	if p.lines > lines {
		p.lineStart = p.off
	}
	return b
}

// lookAtLines looks how the lines of what skim reads end and begin, up to the first
// that ends in LF alone.
func (p *Parser) lookAtLines(b []byte) {
	p.dots = p.dots || !p.midLine && b[0] == '.'
	before := byte(0)
	if p.eol == 1 { // the CR ended the piece before
		before = '\r'
	}
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return
		}
		if i > 0 {
			before = b[i-1]
		}
		if before != '\r' {
			p.sum.BareLF = true
			return
		}
		before, b = '\n', b[i+1:]
		p.dots = p.dots || len(b) > 0 && b[0] == '.'
	}
}

// keep appends to the start of a line that comes in pieces.
func (p *Parser) keep(b []byte) {
	limit := bodyLineMax
	if p.inHeader {
		limit = FieldMax + 2
	}
	if room := limit - len(p.line); len(b) > room {
		b = b[:max(room, 0)]
		p.cut = true
	}
	p.line = append(p.line, b...)
}

// takeLine handles one line. head is its start, long enough to decide; tail is
// its last piece.
func (p *Parser) takeLine(head, tail []byte) {
	p.dots = p.dots || head[0] == '.'
	eol := int64(1)
	if n := len(tail); n > 1 && tail[n-2] == '\r' || n == 1 && p.last == '\r' {
		eol = 2
	} else {
		p.sum.BareLF = true
	}
	boundary := len(head) > 2 && head[0] == '-' && head[1] == '-' && p.takeBoundary(head)
	p.lines++
	if boundary {
		eol = 0 // a boundary line's end is not the next boundary's
		if p.inHeader {
			p.top().linesBefore = p.lines
		}
	} else if p.inHeader {
		p.takeHeaderLine(head, eol)
	}
	p.eol = eol
	p.last = 0
	p.lineStart = p.off
}

func (p *Parser) takeHeaderLine(line []byte, eol int64) {
	if int64(len(line)) == eol && p.off-p.lineStart == eol {
		p.endHeader(p.off, p.lines)
		return
	}
	p.takeHeader(line)
}

// takeHeader takes a line of a header, unless a limit was reached before.
func (p *Parser) takeHeader(line []byte) {
	if p.headerCut || len(line) > HeaderMax-p.headerLen {
		p.headerCut = true
		return
	}
	if p.headerLen == 0 || line[0] != ' ' && line[0] != '\t' {
		p.endField()
		if p.fields == FieldsMax {
			p.headerCut = true
			return
		}
		p.fields++
		p.known = knownField(fieldName(line))
	}
	p.headerLen += len(line)
	if p.known != nil {
		p.field = append(p.field, line[:min(len(line), FieldMax+1-len(p.field))]...)
	}
}

// takeBoundary ends and begins parts when the line is a boundary of an open
// multipart, innermost first (RFC 2046 §5.1.1).
func (p *Parser) takeBoundary(line []byte) bool {
	text := bytes.TrimRight(line[2:], " \t\r\n")
	prefix := -1
	for i := len(p.open) - 1; i >= 0; i-- {
		b := p.open[i].boundary
		if b == "" || len(text) < len(b) || string(text[:len(b)]) != b {
			continue
		}
		rest := text[len(b):]
		if len(rest) != 0 && string(rest) != "--" {
			if prefix < 0 {
				prefix = i
			}
			continue
		}
		p.boundary(i, len(rest) != 0)
		return true
	}
	if prefix < 0 {
		return false
	}
	// RFC 2046 §5.1.1, note to implementors: it is sufficient that the boundary
	// is at the start of the line. One that is the whole line comes first.
	p.boundary(prefix, bytes.HasPrefix(text[len(p.open[prefix].boundary):], []byte("--")))
	return true
}

// boundary ends all parts inside the open multipart at index i; last tells
// that it has no further parts.
func (p *Parser) boundary(i int, last bool) {
	for end := p.lineStart - p.eol; len(p.open) > i+1; {
		end = p.pop(end, p.lineStart) // no part ends before one inside it
	}
	p.inHeader = false
	m := p.top()
	if last {
		m.boundary = "" // what follows is the epilogue
		return
	}
	if len(p.sum.Parts) >= PartsMax || len(p.open) >= DepthMax {
		return
	}
	child := Part{Parent: m.part}
	if m.digest {
		child.Type, child.Subtype = "message", "rfc822" // RFC 2046 §5.1.5
	}
	p.push(child, p.off)
}

// pop ends the innermost part at end, or after its header, and returns where. The line end between end and line, the
// start of the boundary line, belongs to the boundary.
func (p *Parser) pop(end, line int64) int64 {
	if p.inHeader {
		p.endHeader(max(end, p.sum.Parts[p.top().part].HeaderStart), p.lines)
		p.inHeader = false
	}
	o := p.top()
	part := &p.sum.Parts[o.part]
	part.End = max(end, part.BodyStart)
	if part.Lines = p.lines - o.linesBefore; part.End < line && part.Lines > 0 {
		part.Lines--
	}
	p.open = p.open[:len(p.open)-1]
	return part.End
}

// endHeader looks at the header of the innermost part. Its body starts at
// offset body, before which there were lines line ends.
func (p *Parser) endHeader(body, lines int64) {
	o := p.top()
	part := &p.sum.Parts[o.part]
	part.BodyStart = body
	o.linesBefore = lines
	p.inHeader = false
	p.endField()
	part.setDefaults()
	if o.part == 0 && p.headerCut {
		p.sum.FieldsWhole = false
	}
	switch {
	case len(p.open) >= DepthMax || len(p.sum.Parts) >= PartsMax:
	case equalFold(part.Type, "multipart"):
		if b := param(part.Params, "boundary"); len(b) <= BoundaryMax {
			o.boundary = trimRightSpace(b)
			o.digest = equalFold(part.Subtype, "digest")
		}
	case equalFold(part.Type, "message") && (equalFold(part.Subtype, "rfc822") || equalFold(part.Subtype, "global")) && identity(part.Encoding):
		p.push(Part{Parent: o.part, Envelope: &Envelope{}}, body)
	}
}

// identity reports whether a transfer encoding leaves the octets as they are.
func identity(encoding string) bool {
	switch toLower(encoding) {
	case "", "7bit", "8bit", "binary":
		return true
	}
	return false
}

// Finish ends the message. The parser is not used afterwards, but for Reset, until which
// the summary is good.
func (p *Parser) Finish() *Summary {
	if len(p.line) > 0 || p.cut {
		p.dots = p.dots || p.line[0] == '.'
		// A last line without an end may still be a boundary.
		switch {
		case len(p.line) > 2 && p.line[0] == '-' && p.line[1] == '-' && !p.cut && p.takeBoundary(p.line):
		case p.inHeader:
			p.takeHeader(p.line)
		}
	}
	for len(p.open) > 0 {
		p.pop(p.off, p.off)
	}
	p.sum.Size, p.sum.Plain = p.off, !p.sum.BareLF && !p.dots
	p.sum.link()
	return &p.sum
}
