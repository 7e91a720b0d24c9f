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
		if s.view.readOnly {
			return errReadOnly
		}
		uids, err := s.view.resolve(set, s.byUID)
		if err != nil {
			return err
		}
		uids, _ = s.limit(uids)
		s.looked += int64(uids.Len())
		var done store.Copied
		err = s.changeMany(ctx, uids.Len(), func(tx *store.Tx) error {
			to, err := targetIn(tx.Snapshot(), name)
			if err != nil {
				return err
			}
			done, err = tx.Move(s.view.box.ID, uids, to.ID)
			return err
		})
		if code := s.copyUID(done); err == nil && code != "" {
			s.line("* OK [" + code + "] Moved")
		}
		return err
	}
}
