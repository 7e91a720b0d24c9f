package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/sasl"
)

// capability is CAPABILITY (RFC 3501 §6.1.1).
func (s *session) capability(context.Context) error {
	s.line("* CAPABILITY " + s.capabilities())
	return nil
}

// capabilities returns what the server can do in this state.
func (s *session) capabilities() string {
	caps := "IMAP4rev1 IMAP4rev2 LITERAL+"
	if s.opts.LiteralMinus {
		caps = "IMAP4rev1 IMAP4rev2 LITERAL-"
	}
	caps += s.srv.caps
	caps += " APPENDLIMIT=" + strconv.FormatInt(s.opts.MessageMax, 10) // RFC 7889 §2
	if s.state != notAuthenticated {
		return caps
	}
	if s.conn.TLSAvailable() {
		caps += " STARTTLS"
	}
	if !s.conn.Secure() {
		return caps + " LOGINDISABLED"
	}
	for _, m := range sasl.Names() {
		caps += " AUTH=" + m
	}
	return caps
}
