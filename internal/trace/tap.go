package trace

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

const (
	lineMax   = 8 << 10  // octets of a line that are written
	shownMax  = 128      // octets of a literal that is written without Bodies
	bufferMax = 32 << 10 // octets that wait to be written
)

// Tap is one session's part of a trace. A session that has been told of it
// tells what it reads and writes; once the trace is over, in vain.
type Tap struct {
	t        *Trace
	file     *os.File // nil once it is closed
	protocol string
	buf      []byte // not written yet
	used     int64  // octets of the file
	// begun tells that a command began since the trace did.
	begun bool

	// Of the client's side.
	next    expected
	secret  bool // the command holds a password
	hidden  bool // the whole line was one
	answers bool // the last command began a SASL exchange
	in      octets

	// Of the server's side.
	line    []byte // begin of a line, at most lineMax of it
	cut     bool   // more of it is left out
	literal int64  // octets of a literal that are still to come
	out     octets
	message message
}

// expected is what the client's next line is.
type expected uint8

const (
	anAnswer expected = iota // of a SASL exchange
	aCommand                 // or DONE, of IDLE
	aSequel                  // of a command, behind a literal
)

// message is where an answer to RETR or TOP is (RFC 1939 §5, §7).
type message uint8

const (
	noMessage message = iota
	mayCome           // behind +OK
	beingTold         // until a line with a dot
)

// octets are a literal or a message, which comes in pieces.
type octets struct {
	n    int64
	kept []byte // the begin: shownMax of it, or of a line of it
	cut  bool   // more of the line is left out
}

// enter takes the lock, and reports whether there is somebody to be told.
func (p *Tap) enter() bool {
	if p.t.over.Load() {
		return false
	}
	p.t.mu.Lock()
	if p.file == nil {
		p.t.mu.Unlock()
		return false
	}
	return true
}

// Boundary is told when the next command begins, or the next turn of IDLE.
func (p *Tap) Boundary() {
	if !p.enter() {
		return
	}
	defer p.t.mu.Unlock()
	p.endOctets('C', &p.in)
	p.begun, p.next, p.secret, p.hidden = true, aCommand, false, false
	p.line, p.cut, p.literal, p.out, p.message = p.line[:0], false, 0, octets{}, noMessage
}

// Line is told a line of the client, without its end.
func (p *Tap) Line(line []byte) {
	if !p.enter() {
		return
	}
	defer p.t.mu.Unlock()
	if !p.begun {
		return
	}
	p.endOctets('C', &p.in)
	text := line
	switch {
	case p.next == anAnswer:
		text, p.hidden = []byte(masked), true
	case p.next == aSequel && p.secret:
		text = []byte(masked)
	case p.next == aCommand:
		text = p.command(line)
	}
	p.next = anAnswer
	if _, ok := literalAt(line); ok {
		p.next = aSequel
	}
	p.write('C', text, false)
}

// command returns what may be seen of a command's first line.
func (p *Tap) command(line []byte) []byte {
	if p.answers = p.answers && isOneWord(line); p.answers {
		p.secret, p.hidden = true, true
		return []byte(masked)
	}
	if at, word := secretAt(line); at >= 0 {
		p.secret = true
		p.answers = word == "AUTH" || word == "AUTHENTICATE"
		return append(bytes.Clone(line[:at]), " "+masked...)
	}
	if verb, _, _ := bytes.Cut(line, []byte(" ")); p.protocol == "pop3" && !p.t.opts.Bodies && (bytes.EqualFold(verb, []byte("RETR")) || bytes.EqualFold(verb, []byte("TOP"))) {
		p.message = mayCome
	}
	return line
}

// Octets is told octets of the client that are no lines: of a literal or a
// message.
func (p *Tap) Octets(b []byte) {
	if !p.enter() {
		return
	}
	defer p.t.mu.Unlock()
	if p.begun && len(b) > 0 {
		p.addOctets('C', &p.in, b)
	}
}

// Sent is told what the server says, in any pieces.
func (p *Tap) Sent(b []byte) {
	if !p.enter() {
		return
	}
	defer p.t.mu.Unlock()
	if !p.begun {
		return
	}
	p.endOctets('C', &p.in)
	for len(b) > 0 {
		if p.literal > 0 {
			n := min(int64(len(b)), p.literal)
			p.addOctets('S', &p.out, b[:n])
			b = b[n:]
			if p.literal -= n; p.literal == 0 {
				p.endOctets('S', &p.out)
			}
			continue
		}
		end := bytes.IndexByte(b, '\n') + 1
		piece := b
		if end > 0 {
			piece = b[:end]
		}
		b = b[len(piece):]
		if p.message == beingTold {
			p.out.n += int64(len(piece))
		}
		n := min(len(piece), lineMax+2-len(p.line))
		p.line, p.cut = append(p.line, piece[:n]...), p.cut || n < len(piece)
		if end > 0 {
			p.sentLine()
		}
	}
}

