package adminserver

import (
	"context"
	"errors"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// ACLSet is the argument of "acl set".
type ACLSet struct {
	Name       string `json:"name"`
	Mailbox    string `json:"mailbox"`
	Identifier string `json:"identifier"` // a user, or anyone; "-" before it: rights that are taken away
	Rights     string `json:"rights"`     // letters or a word of rightWords, with "+" or "-" before them to add or remove
	DryRun     bool   `json:"dry_run,omitempty"`
}

// rightWords are names for what is given often, as Cyrus' cyradm has them.
var rightWords = map[string]string{
	"none": "", "read": "lrs", "post": "lrps", "append": "lrsip", "write": "lrswipkxten", "all": "lrswipkxtean",
}

// errDryRun ends an Update that is to change nothing.
var errDryRun = errors.New("dry run")

// aclSet changes the rights of an identifier for a mailbox, and returns all that
// there are then.
func aclSet(ctx context.Context, s *Service, a ACLSet) (done MailboxACL, err error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return done, err
	}
	identifier, err := store.ParseIdentifier(a.Identifier, name)
	if err != nil {
		return done, err
	}
	change, err := rightsChange(a.Rights)
	if err != nil {
		return done, err
	}
	_, acct, err := s.account(ctx, name)
	if err != nil {
		return done, err
	}
	_, err = acct.Update(ctx, func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(a.Mailbox)
		if err != nil {
			return err
		}
		if err := tx.SetRights(box.ID, identifier, change); err != nil {
			return err
		}
		if box, err = tx.Snapshot().MailboxByID(box.ID); err != nil {
			return err
		}
		if done = aclOf(name, box); a.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return done, err
}

func rightsChange(text string) (mail.RightsChange, error) {
	op := ""
	if text != "" && strings.Contains("+-", text[:1]) {
		op, text = text[:1], text[1:]
	}
	if letters, ok := rightWords[text]; ok {
		text = letters
	}
	c, err := mail.ParseRightsChange(op + text)
	if err != nil {
		return c, errs.As("adminserver.aclSet", errs.Invalid, "rights are letters of "+mail.AllRights.String()+", or none, read, post, append, write or all; nothing was changed", err)
	}
	return c, nil
}
