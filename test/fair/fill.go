package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/test/harness/fill"
)

const quietMessages = 1000

// makeStore makes a store with the two accounts.
func makeStore(dir string, messages int) error {
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
		if err := fill.Inbox(ctx, s, a, 0, n, message); err != nil {
			return err
		}
	}
	return nil
}

// message is a small one, in a thread of ten.
func message(n int) ([]byte, store.AppendOptions) {
	return fmt.Appendf(nil, "From: Sender %d <s%d@fair.example>\r\nTo: <noisy@fair.example>\r\nSubject: Subject %d\r\nDate: %s\r\nMessage-ID: <%d@fair.example>\r\nReferences: <%d@fair.example>\r\n\r\n%s",
		n%97, n%97, n/10*7919%10007, time.Unix(1_700_000_000+int64(n)*60, 0).UTC().Format(time.RFC1123Z), n, n/10*10, strings.Repeat("A line of text that is in every message.\r\n", 20)), store.AppendOptions{}
}
