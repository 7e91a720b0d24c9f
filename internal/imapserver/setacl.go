package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseSetACL is SETACL (RFC 4314 §3.1).
func parseSetACL(s *session, d *imapwire.Decoder) request {
	mailbox, identifier := mailboxAndIdentifier(d)
	d.Space()
	change, err := mail.ParseRightsChange(d.AString())
	if err != nil {
		d.Fail(errs.PublicText(err))
	}
	return func(ctx context.Context, s *session) error { return s.setRights(ctx, mailbox, identifier, change) }
}

func mailboxAndIdentifier(d *imapwire.Decoder) (mailbox, identifier string) {
	d.Space()
	mailbox = d.Mailbox()
	d.Space()
	return mailbox, d.AString()
}

func (s *session) setRights(ctx context.Context, mailbox, identifier string, c mail.RightsChange) error {
	x, box, err := s.mailbox(ctx, mailbox)
	if err != nil {
		return err
	}
	who, err := s.identifier(identifier, x.owner)
	if err != nil {
		return err
	}
	if who == store.Anyone && c.Gives() && !s.opts.ShareWithAnyone {
		return errAnyone
	}
	return s.change(ctx, x.tree, func(tx *store.Tx) error {
		if _, err := x.in(tx).boxByID(box.ID, s.row.named); err != nil {
			return err
		}
		return tx.SetRights(box.ID, who, c)
	})
}

// errAnyone keeps one user from putting mailboxes before the eyes of all others.
var errAnyone = &refusal{"NOPERM", "the administrator does not let users share with anyone; name each user"}

// identifier reads one, for a mailbox of an owner. What cannot be one is BAD (RFC
// 4314 §3).
func (s *session) identifier(text, owner string) (string, error) {
	who, err := store.ParseIdentifier(text, owner)
	if errs.Is(err, errs.Invalid) {
		return "", &imapwire.SyntaxError{Text: errs.PublicText(err)}
	}
	return who, err
}
