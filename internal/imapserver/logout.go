package imapserver

import "context"

// logout is LOGOUT (RFC 3501 §6.1.3).
func (s *session) logout(context.Context) error {
	s.line("* BYE Logging out")
	s.state, s.view = loggedOut, nil
	return nil
}
