package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseCreate is CREATE (RFC 3501 §6.3.3).
func parseCreate(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		_, err := s.acct.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.CreateMailbox(name, store.CreateOptions{})
			return err
		})
		return err
	}
}
