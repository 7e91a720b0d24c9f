package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseListRights is LISTRIGHTS (RFC 4314 §3.4): rights that an identifier has in
// any case, and those that it can be given, none of them tied to another. The
// answer has the identifier as the client wrote it.
func parseListRights(s *session, d *imapwire.Decoder) request {
	mailbox, identifier := mailboxAndIdentifier(d)
	return func(ctx context.Context, s *session) error {
		x, box, err := s.mailbox(ctx, mailbox)
		if err != nil {
			return err
		}
		who, err := s.identifier(identifier, x.owner)
		if err != nil {
			return err
		}
		b := imapwire.AppendAString(append(s.mailboxLine(nil, "LISTRIGHTS", x.name(box)), ' '), identifier)
		always := store.AlwaysGranted(who)
		b = imapwire.AppendAString(append(b, ' '), always.Letters())
		for _, letter := range strings.Split(mail.AllRights.String(), "") {
			if !strings.Contains(always.Letters(), letter) {
				b = append(append(b, ' '), letter...)
			}
		}
		s.conn.Write(append(b, "\r\n"...))
		return nil
	}
}
