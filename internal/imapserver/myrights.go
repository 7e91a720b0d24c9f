package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseMyRights is MYRIGHTS (RFC 4314 §3.5).
func parseMyRights(s *session, d *imapwire.Decoder) request {
	d.Space()
	mailbox := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		x, box, err := s.mailbox(ctx, mailbox)
		if err != nil {
			return err
		}
		const any = mail.RightLookup | mail.RightRead | mail.RightInsert | mail.RightCreate | mail.RightDelete | mail.RightAdminister // RFC 4314 §4
		if x.rights(box)&any == 0 {
			return store.ErrNoMailbox
		}
		s.tellMyRights(x, box)
		return nil
	}
}

func (s *session) tellMyRights(x sight, box *store.Mailbox) {
	b := append(s.mailboxLine(nil, "MYRIGHTS", x.name(box)), ' ')
	b = imapwire.AppendAString(b, x.rights(box).String())
	s.conn.Write(append(b, "\r\n"...))
}
