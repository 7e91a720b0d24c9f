package imapserver

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// fetchRow is a data item of FETCH.
type fetchRow struct {
	run     func(f *fetcher, item *imapwire.FetchItem) error
	section *imapwire.Section // what the old names stand for
	seen    bool              // sets \Seen unless it peeks
}

// fetchRows holds the data items of RFC 3501 §6.4.5, RFC 7162 §3.1.4.2, RFC
// 8474 §5, RFC 8514 §4.2 and X-GM-EXT-1.
var fetchRows = map[string]*fetchRow{
	"UID":           {run: fetchUID},
	"FLAGS":         {run: fetchFlags},
	"INTERNALDATE":  {run: fetchInternalDate},
	"RFC822.SIZE":   {run: fetchSize},
	"MODSEQ":        {run: fetchModSeq},
	"SAVEDATE":      {run: fetchSaveDate},
	"EMAILID":       {run: fetchEmailID},
	"THREADID":      {run: fetchThreadID},
	"X-GM-MSGID":    {run: fetchGmailMessageID},
	"X-GM-THRID":    {run: fetchGmailThreadID},
	"X-GM-LABELS":   {run: fetchLabels},
	"PREVIEW":       {run: fetchPreview},
	"ANNOTATION":    {run: fetchAnnotation, section: &imapwire.Section{}},
	"BINARY[":       {run: fetchBinary, section: &imapwire.Section{}, seen: true},
	"BINARY.SIZE[":  {run: fetchBinarySize, section: &imapwire.Section{}},
	"ENVELOPE":      {run: fetchEnvelope},
	"BODY":          {run: fetchBody},
	"BODYSTRUCTURE": {run: fetchBodyStructure},
	"BODY[":         {run: fetchSection, section: &imapwire.Section{}, seen: true},
	"RFC822":        {run: fetchRFC822(message.SectionWhole), seen: true},
	"RFC822.HEADER": {run: fetchRFC822(message.SectionHeader)},
	"RFC822.TEXT":   {run: fetchRFC822(message.SectionText), seen: true},
}

func fetchUID(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = strconv.AppendUint(append(f.out, "UID "...), uint64(f.m.UID), 10)
	return nil
}

func fetchFlags(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = appendFlags(append(f.out, "FLAGS "...), f.m.Flags, f.s.view.isRecent(f.m.UID))
	return nil
}

func fetchModSeq(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = appendModSeq(f.out, f.m.ModSeq)
	return nil
}

func fetchSaveDate(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = imapwire.AppendDate(append(f.out, "SAVEDATE "...), time.Unix(f.m.SaveDate, 0).UTC())
	return nil
}

func fetchEmailID(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = append(append(append(f.out, "EMAILID ("...), f.s.view.ids.Message(f.m.ID)...), ')')
	return nil
}

func fetchThreadID(f *fetcher, _ *imapwire.FetchItem) error {
	sum, err := f.summary()
	if err == nil {
		f.out = append(append(append(f.out, "THREADID ("...), f.s.view.ids.Thread(store.ThreadOf(f.m, sum))...), ')')
	}
	return err
}

func fetchInternalDate(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = imapwire.AppendDate(append(f.out, "INTERNALDATE "...), f.m.InternalTime())
	return nil
}

func fetchSize(f *fetcher, _ *imapwire.FetchItem) error {
	f.out = strconv.AppendInt(append(f.out, "RFC822.SIZE "...), f.m.Size, 10)
	return nil
}

func fetchEnvelope(f *fetcher, _ *imapwire.FetchItem) error {
	return f.form(formEnvelope, appendEnvelope)
}

func appendEnvelope(dst []byte, sum *message.Summary) []byte {
	return imapwire.AppendEnvelope(append(dst, "ENVELOPE "...), sum.Parts[0].Envelope)
}

func fetchBody(f *fetcher, _ *imapwire.FetchItem) error {
	sum, err := f.summary()
	if err == nil {
		f.out = imapwire.AppendBody(append(f.out, "BODY "...), sum, false)
	}
	return err
}

func fetchBodyStructure(f *fetcher, _ *imapwire.FetchItem) error {
	return f.form(formBodyStructure, appendBodyStructure)
}

func appendBodyStructure(dst []byte, sum *message.Summary) []byte {
	return imapwire.AppendBody(append(dst, "BODYSTRUCTURE "...), sum, true)
}

