package imapwire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/angarium/angarium/internal/mail"
)

// Source is where a command's octets come from.
type Source interface {
	ReadLine(max int) ([]byte, error)
	io.Reader
	// Continue sends a command continuation request (RFC 3501 §7.5).
	Continue() error
}

// SyntaxError says what was wrong with a command. The connection goes on.
type SyntaxError struct{ Text string }

func (e *SyntaxError) Error() string { return e.Text }

// ErrTooMuch is a command over a limit of the reader. What follows on the
// connection is not understood any more, so it must be closed.
var ErrTooMuch = errors.New("the command is over a limit")

// Decoder reads one command. The first error sticks: every later call fails.
type Decoder struct {
	src  Source
	utf8 bool

	anyOctets bool // a literal may hold NUL
	limits    Limits
	nonSync   int64 // octets of a non-synchronising literal; -1: there is none
	without   map[string]bool
	line      []byte
	pos       int
	tokens    int
	keys      int // of a search
	literals  int
	octets    int64
	err       error
}

// NewDecoder returns a decoder for commands from src.
func NewDecoder(src Source) *Decoder {
	return &Decoder{src: src, limits: BeforeLogin, nonSync: math.MaxInt64}
}

// Reset forgets what the client turned on: nobody is logged in any more.
func (d *Decoder) Reset() { d.utf8, d.limits = false, BeforeLogin }

// SetLimits sets the limits of commands that follow.
func (d *Decoder) SetLimits(l Limits) { d.limits = l }

// SetNonSync sets how many octets a literal may have that does not wait (RFC
// 7888): NonSyncMax for LITERAL-, -1 when there is to be none.
func (d *Decoder) SetNonSync(octets int64) { d.nonSync = octets }

// Without sets the capabilities whose grammar is not understood.
func (d *Decoder) Without(capabilities map[string]bool) { d.without = capabilities }

// Needs fails where the grammar of a capability begins that is not understood.
func (d *Decoder) Needs(capability string) {
	if d.without[capability] {
		d.Fail(capability + " is not available")
	}
}

// Next waits for the next command.
func (d *Decoder) Next() error {
	d.tokens, d.keys, d.literals, d.octets, d.err = 0, 0, 0, 0, nil
	return d.nextLine()
}

func (d *Decoder) nextLine() error {
	line, err := d.src.ReadLine(int(d.limits.Command - d.octets))
	d.line, d.pos = line, 0
	d.octets += int64(len(line))
	if err != nil {
		d.err = err
	}
	return err
}

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Fail makes the decoder fail with a syntax error and returns it.
func (d *Decoder) Fail(text string) error {
	if d.err == nil {
		d.err = &SyntaxError{text}
	}
	return d.err
}

// Abort makes the decoder fail with an error of the caller.
func (d *Decoder) Abort(err error) {
	if d.err == nil {
		d.err = err
	}
}

// token counts against the limit of a command.
func (d *Decoder) token() bool {
	if d.tokens++; d.tokens > TokensMax {
		d.Fail("too many words in one command")
	}
	return d.err == nil
}

// Skip reads what is left of a command that failed, so that the next one is
// understood: the octets of literals that come without being asked for.
func (d *Decoder) Skip() error {
	for {
		n, sync, ok := literalAt(d.line, max(0, bytes.LastIndexByte(d.line, '{')))
		if !ok || sync {
			d.line = nil
			return nil
		}
		if n > d.limits.Command*64 {
			return ErrTooMuch
		}
		if _, err := io.CopyN(io.Discard, d.src, n); err != nil {
			return err
		}
		d.err, d.octets = nil, 0 // nothing of what was before is kept
		if err := d.nextLine(); err != nil {
			return err
		}
	}
}

// Peek returns the next octet, 0 at the end of the line.
func (d *Decoder) Peek() byte {
	if d.err == nil && d.pos < len(d.line) {
		return d.line[d.pos]
	}
	return 0
}

