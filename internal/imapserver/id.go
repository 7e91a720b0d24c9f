package imapserver

import (
	"context"

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
	n := 0
	d.List(func() {
		if n++; n > idFieldsMax {
			d.Fail("too many fields")
		}
		name := d.String()
		d.Space()
		if value, _ := d.NString(); len(name) > idFieldsMax || len(value) > idValueMax {
			d.Fail("the field is too long")
		}
	})
	return sendID
}

func sendID(_ context.Context, s *session) error {
	s.line(`* ID ("name" "Angarium")`)
	return nil
}
