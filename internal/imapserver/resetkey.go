package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseResetKey is RESETKEY (RFC 4467 §7), of a mailbox or of all.
func parseResetKey(s *session, d *imapwire.Decoder) request {
	if !d.Take(' ') {
		return func(ctx context.Context, s *session) error {
			return s.update(ctx, func(tx *store.Tx) error {
				tx.DropAccessKeys()
				return nil
			})
		}
	}
	mailbox, known := d.Mailbox(), true
	for d.Take(' ') {
		known = d.Word() == mechInternal && known
	}
	return func(ctx context.Context, s *session) error {
		if !known {
			return errUnknownMechanism
		}
		return s.resetKey(ctx, mailbox)
	}
}

// resetKey gives a mailbox a new access key. Sessions that have it selected
// are told by sync, this one by its tagged line.
func (s *session) resetKey(ctx context.Context, mailbox string) error {
	var id store.MailboxID
	var key store.AccessKey
	err := s.update(ctx, func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(mailbox)
		if err != nil {
			return err
		}
		id = box.ID
		key, err = tx.ResetAccessKey(id)
		return err
	})
	if err != nil {
		return err
	}
	if s.view != nil && s.view.box.ID == id {
		s.view.key = key
	}
	s.code = "URLMECH " + mechInternal
	return nil
}
