package imapserver

import "context"

// startTLS is STARTTLS (RFC 3501 §6.2.1). The session's state starts anew,
// and what the client sent behind the command ends the connection.
func (s *session) startTLS(ctx context.Context) error {
	if !s.conn.TLSAvailable() || !s.offers("STARTTLS") {
		return &refusal{"", "TLS is not available"}
	}
	s.tagged("OK", "", "Begin TLS negotiation")
	if err := s.conn.Flush(); err != nil {
		return err
	}
	if err := s.conn.StartTLS(ctx); err != nil {
		return &byeError{"TLS failed"}
	}
	return errAnswered
}
