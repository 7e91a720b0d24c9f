package imapserver

import (
	"context"
	"time"

	"github.com/angarium/angarium/internal/auth"
)

// unauthenticate is UNAUTHENTICATE (RFC 8437 §3): of the session only TLS
// stays. Its answer is the last that is compressed (§4.1).
func (s *session) unauthenticate(context.Context) error {
	s.end()
	s.own, s.user, s.enabled = nil, auth.Identity{}, 0
	s.state, s.begun, s.bad = notAuthenticated, time.Now(), 0
	s.conn.Unknown()
	s.conn.MaySleep(nil)
	s.conn.LargeOutput(false)
	s.conn.SetUser("", "")
	s.dec.Reset()
	s.client = clientID{}
	s.recut()
	if !s.conn.Compressed() {
		return nil
	}
	s.tagged("OK", "", "UNAUTHENTICATE completed")
	if err := s.conn.EndCompression(); err != nil {
		return err
	}
	return errAnswered
}