// PeekText reports whether a text is next.
func (d *Decoder) PeekText(text string) bool {
	return d.err == nil && bytes.HasPrefix(d.line[min(d.pos, len(d.line)):], []byte(text))
}

// Take takes the octet c, if it is next.
func (d *Decoder) Take(c byte) bool {
	if d.Peek() == c && c != 0 {
		d.pos++
		return true
	}
	return false
}

// Expect takes the octet c or fails.
func (d *Decoder) Expect(c byte) bool {
	if !d.Take(c) {
		d.Fail("expected " + strconv.QuoteRune(rune(c)))
		return false
	}
	return true
}

// Space takes one space or fails.
func (d *Decoder) Space() bool { return d.Expect(' ') }

// End takes the end of the command or fails.
func (d *Decoder) End() error {
	if d.err == nil && d.pos < len(d.line) {
		// A space before the line end is common and harmless.
		if len(bytes.TrimRight(d.line[d.pos:], " ")) > 0 {
			return d.Fail("unexpected text after the command")
		}
	}
	if d.err == nil {
		d.line, d.pos = nil, 0 // its memory is the connection's
	}
	return d.err
}

// Rest takes what is left of the line.
func (d *Decoder) Rest() string {
	s := string(d.line[min(d.pos, len(d.line)):])
	d.pos = len(d.line)
	return s
}

// isAtom reports whether c may be in an atom.
func isAtom(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(`(){%*"\]`, c) < 0
}

// isAString reports whether c may be in an astring without quotes. Octets
// above ASCII are none, but clients send them in passwords and names.
func isAString(c byte) bool { return isAtom(c) || c == ']' || c >= 0x80 }

func isList(c byte) bool { return isAString(c) || c == '%' || c == '*' }

func isTag(c byte) bool { return isAString(c) && c != '+' && c < 0x80 }

func (d *Decoder) while(ok func(byte) bool) string {
	if !d.token() {
		return ""
	}
	start := d.pos
	for d.pos < len(d.line) && ok(d.line[d.pos]) {
		d.pos++
	}
	return string(d.line[start:d.pos])
}

// Atom reads an atom or fails.
func (d *Decoder) Atom() string {
	s := d.while(isAtom)
	if s == "" {
		d.Fail("expected an atom")
	}
	return s
}

// Tag reads a command's tag or fails.
func (d *Decoder) Tag() string {
	s := d.while(isTag)
	if s == "" || len(s) > 100 {
		d.Fail("expected a tag")
		return ""
	}
	return s
}

// Word reads an atom and returns it in upper case.
func (d *Decoder) Word() string { return strings.ToUpper(d.Atom()) }

// TakeWord takes a word in any case, if it is next and whole.
func (d *Decoder) TakeWord(word string) bool {
	end := d.pos + len(word)
	if d.err != nil || end > len(d.line) || !strings.EqualFold(string(d.line[d.pos:end]), word) || end < len(d.line) && isAtom(d.line[end]) {
		return false
	}
	d.pos = end
	return true
}

