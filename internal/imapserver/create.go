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
		x, rest, err := s.locate(ctx, name)
		if err != nil {
			return errNoPlace
		}
		if use != 0 && !x.mine() {
			return &refusal{"USEATTR", "mailboxes of other users have no use for you"}
		}
		var box *store.Mailbox
		err = s.change(ctx, x.tree, func(tx *store.Tx) (err error) {
			if err = s.mayCreate(x.in(tx), rest); err == nil {
				box, err = tx.CreateMailbox(rest, store.CreateOptions{SpecialUse: use})
			}
			return err
		})
		if err == nil && s.offers("OBJECTID") {
			s.code = "MAILBOXID (" + x.ids.Mailbox(box.ID) + ")" // RFC 8474 §4.1
		}
		return err
	}
}

// errNoPlace refuses to make a mailbox where the user may not, or may not know
// whether there is anything.
var errNoPlace = &refusal{"NOPERM", "you may not make mailboxes there"}

// mayCreate decides whether a mailbox of this name may be made: that is up to the
// nearest mailbox above it (RFC 4314 §4), and where there is none to the owner.
func (s *session) mayCreate(x sight, name string) error {
	for parent := mail.ParentMailbox(name); parent != ""; parent = mail.ParentMailbox(parent) {
		above, err := x.Mailbox(parent)
		if err != nil {
			continue
		}
		if above.Allow(x.owner, x.user, mail.RightCreate) != nil {
			return errNoPlace
		}
		return nil
	}
	if !x.mine() {
		return errNoPlace
	}
	return nil
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
