package imapserver

import "context"

// namespace is NAMESPACE (RFC 2342).
func (s *session) namespace(context.Context) error {
	s.line(`* NAMESPACE (("" "/")) (("` + otherUsers + `" "/")) NIL`)
	return nil
}
