package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
)

// parseEnable is ENABLE (RFC 5161). None of the extensions here needs it yet;
// names that are unknown are passed over (§3.1).
func parseEnable(s *session, d *imapwire.Decoder) request {
	for ok := true; ok; ok = d.Peek() == ' ' {
		d.Space()
		d.Atom()
	}
	return func(_ context.Context, s *session) error {
		s.line("* ENABLED")
		return nil
	}
}
