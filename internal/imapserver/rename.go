package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseRename is RENAME (RFC 3501 §6.3.5).
func parseRename(s *session, d *imapwire.Decoder) request {
	d.Space()
	from := d.Mailbox()
	d.Space()
	to := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		err := s.update(ctx, func(tx *store.Tx) error {
			box, err := tx.Snapshot().Mailbox(from)
			if err != nil {
				return err
			}
			return tx.RenameMailbox(box.ID, to)
		})
		return err
	}
}
