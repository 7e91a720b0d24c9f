package imapserver

import (
	"context"
	"encoding/base64"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/sasl"
)

// parseAuthenticate is AUTHENTICATE (RFC 3501 §6.2.2) with an optional initial
// response (RFC 4959).
func parseAuthenticate(s *session, d *imapwire.Decoder) request {
	d.Space()
	mechanism := d.Word()
	initial := ""
	d.Needs("AUTH=" + mechanism)
	if d.Take(' ') {
		d.Needs("SASL-IR")
		initial = d.Rest()
	}
	return func(ctx context.Context, s *session) error {
		machine, ok := sasl.New(mechanism)
		if !ok {
			return &refusal{"", "unknown mechanism"}
		}
		if !s.conn.Secure() {
			return errNoPrivacy
		}
		c, err := s.exchange(machine, initial)
		if err != nil {
			return err
		}
		return s.check(ctx, auth.Attempt{Mechanism: mechanism, User: c.User, Password: c.Password, Authorize: c.Authorize})
	}
}

// exchange runs a mechanism to its end. initial is in base64, "=" for an empty
// response, "" for none.
func (s *session) exchange(m sasl.Server, initial string) (c sasl.Credentials, err error) {
	bad := &imapwire.SyntaxError{Text: "the response is malformed"}
	var response []byte
	switch initial {
	case "":
	case "=":
		response = []byte{}
	default:
		if response, err = sasl.Decode([]byte(initial)); err != nil {
			return c, bad
		}
	}
	for range saslStepsMax {
		challenge, done, err := m.Step(response)
		switch {
		case err != nil:
			return c, bad
		case done:
			return m.Credentials(), nil
		}
		s.line("+ " + base64.StdEncoding.EncodeToString(challenge))
		if err := s.conn.Flush(); err != nil {
			return c, err
		}
		line, err := s.conn.ReadLine(sasl.ResponseMax)
		if err != nil {
			return c, err
		}
		if string(line) == "*" {
			return c, &imapwire.SyntaxError{Text: "AUTHENTICATE cancelled"}
		}
		if response, err = sasl.Decode(line); err != nil {
			return c, bad
		}
	}
	return c, bad
}
