package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseExpunge is EXPUNGE (RFC 3501 §6.4.3) and UID EXPUNGE (RFC 4315 §2.1).
func parseExpunge(s *session, d *imapwire.Decoder) request {
	var set imapwire.NumSet
	if s.byUID {
		d.Needs("UIDPLUS")
		d.Space()
		set = d.NumSet()
	}
	return func(ctx context.Context, s *session) error {
		if s.view.examined {
			return errReadOnly
		}
		return s.expunge(ctx, set)
	}
}

// expunge removes the messages with \Deleted, with a set those of its UIDs.
func (s *session) expunge(ctx context.Context, set imapwire.NumSet) error {
	v := s.view
	uids := mail.UIDSetOf(mail.UIDRange{First: 1, Last: mail.UIDMax})
	if set != nil {
		uids = v.uidRanges(set)
	}
	err := s.changeMany(ctx, v.tree, int(v.box.Deleted), func(tx *store.Tx) error {
		box, err := tx.Snapshot().MailboxByID(v.box.ID)
		if err != nil || box.Deleted == 0 {
			return err
		}
		if err := box.Allow(v.owner, v.user, mail.RightExpunge); err != nil {
			return err
		}
		list, err := tx.Snapshot().Messages(ctx, v.box.ID)
		if err != nil {
			return err
		}
		var deleted mail.UIDSet
		for _, m := range list.Select(uids) {
			if m.Flags.Has(mail.Deleted) {
				deleted = deleted.Append(m.UID)
			}
		}
		if set != nil { // RFC 9738 §3.1: EXPUNGE without a set is for all
			deleted, _ = s.limit(deleted)
		}
		_, err = tx.Expunge(v.box.ID, deleted)
		return err
	})
	return err
}
