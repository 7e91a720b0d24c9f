package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseReplace is REPLACE (RFC 8508): APPEND and EXPUNGE in one.
func parseReplace(s *session, d *imapwire.Decoder) request {
	d.Space()
	set := d.PlainNumSet()
	if len(set) != 1 || set[0].First != set[0].Last {
		d.Fail("expected the number of one message")
	}
	d.Space()
	name := d.Mailbox()
	d.Space()
	return func(ctx context.Context, s *session) error {
		v := s.view
		if v.examined {
			return errReadOnly
		}
		uids, err := v.resolve(set, s.byUID)
		if err != nil {
			return err
		}
		var a appending
		defer a.discard()
		if err := s.readMessages(ctx, name, &a); err != nil {
			return err
		}
		if len(a.messages) != 1 {
			return d.Fail("expected one message")
		}
		x, rest, err := s.locate(ctx, name)
		if err != nil {
			return tryCreate(err)
		}
		if x.acct != v.acct {
			return &refusal{"CANNOT", "a message cannot be replaced by one in another account; nothing was changed"}
		}
		var code string
		err = s.change(ctx, x.tree, func(tx *store.Tx) error {
			if code, err = s.appendTo(x.in(tx), tx, rest, &a); err != nil {
				return err
			}
			if _, err := v.in(tx).boxByID(v.box.ID, s.row.selected); err != nil {
				return err
			}
			gone, err := tx.Expunge(v.box.ID, uids)
			if err == nil && gone.Len() != 1 {
				return errs.New("imapserver.replace", errs.Expunged, "the message to be replaced is not there any more; nothing was changed")
			}
			return err
		})
		if err == nil && s.offers("UIDPLUS") {
			s.line("* OK [" + code + "] Replacement is there")
		}
		return err
	}
}
