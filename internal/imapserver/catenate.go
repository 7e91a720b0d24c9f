package imapserver

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

func hasNUL(p []byte) bool { return bytes.IndexByte(p, 0) >= 0 }

// catenate takes a message in parts: literals, and parts of other messages
// (RFC 4469 §3).
func (f *filling) catenate(ctx context.Context) {
	d := f.s.dec
	parts := 0
	d.List(func() {
		if parts++; parts > catenatePartsMax {
			d.Fail("too many parts")
		}
		switch kind := d.Word(); kind {
		case "TEXT":
			d.Space()
			f.literal()
		case "URL":
			d.Space()
			if text := d.AString(); d.Err() == nil && f.err == nil {
				f.err = f.copyURL(ctx, text)
			}
		default:
			d.Fail("expected TEXT or URL")
		}
	})
}

// copyURL appends what a URL names.
func (f *filling) copyURL(ctx context.Context, text string) error {
	bad := &refusal{"BADURL " + codeText(text), "the URL names nothing"}
	u, ok := f.s.readURL(text)
	if !ok {
		return bad
	}
	m, err := f.s.lookUp(ctx, &u)
	if m == nil || err != nil {
		return bad
	}
	body, err := f.s.srv.store.Body(ctx, m)
	if err != nil {
		return err
	}
	defer body.Close()
	r, err := f.s.sectionOf(ctx, m, body, &u.Section)
	if r == nil || err != nil {
		return bad
	}
	if _, err := r.Seek(u.Offset, io.SeekStart); err != nil {
		return err
	}
	limit := f.s.opts.MessageMax - f.size + 1
	if u.Count > 0 {
		limit = min(limit, u.Count)
	}
	if _, err := io.Copy(f, io.LimitReader(r, limit)); err != nil {
		return err
	}
	if f.size > f.s.opts.MessageMax {
		return &refusal{"TOOBIG", "the message is too large"}
	}
	return f.err
}

// codeText makes a text fit for a response code.
func codeText(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ']' || r == ' ' {
			return '?'
		}
		return r
	}, clean(text[:min(len(text), 1000)]))
}

// lookUp finds the message of a relative URL, whose base is this user's account
// or the selected mailbox (RFC 4469 §3); nil when there is none. Paths to
// mailboxes begin with a slash (RFC 5092 §7.2).
func (s *session) lookUp(ctx context.Context, u *imapwire.URL) (*store.Message, error) {
	switch {
	case u.UID == 0 || u.Access != "":
	case u.Form == imapwire.URLAbsolutePath:
		x, rest, err := s.locate(ctx, u.Mailbox)
		if err != nil {
			return nil, err
		}
		box, err := x.box(rest, mail.RightRead)
		if err != nil {
			return nil, err
		}
		return urlMessage(ctx, x.acct, box.ID, u)
	case u.Form == imapwire.URLRelativePath && u.Mailbox == "" && s.view != nil:
		if err := s.maySelected(mail.RightRead); err != nil {
			return nil, err
		}
		return urlMessage(ctx, s.view.acct, s.view.box.ID, u)
	}
	return nil, nil
}

// sectionOf returns a reader of a section's octets; nil when there is none.
func (s *session) sectionOf(ctx context.Context, m *store.Message, body store.Body, sec *imapwire.Section) (io.ReadSeeker, error) {
	sum, err := s.srv.store.Summary(ctx, m)
	if err != nil {
		return nil, err
	}
	from, to, ok := sum.Section(sec.Path, sec.Kind)
	if !ok {
		return nil, nil
	}
	if sec.Fields == nil {
		return io.NewSectionReader(body, from, to-from), nil
	}
	header, err := s.srv.store.ReadBody(ctx, m, from, to)
	if err != nil {
		return nil, err
	}
	return bytes.NewReader(message.SelectFields(nil, header, sec.Fields, sec.Not)), nil
}
