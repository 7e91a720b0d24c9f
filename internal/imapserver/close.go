package imapserver

import "context"

// closeMailbox is CLOSE (RFC 3501 §6.4.2): expunges without telling.
func (s *session) closeMailbox(ctx context.Context) error {
	if !s.view.readOnly {
		if err := s.expunge(ctx, nil); err != nil {
			return err
		}
	}
	return s.unselect(ctx)
}
