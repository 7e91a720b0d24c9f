// Package fill puts many messages into a store that no server serves.
package fill

import (
	"context"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// batchMax is how many messages Inbox puts into one commit.
const batchMax = 1000

// Inbox appends the messages with from <= n < to to an account's INBOX.
func Inbox(ctx context.Context, s *store.Store, a *store.Account, from, to int, message func(n int) (text []byte, o store.AppendOptions)) error {
	for ; from < to; from += batchMax {
		if err := appendBatch(ctx, s, a, from, min(from+batchMax, to), message); err != nil {
			return err
		}
	}
	return nil
}

func appendBatch(ctx context.Context, s *store.Store, a *store.Account, from, to int, message func(n int) ([]byte, store.AppendOptions)) error {
	staged, options := make([]*store.Staged, to-from), make([]store.AppendOptions, to-from)
	for i := range staged {
		stage, err := s.Stage(ctx)
		if err != nil {
			return err
		}
		defer stage.Discard()
		var text []byte
		text, options[i] = message(from + i)
		if _, err := stage.Write(text); err != nil {
			return err
		}
		if staged[i], err = stage.Seal(); err != nil {
			return err
		}
	}
	_, err := a.Update(ctx, func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(mail.Inbox)
		if err != nil {
			return err
		}
		for i, one := range staged {
			if _, err := tx.Append(box.ID, one, options[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
