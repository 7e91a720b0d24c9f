package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
)

// parseGetQuotaRoot is GETQUOTAROOT (RFC 9208 §4.1.2). A mailbox of the user's need
// not exist.
func parseGetQuotaRoot(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		name, err := canonicalName(name)
		if err != nil {
			return err
		}
		x, rest, err := s.locate(ctx, name)
		if err == nil && !x.mine() {
			_, err = x.box(rest, s.row.named)
		}
		if err != nil {
			return err
		}
		list := s.quotaList(x)
		b := s.mailboxLine(nil, "QUOTAROOT", name)
		if len(list) == 0 {
			s.conn.Write(append(b, "\r\n"...))
			return nil
		}
		s.conn.Write(append(imapwire.AppendString(append(b, ' '), x.owner), "\r\n"...))
		s.tellQuota(x.owner, list)
		return nil
	}
}
