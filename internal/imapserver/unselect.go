package imapserver

import "context"

// unselect is UNSELECT (RFC 3691): CLOSE that expunges nothing.
func (s *session) unselect(context.Context) error {
	s.closeView()
	s.state = authenticated
	return nil
}

func (s *session) closeView() {
	if s.view != nil && s.view.stop != nil {
		s.view.stop()
	}
	s.view = nil
}
