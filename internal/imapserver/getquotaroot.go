package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

// parseGetQuotaRoot is GETQUOTAROOT (RFC 9208 §4.1.2). The mailbox need not exist.
func parseGetQuotaRoot(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	return func(_ context.Context, s *session) error {
		name, err := mail.CanonicalMailbox(name)
		if err != nil {
			return err
		}
		list, err := s.quotaList()
		if err != nil {
			return err
		}
		b := s.mailboxLine(nil, "QUOTAROOT", name)
		if len(list) == 0 {
			s.conn.Write(append(b, "\r\n"...))
			return nil
		}
		s.conn.Write(append(imapwire.AppendString(append(b, ' '), s.user.Name), "\r\n"...))
		s.tellQuota(list)
		return nil
	}
}
