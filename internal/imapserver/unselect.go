package imapserver

import "context"

// unselect is UNSELECT (RFC 3691): CLOSE that expunges nothing.
func (s *session) unselect(context.Context) error {
	s.view = nil
	s.state = authenticated
	return nil
}
