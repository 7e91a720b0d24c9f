package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
)

// parseGetQuota is GETQUOTA (RFC 9208 §4.1.1).
func parseGetQuota(s *session, d *imapwire.Decoder) request {
	d.Space()
	root := d.AString()
	return func(_ context.Context, s *session) error {
		own, err := s.own.look()
		if err != nil {
			return err
		}
		list := s.quotaList(own)
		if root != s.user.Name || len(list) == 0 { // others' are nobody's business (RFC 9208 §8)
			return errs.New("imapserver.getQuota", errs.NotFound, "no such quota root")
		}
		s.tellQuota(root, list)
		return nil
	}
}
