package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseMove is MOVE (RFC 6851). COPYUID comes before the expunges (§4.3).
func parseMove(s *session, d *imapwire.Decoder) request {
	set, name := setAndMailbox(d)
	return func(ctx context.Context, s *session) error {
		if s.view.examined {
			return errReadOnly
		}
		uids, err := s.view.resolve(set, s.byUID)
		if err != nil {
			return err
		}
		uids, _ = s.limit(uids)
		s.looked += int64(uids.Len())
		x, to, err := s.target(ctx, name)
		if err != nil {
			return err
		}
		var done store.Copied
		if x.acct != s.view.acct {
			done, err = s.moveAcross(ctx, uids, x.tree, to)
		} else {
			err = s.changeMany(ctx, x.tree, uids.Len(), func(tx *store.Tx) error {
				to, err := x.in(tx).boxByID(to.ID, s.row.named)
				if err == nil {
					done, err = tx.Move(s.view.box.ID, uids, to.ID, x.copier(to))
				}
				return err
			})
		}
		if code := s.copyUID(done); err == nil && code != "" {
			s.line("* OK [" + code + "] Moved")
		}
		return err
	}
}
