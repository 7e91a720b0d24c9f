package imapserver

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"strconv"
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
	u, ok := parseMessageURL(text)
	if !ok {
		return bad
	}
	m, err := f.s.lookUp(ctx, u)
	if m == nil || err != nil {
		return bad
	}
	body, err := f.s.srv.store.Body(ctx, m)
	if err != nil {
		return err
	}
	defer body.Close()
	r, err := f.s.sectionOf(ctx, m, body, &u.section)
	if r == nil || err != nil {
		return bad
	}
	if _, err := r.Seek(u.offset, io.SeekStart); err != nil {
		return err
	}
	limit := f.s.opts.MessageMax - f.size + 1
	if u.partial && u.count > 0 {
		limit = min(limit, u.count)
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

// messageURL is a URL of a message or a part of one on this server, of this
// user (RFC 5092 §7, RFC 5550 §3).
type messageURL struct {
	mailbox     string // "": the selected one
	uidValidity uint64 // 0: any
	uid         mail.UID
	section     imapwire.Section
	partial     bool
	offset      int64
	count       int64 // 0: to the end
}

// parseMessageURL reads a relative URL like
// /Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.2/;PARTIAL=0.1024.
func parseMessageURL(text string) (u messageURL, ok bool) {
	box, rest, found := cutFold(text, ";UID=")
	if !found || strings.Contains(box, "://") || strings.HasPrefix(box, "//") {
		return u, false
	}
	box = strings.TrimSuffix(strings.TrimPrefix(box, "/"), "/")
	box, validity, hasValidity := cutFold(box, ";UIDVALIDITY=")
	var err error
	if hasValidity {
		if u.uidValidity, err = strconv.ParseUint(validity, 10, 32); err != nil {
			return u, false
		}
	}
	if u.mailbox, err = url.PathUnescape(box); err != nil {
		return u, false
	}
	rest, partial, hasPartial := cutFold(rest, "/;PARTIAL=")
	rest, section, hasSection := cutFold(rest, "/;SECTION=")
	uid, err := strconv.ParseUint(rest, 10, 32)
	if u.uid = mail.UID(uid); err != nil || uid == 0 {
		return u, false
	}
	if hasSection {
		if section, err = url.PathUnescape(section); err != nil {
			return u, false
		}
		if u.section, ok = imapwire.ParseSection(section); !ok {
			return u, false
		}
	}
	if u.partial = hasPartial; hasPartial {
		return u, u.parsePartial(partial)
	}
	return u, true
}

func (u *messageURL) parsePartial(text string) bool {
	offset, count, has := strings.Cut(text, ".")
	n, err := strconv.ParseUint(offset, 10, 32)
	u.offset = int64(n)
	if err != nil || !has {
		return err == nil
	}
	n, err = strconv.ParseUint(count, 10, 32)
	u.count = int64(n)
	return err == nil && n > 0
}

// cutFold is strings.Cut at a text in any case.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := 0; i+len(sep) <= len(s); i++ {
		if strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

// lookUp finds the message of a URL; nil when there is none.
func (s *session) lookUp(ctx context.Context, u messageURL) (*store.Message, error) {
	now, err := s.acct.Snapshot()
	if err != nil {
		return nil, err
	}
	var box *store.Mailbox
	switch {
	case u.mailbox != "":
		box, err = now.Mailbox(u.mailbox)
	case s.view != nil:
		box, err = now.MailboxByID(s.view.box.ID)
	}
	if err != nil || box == nil || u.uidValidity != 0 && u.uidValidity != uint64(box.UIDValidity) {
		return nil, err
	}
	_, list, err := s.acct.Messages(ctx, box.ID)
	if err != nil {
		return nil, err
	}
	i, ok := list.Find(u.uid)
	if !ok {
		return nil, nil
	}
	return list.At(i), nil
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
