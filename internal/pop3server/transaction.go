package pop3server

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/smtpwire"
	"github.com/angarium/angarium/internal/store"
)

// message finds the message of an argument, or answers that there is none.
func (s *session) message(arg string) (i int, ok bool) {
	n, err := strconv.ParseUint(arg, 10, 31)
	i = int(n) - 1
	switch {
	case err != nil || n == 0 || i >= len(s.drop.msgs):
		s.refuse("No such message")
	case s.drop.deleted[i]:
		s.refuse("The message is deleted")
	default:
		return i, true
	}
	return 0, false
}

func (s *session) stat(string) error {
	n, octets := len(s.drop.msgs), s.drop.octets
	for i, m := range s.drop.msgs {
		if s.drop.deleted[i] {
			n--
			octets -= m.Size
		}
	}
	s.line("+OK " + strconv.Itoa(n) + " " + strconv.FormatInt(octets, 10))
	return nil
}

func (s *session) list(arg string) error {
	return s.each(arg, func(m *store.Message) string { return strconv.FormatInt(m.Size, 10) })
}

func (s *session) uidl(arg string) error { return s.each(arg, s.drop.uidl) }

// each answers LIST and UIDL, for one message or for all.
func (s *session) each(arg string, tell func(*store.Message) string) error {
	if arg != "" {
		if i, ok := s.message(arg); ok {
			s.line("+OK " + strconv.Itoa(i+1) + " " + tell(s.drop.msgs[i]))
		}
		return nil
	}
	s.line("+OK")
	for i, m := range s.drop.msgs {
		if !s.drop.deleted[i] {
			s.line(strconv.Itoa(i+1) + " " + tell(m))
		}
	}
	s.line(".")
	return nil
}

func (s *session) dele(arg string) error {
	if i, ok := s.message(arg); ok {
		s.drop.deleted[i] = true
		s.line("+OK Deleted at QUIT")
	}
	return nil
}

func (s *session) rset(string) error {
	clear(s.drop.deleted)
	s.line("+OK")
	return nil
}

func (s *session) retr(arg string) error {
	i, ok := s.message(arg)
	if !ok {
		return nil
	}
	m := s.drop.msgs[i]
	if sent, err := s.send(m, m.Size, -1, "+OK "+strconv.FormatInt(m.Size, 10)+" octets"); err != nil || !sent {
		return err
	}
	s.drop.seen[i] = true
	return nil
}

// top is TOP: the header and the first lines of the body.
func (s *session) top(arg string) error {
	number, lines, _ := strings.Cut(arg, " ")
	i, ok := s.message(number)
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(lines, 10, 31)
	if err != nil {
		return s.wrong("Syntax: TOP message lines")
	}
	m := s.drop.msgs[i]
	sum, err := s.srv.store.Summary(s.busy, m)
	if err != nil {
		s.fail(err)
		return nil
	}
	_, err = s.send(m, sum.Parts[0].BodyStart, int(n), "+OK")
	return err
}

const crlf = "\r\n"

// buffers hold a piece of a message, and how it is sent.
type buffers struct {
	in  [piece]byte
	out []byte
}

var pieces = sync.Pool{New: func() any { return new(buffers) }}

// response makes the lines of a multi-line response of a message's octets.
type response struct {
	*buffers
	plain   bool // they are these lines
	stuffer smtpwire.Stuffer
}

// room returns where to read the next octets: where they are sent from, if that is how
// they are sent.
func (r *response) room(n int64) []byte {
	if !r.plain {
		return r.in[:n]
	}
	r.out = slices.Grow(r.out, int(n))
	return r.out[len(r.out):][:n]
}

// add takes octets that were read there, from the first on.
func (r *response) add(p []byte) {
	if !r.plain {
		r.out = r.stuffer.Feed(r.out, p)
		return
	}
	r.out = r.out[:len(r.out)+len(p)]
	r.stuffer.Pass(p)
}

// send sends a message's octets up to header, and then lines lines more;
// with lines below 0 that is all. A message that cannot be read is answered
// as such and not sent; an error ends the session.
func (s *session) send(m *store.Message, header int64, lines int, answer string) (sent bool, err error) {
	body, err := s.srv.store.Body(s.busy, m)
	if err != nil {
		s.fail(err)
		return false, nil
	}
	defer body.Close()
	begun := false
	r := response{buffers: pieces.Get().(*buffers), plain: message.IsPlain(body.Summary())}
	defer pieces.Put(r.buffers)
	r.out = append(append(r.out[:0], answer...), crlf...)
	for off := int64(0); off < body.Size(); {
		n := min(piece, body.Size()-off)
		if off < header {
			n = min(n, header-off)
		} else if lines <= 0 {
			break
		}
		p := r.room(n)
		if _, err := body.ReadAt(p, off); err != nil && err != io.EOF {
			if begun { // the client waits for the rest
				return false, errs.Wrap("pop3server.send", err)
			}
			s.fail(err)
			return false, nil
		}
		if off >= header {
			p, lines = firstLines(p, lines)
		}
		off += n
		if r.add(p); len(r.out) >= piece {
			if _, err := s.conn.Write(r.out); err != nil {
				return false, err
			}
			r.out, begun = r.out[:0], true
		}
	}
	r.out = r.stuffer.End(r.out) // with all of a small message, for one write
	_, err = s.conn.Write(r.out)
	return err == nil, err
}

// firstLines returns the octets of at most n lines, and how many lines are
// still wanted.
func firstLines(p []byte, n int) ([]byte, int) {
	for i, c := range p {
		if c == '\n' {
			if n--; n == 0 {
				return p[:i+1], 0
			}
		}
	}
	return p, n
}
