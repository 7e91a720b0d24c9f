package smtpwire

import "bytes"

// Unstuffer reads the octets of DATA up to <CRLF>.<CRLF> (RFC 5321 §4.5.2).
// Nothing else ends them: a lone CR or LF is an octet like any other, so that
// no message can smuggle another one in.
type Unstuffer struct{ state unstuff }

type unstuff uint8

const (
	atLineStart unstuff = iota
	inLine
	afterCR
	afterDot   // at the start of a line
	afterDotCR // likewise
)

// Feed appends what of in belongs to the message to dst. It returns how many
// octets of in it used, and whether the end was reached.
func (u *Unstuffer) Feed(dst, in []byte) (out []byte, used int, done bool) {
	for i := 0; i < len(in); i++ {
		c := in[i]
		switch u.state {
		case inLine:
			n := bytes.IndexByte(in[i:], '\r')
			if n < 0 {
				return append(dst, in[i:]...), len(in), false
			}
			dst = append(dst, in[i:i+n+1]...)
			i += n
			u.state = afterCR
		case atLineStart:
			if c == '.' {
				u.state = afterDot
				continue
			}
			dst = append(dst, c)
			u.state = after(c)
		case afterCR:
			dst = append(dst, c)
			if u.state = after(c); c == '\n' {
				u.state = atLineStart
			}
		case afterDot:
			if c == '\r' {
				u.state = afterDotCR
				continue
			}
			dst = append(dst, c)
			u.state = inLine
		case afterDotCR:
			if c == '\n' {
				return dst, i + 1, true
			}
			dst = append(dst, '\r', c)
			u.state = after(c)
		}
	}
	return dst, len(in), false
}

func after(c byte) unstuff {
	if c == '\r' {
		return afterCR
	}
	return inLine
}

// Stuffer writes a message as the lines of a multi-line response (RFC 1939
// §3): each line ends in CRLF, one that begins with a dot gets a second one.
type Stuffer struct {
	inLine bool
	cr     bool // the last octet was CR
}

// Feed appends the next octets of a message to dst.
func (s *Stuffer) Feed(dst, in []byte) []byte {
	from := 0 // of what is not in dst yet
	for at := 0; at < len(in); {
		if !s.inLine && in[at] == '.' {
			dst = append(append(dst, in[from:at]...), '.')
			from = at
		}
		n := bytes.IndexByte(in[at:], '\n')
		if n < 0 {
			s.inLine, s.cr = true, in[len(in)-1] == '\r'
			break
		}
		end := at + n
		if bare := n > 0 && in[end-1] != '\r' || n == 0 && !s.cr; bare {
			dst = append(append(dst, in[from:end]...), '\r')
			from = end
		}
		at = end + 1
		s.inLine, s.cr = false, false
	}
	return append(dst, in[from:]...)
}

// Pass is told of the next octets where the caller sends them as they are: their lines
// end in CRLF, and none begins with a dot.
func (s *Stuffer) Pass(in []byte) {
	if n := len(in); n > 0 {
		s.inLine, s.cr = in[n-1] != '\n', in[n-1] == '\r'
	}
}

// End appends the end of the response.
func (s *Stuffer) End(dst []byte) []byte {
	if s.inLine {
		if !s.cr {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
	}
	return append(dst, ".\r\n"...)
}