// fetchRFC822 is one of the old names, which are answered under them.
func fetchRFC822(kind message.SectionKind) func(*fetcher, *imapwire.FetchItem) error {
	return func(f *fetcher, item *imapwire.FetchItem) error {
		f.out = append(append(f.out, item.Name...), ' ')
		return f.octets(&imapwire.FetchItem{Section: imapwire.Section{Kind: kind}})
	}
}

// fetchSection is BODY[section]<partial>.
func fetchSection(f *fetcher, item *imapwire.FetchItem) error {
	from := len(f.out)
	f.out = append(append(append(f.out, "BODY["...), item.Section.Text...), ']')
	if item.Partial {
		f.out = append(strconv.AppendInt(append(f.out, '<'), item.Offset, 10), '>')
	}
	f.out = append(f.out, ' ')
	switch {
	case item.Section.Fields == nil:
		return f.octets(item)
	case item.Partial:
		return f.fields(item)
	}
	return f.keptFields(item, from)
}

// octets appends the section of an item, or NIL when there is no such part.
func (f *fetcher) octets(item *imapwire.FetchItem) error {
	from, to := int64(0), f.m.Size
	if len(item.Section.Path) > 0 || item.Section.Kind != message.SectionWhole {
		sum, err := f.summary()
		if err != nil {
			return err
		}
		var ok bool
		if from, to, ok = sum.Section(item.Section.Path, item.Section.Kind); !ok {
			f.out = append(f.out, "NIL"...)
			return nil
		}
	}
	if item.Partial {
		from = min(to, from+item.Offset)
		to = min(to, from+item.Count)
	}
	return f.literal(from, to)
}

// literalPiece is how much of a large literal is in memory at a time.
const literalPiece = 256 << 10

// literal appends octets of the message. What is large goes to the client in
// pieces, the first of which is known to be readable before anything is sent.
func (f *fetcher) literal(from, to int64) error {
	if from >= to {
		f.out = append(f.out, `""`...)
		return nil
	}
	body, err := f.open()
	if err != nil {
		return err
	}
	if to > body.Size() {
		return errs.New("imapserver.literal", errs.Corrupt, "the message is damaged")
	}
	return f.stream(io.NewSectionReader(body, from, to-from), to-from)
}

// stream appends a literal of n octets that r has.
func (f *fetcher) stream(r io.Reader, n int64) error {
	f.out = append(f.out, '{')
	f.out = strconv.AppendInt(f.out, n, 10)
	f.out = append(f.out, "}\r\n"...)
	for n > 0 {
		piece := int(min(n, literalPiece))
		start := len(f.out)
		f.out = slices.Grow(f.out, piece)[:start+piece]
		if _, err := io.ReadFull(r, f.out[start:]); err != nil {
			return err
		}
		if n -= int64(piece); n > 0 {
			f.sent = true
			if err := f.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// keptFields is fields for an item that begins at from. A form that begins alike
// is of the same section: none goes on behind its bracket.
func (f *fetcher) keptFields(item *imapwire.FetchItem, from int) error {
	if kept := f.kept(formFields); bytes.HasPrefix(kept, f.out[from:]) {
		f.out = append(f.out[:from], kept...)
		return nil
	}
	err := f.fields(item)
	if err == nil {
		f.keep(formFields, from)
	}
	return err
}

// fields appends HEADER.FIELDS and HEADER.FIELDS.NOT, from the summary where
// it holds them.
func (f *fetcher) fields(item *imapwire.FetchItem) error {
	sec := &item.Section
	selected, whole := f.selected[:0], false
	if len(sec.Path) == 0 && !sec.Not {
		kept, all, err := f.summaryFields()
		if err != nil {
			return err
		}
		selected, whole = message.SelectKept(selected, kept, all, sec.Fields)
	}
	if !whole {
		sum, err := f.glance()
		if err != nil {
			return err
		}
		begin, end, ok := sum.Section(sec.Path, sec.Kind)
		if !ok {
			f.out = append(f.out, "NIL"...)
			return nil
		}
		header, err := f.s.srv.store.ReadBody(f.ctx, f.m, begin, end)
		if err != nil {
			return err
		}
		selected = message.SelectFields(selected, header, sec.Fields, sec.Not)
	}
	f.selected = selected
	if item.Partial {
		selected = selected[min(int64(len(selected)), item.Offset):]
		selected = selected[:min(int64(len(selected)), item.Count)]
	}
	f.out = append(f.out, '{')
	f.out = strconv.AppendInt(f.out, int64(len(selected)), 10)
	f.out = append(append(f.out, "}\r\n"...), selected...)
	return nil
}
