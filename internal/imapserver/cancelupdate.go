package imapserver

import (
	"context"
	"slices"

	"github.com/angarium/angarium/internal/imapwire"
)

// parseCancelUpdate is CANCELUPDATE (RFC 5267 §4.3.5). A context that is not
// there any more needs no end.
func parseCancelUpdate(_ *session, d *imapwire.Decoder) request {
	var tags []string
	for ok := true; ok && d.Err() == nil; ok = d.Peek() == ' ' {
		d.Space()
		tags = append(tags, d.String())
	}
	return func(_ context.Context, s *session) error {
		s.endContexts(func(c *searchContext) bool { return slices.Contains(tags, c.tag) }, "")
		return nil
	}
}
