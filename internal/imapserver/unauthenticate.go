package imapserver

import (
	"context"
	"time"

	"github.com/angarium/angarium/internal/auth"
)

// unauthenticate is UNAUTHENTICATE (RFC 8437 §3): of the session only TLS
// stays.
func (s *session) unauthenticate(context.Context) error {
	s.end()
	s.notify = nil
	s.acct, s.view, s.user, s.enabled = nil, nil, auth.Identity{}, 0
	s.state, s.begun, s.bad = notAuthenticated, time.Now(), 0
	s.conn.Unknown()
	s.dec.Reset()
	s.client = clientID{}
	s.recut()
	return nil
}
