package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseDelete is DELETE (RFC 3501 §6.3.4). The session's own selected mailbox
// is not selected any more afterwards.
func parseDelete(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		var id store.MailboxID
		err := s.update(ctx, func(tx *store.Tx) error {
			box, err := tx.Snapshot().Mailbox(name)
			if err != nil {
				return err
			}
			id = box.ID
			return tx.DeleteMailbox(id)
		})
		if err == nil && s.view != nil && s.view.box.ID == id {
			return s.unselect(ctx)
		}
		return err
	}
}
