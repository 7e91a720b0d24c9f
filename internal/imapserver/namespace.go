package imapserver

import "context"

// namespace is NAMESPACE (RFC 2342): everything is the user's own.
func (s *session) namespace(context.Context) error {
	s.line(`* NAMESPACE (("" "/")) NIL NIL`)
	return nil
}
