package search

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

var crlf = []byte("\r\n")

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
func (c *cursor) foldValue(value []byte) []byte {
	c.raw = message.AppendUnfolded(c.raw[:0], value)
	return c.foldDecoded(c.raw)
}

// foldDecoded returns text of a header as it is compared, decoded, until the next
// call.
func (c *cursor) foldDecoded(text []byte) []byte {
	if !isPlain(text) {
		return c.fold(message.DecodeHeader(string(text)))
	}
	c.folded = message.AppendFold(c.folded[:0], text)
	return c.folded
}

// isPlain reports whether there is nothing to decode in text of a header: it is
// ASCII without encoded words.
func isPlain(text []byte) bool {
	for i, c := range text {
		if c >= utf8.RuneSelf || c == '?' && i > 0 && text[i-1] == '=' {
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
			n := int(min(p.BodyStart-p.HeaderStart, message.HeaderMax))
			c.block = slices.Grow(c.block[:0], n)[:n]
			if _, err := body.ReadAt(c.block, p.HeaderStart); err != nil && err != io.EOF {
				return false, err
			}
			if c.headerText(c.block, v) {
				return true, nil
			}
		}
		if p.Children > 0 || !strings.EqualFold(p.Type, "text") {
			continue
		}
		r := c.decoder.Reader(io.NewSectionReader(body, p.BodyStart, p.Size()), p)
		if done, err := c.stream(r, v); done || err != nil {
			return done, err
		}
	}
	return false, nil
}

// headerText shows a header block as it is, decoded, and with its lines joined
// as the values of fields are.
func (c *cursor) headerText(header []byte, v visitor) bool {
	c.folded = message.AppendFold(c.folded[:0], header)
	if v.visit(c.folded) {
		return true
	}
	c.raw = c.raw[:0]
	for rest, ended := header, true; ended; {
		var line []byte
		line, rest, ended = bytes.Cut(rest, crlf)
		if c.raw = append(c.raw, line...); ended {
			c.raw = append(c.raw, '\n')
		}
	}
	if v.visit(c.foldDecoded(c.raw)) {
		return true
	}
	return v.visit(c.foldValue(header))
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
