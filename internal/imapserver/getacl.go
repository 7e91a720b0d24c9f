package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseGetACL is GETACL (RFC 4314 §3.3).
func parseGetACL(s *session, d *imapwire.Decoder) request {
	d.Space()
	mailbox := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		x, box, err := s.mailbox(ctx, mailbox)
		if err != nil {
			return err
		}
		b := s.mailboxLine(nil, "ACL", x.name(box))
		for _, g := range box.ACL() {
			b = imapwire.AppendAString(append(b, ' '), store.IdentifierText(g.Identifier, x.owner))
			b = append(append(b, ' '), g.Rights.String()...)
		}
		s.conn.Write(append(b, "\r\n"...))
		return nil
	}
}
