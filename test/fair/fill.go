package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

const (
	quietMessages = 1000
	batch         = 1000 // messages in one commit
)

// fill makes a store with the two accounts.
func fill(dir string, messages int) error {
	ctx := context.Background()
	e, err := local.Open(ctx, vfs.Disk{}, dir, local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		return err
	}
	defer e.Close()
	s, err := store.Open(ctx, e, store.Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		return err
	}
	defer s.Close()
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	infos, err := s.CreateAccounts(ctx, []store.AccountInfo{{Name: noisy, Password: hash}, {Name: quiet, Password: hash}})
	if err != nil {
		return err
	}
	for i, n := range []int{messages, quietMessages} {
		a, err := s.Account(ctx, infos[i].ID)
		if err != nil {
			return err
		}
		for from := 0; from < n; from += batch {
			if err := fillBatch(ctx, s, a, from, min(from+batch, n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// message is a small one, in a thread of ten.
func message(n int) string {
	return fmt.Sprintf("From: Sender %d <s%d@fair.example>\r\nTo: <noisy@fair.example>\r\nSubject: Subject %d\r\nDate: %s\r\nMessage-ID: <%d@fair.example>\r\nReferences: <%d@fair.example>\r\n\r\n%s",
		n%97, n%97, n/10*7919%10007, time.Unix(1_700_000_000+int64(n)*60, 0).UTC().Format(time.RFC1123Z), n, n/10*10, strings.Repeat("A line of text that is in every message.\r\n", 20))
}

func fillBatch(ctx context.Context, s *store.Store, a *store.Account, from, to int) error {
	var staged []*store.Staged
	for n := from; n < to; n++ {
		st, err := s.Stage(ctx)
		if err != nil {
			return err
		}
		defer st.Discard()
		if _, err := st.Write([]byte(message(n))); err != nil {
			return err
		}
		one, err := st.Seal()
		if err != nil {
			return err
		}
		staged = append(staged, one)
	}
	_, err := a.Update(ctx, func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(mail.Inbox)
		if err != nil {
			return err
		}
		for _, one := range staged {
			if _, err := tx.Append(box.ID, one, store.AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}