// sentLine writes a line of the server's that has come to its end.
func (p *Tap) sentLine() {
	text := bytes.TrimRight(p.line, "\r\n")
	dot := len(text) == 1 && text[0] == '.'
	if p.message == beingTold && !dot {
		p.line, p.cut = p.line[:0], false
		return
	}
	if p.message == beingTold {
		p.out.n -= int64(len(p.line))
		p.endOctets('S', &p.out)
		p.message = noMessage
	}
	if p.message == mayCome && bytes.HasPrefix(text, []byte("+OK")) {
		p.message = beingTold
	}
	if p.protocol == "imap" && !p.cut {
		p.literal, _ = literalAt(text)
	}
	if p.secret {
		text = p.statusOnly(text)
	}
	p.write('S', text, p.cut)
	p.line, p.cut = p.line[:0], false
}

// statusOnly returns what may be seen of an answer to a secret, which may hold
// words of it: in IMAP the tag, unless that was the secret, and in all protocols
// the status.
func (p *Tap) statusOnly(line []byte) []byte {
	words := bytes.Fields(line)
	n := 1
	if p.protocol == "imap" && len(words) > 1 && string(words[0]) != "+" {
		n = 2
		if p.hidden && string(words[0]) != "*" {
			words[0] = []byte(masked)
		}
	}
	return append(bytes.Join(words[:min(n, len(words))], []byte(" ")), " "+masked...)
}

// literalAt returns the size of the IMAP literal that a line announces.
func literalAt(line []byte) (n int64, ok bool) {
	begin := bytes.LastIndexByte(line, '{')
	if begin < 0 || line[len(line)-1] != '}' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSuffix(line[begin+1:len(line)-1], []byte("+"))), 10, 64)
	return n, err == nil && n >= 0
}

// addOctets takes a piece of a literal or message.
func (p *Tap) addOctets(dir byte, o *octets, b []byte) {
	o.n += int64(len(b))
	if !p.t.opts.Bodies || p.secret {
		o.kept = append(o.kept, b[:min(len(b), shownMax-len(o.kept))]...)
		return
	}
	for len(b) > 0 {
		piece := b
		end := bytes.IndexByte(b, '\n') + 1
		if end > 0 {
			piece = b[:end]
		}
		b = b[len(piece):]
		n := min(len(piece), lineMax+2-len(o.kept))
		o.kept, o.cut = append(o.kept, piece[:n]...), o.cut || n < len(piece)
		if end > 0 {
			p.writeKept(dir, o)
		}
	}
}

func (p *Tap) writeKept(dir byte, o *octets) {
	p.write(dir, bytes.TrimRight(o.kept, "\r\n"), o.cut)
	o.kept, o.cut = o.kept[:0], false
}

// endOctets writes what there is to be seen of a literal or message that has
// come to its end.
func (p *Tap) endOctets(dir byte, o *octets) {
	switch {
	case o.n == 0:
		return
	case p.secret:
		p.write(dir, []byte(masked), false)
	case p.t.opts.Bodies:
		if len(o.kept) > 0 {
			p.writeKept(dir, o)
		}
	case p.protocol == "imap" && o.n <= shownMax:
		p.write(dir, o.kept, false)
	default:
		p.write(dir, fmt.Appendf(nil, "[%d octets]", o.n), false)
	}
	*o = octets{kept: o.kept[:0]}
}

// note writes a line of the trace's own.
func (p *Tap) note(text string) { p.write('*', []byte(text), false) }

// write writes a line, of which more was left out or is if it is too long.
func (p *Tap) write(dir byte, text []byte, cut bool) {
	if p.file == nil {
		return
	}
	before := len(p.buf)
	p.buf = time.Now().UTC().AppendFormat(p.buf, "2006-01-02T15:04:05.000000Z ")
	p.buf = append(p.buf, dir, ' ')
	p.buf = appendText(p.buf, maskURLs(text[:min(len(text), lineMax)]))
	if cut || len(text) > lineMax {
		p.buf = append(p.buf, " [...]"...)
	}
	p.buf = append(p.buf, '\n')
	n := int64(len(p.buf) - before)
	p.used += n
	p.t.info.Octets += n
	if len(p.buf) >= bufferMax {
		p.flush()
	}
	p.limit(dir)
}

// limit ends the tap or the trace when it is as large as it may be.
func (p *Tap) limit(dir byte) {
	switch {
	case dir == '*' || p.file == nil:
	case p.t.info.Octets >= p.t.opts.TotalMax:
		p.t.endLocked("it is as large as it may be", nil)
	case p.used >= p.t.opts.SessionMax:
		p.note("the trace of this session ends: it is as large as it may be")
		p.closeLocked()
	}
}

// Flush writes what waits to be written.
func (p *Tap) Flush() {
	if p.enter() {
		defer p.t.mu.Unlock()
		p.flush()
	}
}

// flush ends the trace when it cannot be written.
func (p *Tap) flush() {
	if len(p.buf) == 0 || p.file == nil {
		return
	}
	_, err := p.file.Write(p.buf)
	p.buf = p.buf[:0]
	if err != nil {
		f := p.file
		p.file = nil
		delete(p.t.taps, p)
		f.Close()
		p.t.endLocked("it cannot be written", err)
	}
}

// Close is told that the session ended, or is another user's.
func (p *Tap) Close() {
	if !p.enter() {
		return
	}
	defer p.t.mu.Unlock()
	p.endOctets('C', &p.in)
	p.note("the session ends, or goes on for another user")
	p.closeLocked()
}

func (p *Tap) closeLocked() {
	p.flush()
	if p.file == nil {
		return
	}
	p.file.Close()
	p.file, p.buf = nil, nil
	delete(p.t.taps, p)
}