// Flag reads a flag: an atom, perhaps with a backslash before it.
func (d *Decoder) Flag() string {
	if d.Take('\\') {
		return `\` + d.Atom()
	}
	return d.Atom()
}

// Number reads a number of at most 63 bits or fails.
func (d *Decoder) Number() int64 {
	s := d.while(func(c byte) bool { return c >= '0' && c <= '9' })
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || len(s) > numberDigitsMax {
		d.Fail("expected a number")
		return 0
	}
	return n
}

// Number32 reads a number of 32 bits or fails.
func (d *Decoder) Number32() uint32 {
	n := d.Number()
	if n > 1<<32-1 {
		d.Fail("the number is too large")
		return 0
	}
	return uint32(n)
}

// AString reads an atom, quoted string or literal (RFC 3501 §9 astring).
func (d *Decoder) AString() string {
	switch d.Peek() {
	case '"', '{':
		return d.String()
	}
	s := d.while(isAString)
	if s == "" {
		d.Fail("expected a string")
	}
	return s
}

// listMailbox reads a pattern of LIST (RFC 3501 §9 list-mailbox).
func (d *Decoder) listMailbox() string {
	switch d.Peek() {
	case '"', '{':
		return d.String()
	}
	s := d.while(isList)
	if s == "" {
		d.Fail("expected a mailbox pattern")
	}
	return s
}

// SetUTF8 says that mailbox names are UTF-8 from now on (RFC 9051 §5.1, RFC
// 6855 §3).
func (d *Decoder) SetUTF8() { d.utf8 = true }

// Mailbox reads a mailbox name and returns it in UTF-8.
func (d *Decoder) Mailbox() string { return d.mailboxName(d.AString()) }

// MailboxPattern reads a pattern of LIST and returns it in UTF-8.
func (d *Decoder) MailboxPattern() string { return d.mailboxName(d.listMailbox()) }

// mailboxName decodes a name (RFC 3501 §5.1.3). One that is not modified UTF-7
// but UTF-8 is taken as it is.
func (d *Decoder) mailboxName(s string) string {
	if d.utf8 {
		return s
	}
	if u, err := DecodeUTF7(s); err == nil {
		return u
	}
	return s
}

// NString reads a string or NIL.
func (d *Decoder) NString() (s string, ok bool) {
	switch d.Peek() {
	case '"', '{':
		return d.String(), true
	}
	if !strings.EqualFold(d.Atom(), "NIL") {
		d.Fail("expected a string or NIL")
	}
	return "", false
}

// Value reads a string of any octets or NIL (RFC 5464 §5 value).
func (d *Decoder) Value() (s string, ok bool) {
	if !d.Literal8() {
		return d.NString()
	}
	d.anyOctets = true
	defer func() { d.anyOctets = false }()
	return d.String(), true
}

// String reads a quoted string or a literal.
func (d *Decoder) String() string {
	if !d.token() {
		return ""
	}
	if d.Peek() == '{' {
		return d.literal()
	}
	if !d.Expect('"') {
		return ""
	}
	var b []byte
	for d.pos < len(d.line) {
		c := d.line[d.pos]
		d.pos++
		switch {
		case c == '"':
			return string(b)
		case c == 0 || c == '\r':
			d.Fail("a quoted string holds NUL or CR")
			return ""
		case c == '\\':
			if c = d.Peek(); c != '"' && c != '\\' {
				d.Fail("a quoted string holds a bad escape")
				return ""
			}
			d.pos++
			b = append(b, c)
		default:
			b = append(b, c)
		}
	}
	d.Fail("a quoted string has no end")
	return ""
}

// literalAt reads a literal's announcement at the end of a line.
func literalAt(line []byte, pos int) (n int64, sync, ok bool) {
	if pos >= len(line) || line[pos] != '{' || line[len(line)-1] != '}' {
		return 0, false, false
	}
	digits, nonSync := bytes.CutSuffix(line[pos+1:len(line)-1], []byte("+"))
	if len(digits) == 0 || len(digits) > numberDigitsMax-1 {
		return 0, false, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, !nonSync, true
}

// literal reads a literal into memory.
func (d *Decoder) literal() string {
	n, sync, ok := literalAt(d.line, d.pos)
	if !ok || d.src == nil { // a text that was stored has none
		d.Fail("bad literal")
		return ""
	}
	if !sync && n > d.nonSync {
		d.Fail("a non-synchronising literal of this size is not taken")
		return ""
	}
	d.literals++
	d.octets += n
	if n > d.limits.Literal || d.literals > LiteralsMax || d.octets > d.limits.Command {
		if sync {
			d.Fail("the literal is too large")
		} else {
			d.err = ErrTooMuch
		}
		return ""
	}
	if sync {
		if d.err = d.src.Continue(); d.err != nil {
			return ""
		}
	}
	b, err := d.readLiteral(int(n))
	if err != nil {
		d.err = err
		return ""
	}
	if d.nextLine() != nil {
		return ""
	}
	if !d.anyOctets && strings.IndexByte(b, 0) >= 0 {
		d.Fail("a literal holds NUL")
		return ""
	}
	return b
}

// readLiteral reads n octets. Memory grows with what arrives, not with what is
// announced, and beside it nothing is held while more is awaited.
func (d *Decoder) readLiteral(n int) (string, error) {
	b := make([]byte, 0, min(n, 1024))
	for len(b) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 2*cap(b))), b...)
		}
		got, err := d.src.Read(b[len(b):cap(b)])
		if got == 0 && err != nil {
			return "", err
		}
		b = b[:len(b)+got]
	}
	return string(b), nil
}

// Literal8 takes the "~" before a literal of any octets (RFC 3516 §4.4).
func (d *Decoder) Literal8() bool { return d.PeekText("~{") && d.Take('~') }

// MessageLiteral starts a literal that holds a message, which the caller then
// copies from Message, whole, before it goes on. max is the largest message.
// tooBig tells that the message must be read and thrown away.
func (d *Decoder) MessageLiteral(max int64) (n int64, tooBig bool) {
	n, sync, ok := literalAt(d.line, d.pos)
	if !ok {
		d.Fail("expected a message literal")
		return 0, false
	}
	if !sync && n > d.nonSync {
		d.Fail("a non-synchronising literal of this size is not taken")
		return 0, false
	}
	if n > max {
		if sync {
			d.line = d.line[:d.pos] // the client sends nothing of it
			return n, true
		}
		if n > 4*max {
			d.err = ErrTooMuch
			return 0, true
		}
		return n, true
	}
	if sync {
		d.err = d.src.Continue()
	}
	return n, false
}

// Sync reports whether the literal that is next waits for a continuation.
func (d *Decoder) Sync() bool {
	_, sync, ok := literalAt(d.line, d.pos)
	return ok && sync
}

// CopyMessage copies a message literal's octets to w.
func (d *Decoder) CopyMessage(w io.Writer, n int64) error {
	if d.err != nil {
		return d.err
	}
	buffer := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buffer)
	copied, err := io.CopyBuffer(w, io.LimitReader(d.src, n), buffer[:])
	if err == nil && copied < n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// AfterLiteral goes on with the line behind a message literal.
func (d *Decoder) AfterLiteral() error { return d.nextLine() }

// List calls item for each element of a parenthesized list, which may be empty.
func (d *Decoder) List(item func()) {
	if !d.Expect('(') || d.Take(')') {
		return
	}
	for d.err == nil {
		if item(); d.Take(')') {
			return
		}
		d.Space()
	}
}

// Flags reads a flag list in parentheses into a set. Unknown flags that begin
// with a backslash are a syntax error, but \Recent is passed over: only the
// server sets it.
func (d *Decoder) Flags() mail.Flags {
	var f flagSet
	d.List(func() { f.add(d, d.Flag()) })
	return f.flags()
}

// StoreFlags reads the flags of STORE, with or without parentheses.
func (d *Decoder) StoreFlags() mail.Flags {
	if d.Peek() == '(' {
		return d.Flags()
	}
	var f flagSet
	for f.add(d, d.Flag()); d.Take(' '); f.add(d, d.Flag()) {
	}
	return f.flags()
}

type flagSet struct {
	system   mail.SystemFlags
	keywords []string
}

func (f *flagSet) add(d *Decoder, name string) {
	switch s := mail.SystemFlag(name); {
	case s != 0:
		f.system |= s
	case strings.EqualFold(name, `\Recent`):
	case strings.HasPrefix(name, `\`):
		d.Fail("unknown system flag " + name)
	case d.err == nil:
		f.keywords = append(f.keywords, name)
	}
}

func (f *flagSet) flags() mail.Flags { return mail.NewFlags(f.system, f.keywords...) }
