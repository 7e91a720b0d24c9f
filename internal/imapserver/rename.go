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
		x, box, err := s.mailbox(ctx, from)
		if err != nil {
			return err
		}
		into, name, err := s.locate(ctx, to)
		switch {
		case err != nil:
			return errNoPlace
		case into.acct != x.acct:
			return &refusal{"CANNOT", "mailboxes cannot be moved between accounts; copy the messages"}
		}
		return s.change(ctx, x.tree, func(tx *store.Tx) error {
			if _, err := x.in(tx).boxByID(box.ID, s.row.named); err != nil {
				return err
			}
			if err := s.mayCreate(x.in(tx), name); err != nil {
				return err
			}
			return tx.RenameMailbox(box.ID, name)
		})
	}
}
