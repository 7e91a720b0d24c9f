package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
)

// closeMailbox is CLOSE (RFC 3501 §6.4.2): expunges without telling.
func (s *session) closeMailbox(ctx context.Context) error {
	if !s.view.examined {
		if err := s.expunge(ctx, nil); err != nil && !errs.Is(err, errs.Denied) { // RFC 4314 §4
			return err
		}
	}
	return s.unselect(ctx)
}
