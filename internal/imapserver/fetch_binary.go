package imapserver

import (
	"io"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/message"
)

// fetchBinary is BINARY and BINARY.PEEK (RFC 3516 §4.2).
func fetchBinary(f *fetcher, item *imapwire.FetchItem) error {
	f.out = append(append(append(f.out, "BINARY["...), item.Section.Text...), ']')
	if item.Partial {
		f.out = append(strconv.AppendInt(append(f.out, '<'), item.Offset, 10), '>')
	}
	f.out = append(f.out, ' ')
	open, err := f.decoded(item.Section.Path)
	if err != nil {
		return err
	}
	if open == nil {
		f.out = append(f.out, "NIL"...)
		return nil
	}
	r := cutReader(open(), item)
	var c counter8
	if _, err := io.Copy(&c, r); err != nil {
		return err
	}
	if c.nul {
		f.out = append(f.out, '~')
	}
	return f.stream(cutReader(open(), item), c.octets)
}

// fetchBinarySize is BINARY.SIZE (RFC 3516 §4.2).
func fetchBinarySize(f *fetcher, item *imapwire.FetchItem) error {
	f.out = append(append(append(f.out, "BINARY.SIZE["...), item.Section.Text...), "] "...)
	open, err := f.decoded(item.Section.Path)
	if err != nil {
		return err
	}
	var c counter8
	if open != nil {
		if _, err := io.Copy(&c, open()); err != nil {
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

func cutReader(r io.Reader, item *imapwire.FetchItem) io.Reader {
	if !item.Partial {
		return r
	}
	return &skipReader{r: io.LimitReader(r, item.Offset+item.Count), skip: item.Offset}
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

// decoded returns how to read a part without its transfer encoding; nil when
// there is no such part. What is made of parts has none of its own.
func (f *fetcher) decoded(path []int) (open func() io.Reader, err error) {
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
	if !identity[encoding] && encoding != "base64" && encoding != "quoted-printable" {
		return nil, &refusal{"UNKNOWN-CTE", "the part's transfer encoding is not known"}
	}
	body, err := f.open()
	if err != nil {
		return nil, err
	}
	return func() io.Reader {
		return message.TransferReader(io.NewSectionReader(body, from, to-from), encoding)
	}, nil
}
