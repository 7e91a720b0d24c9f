package search

import (
	"context"

	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// fields is what a message is sorted and threaded by.
type fields struct {
	index   int // in the list
	m       *store.Message
	sent    int64 // RFC 5256 §2.2
	subject string
	reply   bool // the subject is that of a reply or forward
	texts   [textKeys]string
	id      string // of the message
	refs    []string
}

// wants tells which fields are needed.
type wants struct {
	sent, subject, refs bool
	texts               [textKeys]bool
}

func (w *wants) summary() bool { return w.sent || w.subject || w.refs || w.texts != [textKeys]bool{} }

// readFields reads the fields of messages. One that cannot be read has none.
func readFields(ctx context.Context, st *store.Store, list *store.MessageList, found []int, w wants) ([]fields, error) {
	out := make([]fields, len(found))
	err := inBlocks(len(found), func(from, to int) error {
		for n := from; n < to; n++ {
			f := &out[n]
			f.index, f.m = found[n], list.At(found[n])
			f.sent = f.m.InternalDate
			if !w.summary() {
				continue
			}
			s, err := st.Summary(ctx, f.m)
			if passOver(err) != nil {
				return err
			}
			if err == nil {
				f.fill(s, w)
			}
		}
		return ctx.Err()
	})
	return out, err
}

func (f *fields) fill(s *message.Summary, w wants) {
	e := s.Parts[0].Envelope
	if t, ok := message.ParseDate(e.Date); ok && w.sent {
		f.sent = t.Unix()
	}
	if w.subject {
		base, reply := message.BaseSubject(message.DecodeHeader(e.Subject))
		f.subject, f.reply = collation(base), reply
	}
	for k, wanted := range w.texts {
		if wanted {
			f.texts[k] = collation(addressText(e, textKey(k)))
		}
	}
	if w.refs {
		f.readReferences(s)
	}
}

// readReferences finds a message's ancestors (RFC 5256 §3 REFERENCES).
func (f *fields) readReferences(s *message.Summary) {
	e := s.Parts[0].Envelope
	if ids := message.MessageIDs(e.MessageID); len(ids) > 0 {
		f.id = ids[0]
	}
	for _, v := range message.FieldValues(s.Fields, "References") {
		f.refs = append(f.refs, message.MessageIDs(v)...)
	}
	if len(f.refs) == 0 {
		f.refs = message.MessageIDs(e.InReplyTo)
		f.refs = f.refs[:min(1, len(f.refs))]
	}
}

func collation(s string) string { return string(message.AppendCollation(nil, s)) }

// textKey is a sort key that is a text of an address.
type textKey uint8

const (
	keyFrom textKey = iota
	keyTo
	keyCc
	keyDisplayFrom
	keyDisplayTo
	textKeys
)

func addressText(e *message.Envelope, k textKey) string {
	lists := [textKeys][]message.Address{e.From, e.To, e.Cc, e.From, e.To}
	if len(lists[k]) == 0 {
		return ""
	}
	a := &lists[k][0]
	if k < keyDisplayFrom {
		return a.Mailbox
	}
	// RFC 5957 §3.
	if name := message.DecodeHeader(a.Name); name != "" {
		return name
	}
	if a.Mailbox != "" && a.Host != "" && a.Host != message.NoHost {
		return a.Mailbox + "@" + a.Host
	}
	return a.Mailbox
}
