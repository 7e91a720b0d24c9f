package main

import (
	"context"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness/fill"
)

const quietMessages = 1000

// makeStore makes a store with the three accounts.
func makeStore(data string, messages int) error {
	ctx := context.Background()
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	return fill.Store(ctx, data, func(s *store.Store) error {
		names := []string{noisy, quiet, writer}
		infos, err := fill.Accounts(ctx, s, 0, len(names), func(i int) string { return names[i] }, hash)
		if err != nil {
			return err
		}
		for i, n := range []int{messages, quietMessages, quietMessages} {
			a, err := s.Account(ctx, infos[i].ID)
			if err != nil {
				return err
			}
			if err := fill.Inbox(ctx, s, a, 0, n, message); err != nil {
				return err
			}
		}
		return nil
	})
}

func message(n int) ([]byte, store.AppendOptions) { return fill.Text(n, 1000), store.AppendOptions{} }
