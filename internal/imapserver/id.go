package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
)

// parseID is ID (RFC 2971).
func parseID(s *session, d *imapwire.Decoder) request {
	d.Space()
	if d.Peek() != '(' {
		if _, ok := d.NString(); ok {
			d.Fail("expected NIL or a list")
		}
		return sendID
	}
	n, id := 0, clientID{}
	d.List(func() {
		if n++; n > idFieldsMax {
			d.Fail("too many fields")
		}
		name := d.String()
		d.Space()
		value, _ := d.NString()
		if len(name) > idFieldsMax || len(value) > idValueMax {
			d.Fail("the field is too long")
		}
		switch strings.ToLower(name) {
		case "name":
			id.name = value
		case "version":
			id.version = value
		}
	})
	return func(ctx context.Context, s *session) error {
		s.client = id
		if s.recut() {
			s.line("* CAPABILITY " + s.capabilities())
		}
		return sendID(ctx, s)
	}
}

// clientID is what a client says of itself (RFC 2971 §3.3).
type clientID struct{ name, version string }

func sendID(_ context.Context, s *session) error {
	s.line(`* ID ("name" "Angarium")`)
	return nil
}
