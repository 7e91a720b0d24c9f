package imapserver

import (
	"io"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/message"
)

// fetchPreview is PREVIEW (RFC 8970). A preview is made when it is asked for,
// LAZY or not: it costs one look at the message's beginning.
func fetchPreview(f *fetcher, _ *imapwire.FetchItem) error {
	sum, err := f.summary()
	if err != nil {
		return err
	}
	text := ""
	if i := sum.PreviewPart(); i >= 0 {
		body, err := f.open()
		if err != nil {
			return err
		}
		p := &sum.Parts[i]
		r := message.TextReader(io.NewSectionReader(body, p.BodyStart, p.Size()), p)
		text = message.Preview(r, strings.EqualFold(p.Subtype, "html"))
	}
	f.out = imapwire.AppendString(append(f.out, "PREVIEW "...), text)
	return nil
}
