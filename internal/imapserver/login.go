package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/sasl"
)

// parseLogin is LOGIN (RFC 3501 §6.2.3).
func parseLogin(s *session, d *imapwire.Decoder) request {
	d.Space()
	user := d.AString()
	d.Space()
	password := d.AString()
	if len(user) > sasl.FieldMax || len(password) > sasl.FieldMax {
		// They would be held while the attempt waits for its turn and its delay.
		d.Fail("the name or the password is too long")
	}
	return func(ctx context.Context, s *session) error {
		if !s.conn.Secure() {
			return errNoPrivacy
		}
		return s.check(ctx, auth.Attempt{Mechanism: "LOGIN", User: user, Password: password})
	}
}

// errNoPrivacy refuses a password in clear (RFC 5530 §3 PRIVACYREQUIRED).
var errNoPrivacy = &refusal{"PRIVACYREQUIRED", "passwords are taken over TLS only"}

// check verifies what the client said and logs it in.
func (s *session) check(ctx context.Context, a auth.Attempt) error {
	a.Service, a.Remote, a.Local, a.TLS, a.Session = "imap", s.conn.Remote(), s.conn.Local(), s.conn.IsTLS(), s.conn.ID()
	id, err := s.srv.auth.Login(ctx, a)
	if err != nil {
		return err
	}
	return s.login(id)
}
