package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseCreate is CREATE (RFC 3501 §6.3.3, RFC 6154 §3).
func parseCreate(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	var use mail.SpecialUse
	var unknown string
	if d.Take(' ') {
		use, unknown = createParameters(d)
	}
	return func(ctx context.Context, s *session) error {
		if unknown != "" {
			return &refusal{"USEATTR", "unsupported use " + unknown} // RFC 8457 §3.2.2
		}
		if use&virtualUses != 0 {
			return &refusal{"USEATTR", "there are no mailboxes that show messages of others"} // RFC 6154 §3
		}
		var box *store.Mailbox
		err := s.update(ctx, func(tx *store.Tx) (err error) {
			box, err = tx.CreateMailbox(name, store.CreateOptions{SpecialUse: use})
			return err
		})
		if err == nil && s.offers("OBJECTID") {
			s.code = "MAILBOXID (" + box.ID.String() + ")" // RFC 8474 §4.1
		}
		return err
	}
}

// virtualUses are those of mailboxes that only show what is in others.
const virtualUses = mail.UseAll | mail.UseFlagged

// createParameters reads USE, the only parameter of CREATE. RFC 9979 writes its
// attributes without a backslash, which LIST has no room for: both are taken.
func createParameters(d *imapwire.Decoder) (use mail.SpecialUse, unknown string) {
	d.Needs("CREATE-SPECIAL-USE")
	d.List(func() {
		if name := d.Word(); name != "USE" {
			d.Fail("unknown parameter " + name)
		}
		d.Space()
		d.List(func() {
			name := d.Flag()
			one := mail.ParseSpecialUse(`\` + strings.TrimPrefix(name, `\`))
			if one == 0 {
				unknown = name
			}
			use |= one
		})
	})
	return use, unknown
}
