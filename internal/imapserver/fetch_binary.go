package imapserver

import (
	"io"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// fetchBinary is BINARY and BINARY.PEEK (RFC 3516 §4.2).
func fetchBinary(f *fetcher, item *imapwire.FetchItem) error {
	f.out = append(append(append(f.out, "BINARY["...), item.Section.Text...), ']')
	if item.Partial {
		f.out = append(strconv.AppendInt(append(f.out, '<'), item.Offset, 10), '>')
	}
	f.out = append(f.out, ' ')
	part, err := f.binaryPart(item.Section.Path)
	if err != nil {
		return err
	}
	if part == nil {
		f.out = append(f.out, "NIL"...)
		return nil
	}
	var c counter8
	if _, err := io.Copy(&c, part.piece(item)); err != nil {
		return err
	}
	if c.nul {
		f.out = append(f.out, '~')
	}
	if err := f.stream(part.piece(item), c.octets); err != nil {
		return err
	}
	if item.Partial {
		f.s.decoded = part.place()
	}
	return nil
}

// fetchBinarySize is BINARY.SIZE (RFC 3516 §4.2).
func fetchBinarySize(f *fetcher, item *imapwire.FetchItem) error {
	f.out = append(append(append(f.out, "BINARY.SIZE["...), item.Section.Text...), "] "...)
	part, err := f.binaryPart(item.Section.Path)
	if err != nil {
		return err
	}
	var c counter8
	if part != nil {
		if _, err := io.Copy(&c, part.from(0)); err != nil {
			return err
		}
	}
	f.out = strconv.AppendInt(f.out, c.octets, 10)
	return nil
}

// counter8 counts octets and looks for NUL.
type counter8 struct {
	octets int64
	nul    bool
}

func (c *counter8) Write(p []byte) (int, error) {
	c.octets += int64(len(p))
	c.nul = c.nul || hasNUL(p)
	return len(p), nil
}

// skipReader leaves out the first octets.
type skipReader struct {
	r    io.Reader
	skip int64
}

func (s *skipReader) Read(p []byte) (int, error) {
	if s.skip > 0 {
		n, err := io.CopyN(io.Discard, s.r, s.skip)
		if s.skip -= n; err != nil {
			return 0, err
		}
	}
	return s.r.Read(p)
}

// identity holds the encodings that change nothing (RFC 2045 §6.1).
var identity = map[string]bool{"": true, "7bit": true, "8bit": true, "binary": true}

// binaryPart is a part that is read without its transfer encoding.
type binaryPart struct {
	octets   *io.SectionReader
	encoding string // "" where nothing has to be decoded
	known    decodedPlace
	decoding *message.TransferReader // what was read last; nil: nothing was decoded
}

// decodedPlace is how far a session has read a part in pieces, so that the next
// piece begins there, and not with the part.
type decodedPlace struct {
	id   store.MessageID
	part int64 // where in the message it begins
	at   message.Decoding
}

// binaryPart returns a part, nil when there is no such part. What is made of
// parts has no transfer encoding of its own.
func (f *fetcher) binaryPart(path []int) (*binaryPart, error) {
	sum, err := f.summary()
	if err != nil {
		return nil, err
	}
	from, to, ok := sum.Section(path, message.SectionWhole)
	if !ok {
		return nil, nil
	}
	encoding := ""
	if len(path) > 0 {
		if p := &sum.Parts[sum.Find(path)]; p.Children == 0 {
			encoding = strings.ToLower(p.Encoding)
		}
	}
	switch {
	case identity[encoding]:
		encoding = ""
	case encoding != "base64" && encoding != "quoted-printable":
		return nil, &refusal{"UNKNOWN-CTE", "the part's transfer encoding is not known"}
	}
	body, err := f.open()
	if err != nil {
		return nil, err
	}
	p := &binaryPart{octets: io.NewSectionReader(body, from, to-from), encoding: encoding, known: f.s.decoded}
	if p.known.id != f.m.ID || p.known.part != from {
		p.known = decodedPlace{id: f.m.ID, part: from}
	}
	return p, nil
}

// piece returns what an item asks for.
func (p *binaryPart) piece(item *imapwire.FetchItem) io.Reader {
	if !item.Partial {
		return p.from(0)
	}
	return io.LimitReader(p.from(item.Offset), item.Count)
}

// from returns the part's decoded octets from an offset on.
func (p *binaryPart) from(offset int64) io.Reader {
	at := p.known.at
	if p.encoding == "" {
		at.Encoded, at.Decoded = offset, offset
	} else if at.Decoded > offset {
		at = message.Decoding{}
	}
	rest := io.NewSectionReader(p.octets, at.Encoded, max(0, p.octets.Size()-at.Encoded))
	if p.encoding == "" {
		return rest
	}
	p.decoding = message.ResumeTransfer(rest, p.encoding == "quoted-printable", at)
	return &skipReader{r: p.decoding, skip: offset - at.Decoded}
}

// place returns how far the part was read.
func (p *binaryPart) place() decodedPlace {
	if p.decoding != nil {
		p.known.at = p.decoding.Place()
	}
	return p.known
}
