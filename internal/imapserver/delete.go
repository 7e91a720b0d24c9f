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
		x, box, err := s.mailbox(ctx, name)
		if err != nil {
			return err
		}
		err = s.change(ctx, x.tree, func(tx *store.Tx) error {
			if _, err := x.in(tx).boxByID(box.ID, s.row.named); err != nil {
				return err
			}
			return tx.DeleteMailbox(box.ID)
		})
		if err == nil && s.isSelected(x.tree, box) {
			return s.unselect(ctx)
		}
		return err
	}
}
