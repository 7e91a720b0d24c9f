package search

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// contains looks for the needle in a text.
func (c *cursor) contains(text string, needle []byte) bool {
	return bytes.Contains(c.fold(text), needle)
}

// fold returns a text as it is compared, until the next call.
func (c *cursor) fold(text string) []byte {
	c.raw = append(c.raw[:0], text...)
	c.folded = message.AppendFold(c.folded[:0], c.raw)
	return c.folded
}

// foldValue returns the value of a header field as it is compared, decoded,
// until the next call.
func (c *cursor) foldValue(raw []byte) []byte {
	if plain := bytes.Trim(raw, " \t\r\n"); isPlain(plain) {
		c.folded = message.AppendFold(c.folded[:0], plain)
		return c.folded
	}
	return c.fold(message.DecodeHeader(message.Unfold(raw)))
}

// isPlain reports whether the value of a header field is text in itself: one line
// of printable ASCII without encoded words.
func isPlain(value []byte) bool {
	for i, c := range value {
		if c < ' ' && c != '\t' || c > '~' || c == '?' && i > 0 && value[i-1] == '=' {
			return false
		}
	}
	return true
}

// visitor is shown text as it is compared, in pieces that overlap. It returns
// true to see no more.
type visitor struct {
	overlap int // octets of a piece that begin the next
	visit   func(folded []byte) (done bool)
}

// body looks for the needle in a message's text.
func (c *cursor) body(m *store.Message, whole bool, needle []byte) (bool, error) {
	return c.walk(m, whole, visitor{len(needle), func(folded []byte) bool { return bytes.Contains(folded, needle) }})
}

// walk shows a message's texts, and with whole its header.
func (c *cursor) walk(m *store.Message, whole bool, v visitor) (bool, error) {
	if err := c.ctx.Err(); err != nil {
		return false, errs.Wrap("search.walk", err)
	}
	s, err := c.scan.Summary(c.ctx, m)
	if err != nil {
		return false, err
	}
	body, err := c.q.Store.Body(c.ctx, m)
	if err != nil {
		return false, err
	}
	defer body.Close()
	for i := range s.Parts {
		p := &s.Parts[i]
		if p.Envelope != nil && (i > 0 || whole) {
			header := make([]byte, min(p.BodyStart-p.HeaderStart, message.HeaderMax))
			if _, err := body.ReadAt(header, p.HeaderStart); err != nil && err != io.EOF {
				return false, err
			}
			if c.headerText(header, v) {
				return true, nil
			}
		}
		if p.Children > 0 || !strings.EqualFold(p.Type, "text") {
			continue
		}
		r := message.TextReader(io.NewSectionReader(body, p.BodyStart, p.Size()), p)
		if done, err := c.stream(r, v); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// headerText shows a header block decoded, as it is, and with its lines joined
// as the values of fields are.
func (c *cursor) headerText(header []byte, v visitor) bool {
	lines := strings.ReplaceAll(string(header), "\r\n", "\n")
	return v.visit(c.fold(message.DecodeHeader(lines))) || v.visit(c.fold(string(header))) ||
		v.visit(c.fold(message.DecodeHeader(message.Unfold(header))))
}

// streamWindow is how much text is folded at once.
const streamWindow = 64 << 10

// stream shows text of any length, in bounded memory.
func (c *cursor) stream(r io.Reader, v visitor) (bool, error) {
	if cap(c.raw) < streamWindow {
		c.raw = make([]byte, streamWindow)
	}
	raw := c.raw[:streamWindow]
	have := 0
	c.folded = c.folded[:0]
	for {
		if err := c.ctx.Err(); err != nil {
			return false, errs.Wrap("search.stream", err)
		}
		n, err := io.ReadFull(r, raw[have:])
		have += n
		end := have
		if err == nil {
			end = wholeRunes(raw[:have])
		}
		c.folded = message.AppendFold(c.folded, raw[:end])
		if v.visit(c.folded) {
			return true, nil
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		keep := min(v.overlap, len(c.folded))
		c.folded = append(c.folded[:0], c.folded[len(c.folded)-keep:]...)
		have = copy(raw, raw[end:have])
	}
}

// wholeRunes returns how much of b is before a character that is cut off.
func wholeRunes(b []byte) int {
	for i := 1; i <= utf8.UTFMax-1 && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return len(b) - i
			}
			break
		}
	}
	return len(b)
}
