package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

// parseDeleteACL is DELETEACL (RFC 4314 §3.2).
func parseDeleteACL(s *session, d *imapwire.Decoder) request {
	mailbox, identifier := mailboxAndIdentifier(d)
	return func(ctx context.Context, s *session) error {
		return s.setRights(ctx, mailbox, identifier, mail.RightsChange{})
	}
}
