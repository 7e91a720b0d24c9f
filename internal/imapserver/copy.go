package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseCopy is COPY (RFC 3501 §6.4.7): all of the messages or none.
func parseCopy(s *session, d *imapwire.Decoder) request {
	set, name := setAndMailbox(d)
	return func(ctx context.Context, s *session) error {
		uids, err := s.view.resolve(set, s.byUID)
		if err != nil {
			return err
		}
		if err := s.maySave(uids); err != nil {
			return err
		}
		s.looked += int64(uids.Len())
		x, to, err := s.target(ctx, name)
		if err != nil {
			return err
		}
		var done store.Copied
		if x.acct != s.view.acct {
			done, err = s.copyAcross(ctx, uids, x.tree, to)
		} else {
			err = s.changeMany(ctx, x.tree, uids.Len(), func(tx *store.Tx) error {
				to, err := x.in(tx).boxByID(to.ID, s.row.named)
				if err != nil {
					return err
				}
				done, err = tx.Copy(s.view.box.ID, uids, to.ID, x.copier(to))
				if err == nil && done.Source.Len() != uids.Len() {
					return errExpunged
				}
				return err
			})
		}
		if err == nil {
			s.code = s.copyUID(done)
		}
		return err
	}
}

var errExpunged = errs.New("imapserver.copy", errs.Expunged, "some of the messages were expunged by another session; nothing was copied")

// setAndMailbox reads the arguments of COPY and MOVE.
func setAndMailbox(d *imapwire.Decoder) (set imapwire.NumSet, mailbox string) {
	d.Space()
	set = d.NumSet()
	d.Space()
	return set, d.Mailbox()
}

// copyUID returns the COPYUID response code (RFC 4315 §3), "" for no message.
func (s *session) copyUID(c store.Copied) string {
	if len(c.Source) == 0 || !s.offers("UIDPLUS") {
		return ""
	}
	b := append([]byte("COPYUID "), strconv.FormatUint(uint64(c.UIDValidity), 10)...)
	b = c.Source.AppendText(append(b, ' '))
	return string(c.Target.AppendText(append(b, ' ')))
}
