// Package delivery puts one staged message into one account.
package delivery

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// Deliver appends a message to the mailbox that detail names, when there is
// such a one, and else to INBOX, in one commit. nil means durable.
func Deliver(ctx context.Context, s *store.Store, account store.AccountID, detail string, m *store.Staged) error {
	a, err := s.Account(ctx, account)
	if err != nil {
		return err
	}
	_, err = a.Update(ctx, func(tx *store.Tx) error {
		box, err := target(tx.Snapshot(), detail)
		if err != nil {
			return err
		}
		_, err = tx.Append(box.ID, m, store.AppendOptions{})
		return err
	})
	return err
}

// target finds the mailbox of a detail, in its own spelling before any case.
func target(v *store.Snapshot, detail string) (*store.Mailbox, error) {
	if detail != "" {
		if box, err := v.Mailbox(detail); err == nil && !box.NoSelect {
			return box, nil
		}
		for box := range v.Mailboxes() {
			if strings.EqualFold(box.Name, detail) && !box.NoSelect {
				return box, nil
			}
		}
	}
	return v.Mailbox(mail.Inbox)
}
