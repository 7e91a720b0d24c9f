// Package fill puts accounts and many messages into a store that no server
// serves.
package fill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/test/harness"
)

const (
	batchMax    = 1000  // messages that Inbox puts into one commit
	spreadBatch = 100   // and Spread, at most
	accountsMax = 10000 // that are made at once
)

// Store opens the store of a data directory, which it makes if need be, calls
// fn, and closes it.
func Store(ctx context.Context, data string, fn func(s *store.Store) error) error {
	e, err := local.Open(ctx, vfs.Disk{}, filepath.Join(data, "store"), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, e, store.Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		return errors.Join(err, e.Close())
	}
	return errors.Join(fn(s), s.Close(), e.Close())
}

// Accounts makes the accounts with from <= i < to, all with one password, of
// which it gets the hash.
func Accounts(ctx context.Context, s *store.Store, from, to int, name func(i int) string, hash string) (made []store.AccountInfo, err error) {
	for ; from < to; from += accountsMax {
		var infos []store.AccountInfo
		for i := from; i < min(from+accountsMax, to); i++ {
			infos = append(infos, store.AccountInfo{Name: name(i), Password: hash})
		}
		if infos, err = s.CreateAccounts(ctx, infos); err != nil {
			return nil, err
		}
		made = append(made, infos...)
	}
	return made, nil
}

// Spread appends messages to the INBOXes of accounts in turn, some to each.
func Spread(ctx context.Context, s *store.Store, infos []store.AccountInfo, messages int, message func(n int) (text []byte, o store.AppendOptions)) error {
	batch := min(spreadBatch, max(1, messages/len(infos)))
	return harness.Each((messages+batch-1)/batch, func(i int) error {
		a, err := s.Account(ctx, infos[i%len(infos)].ID)
		if err != nil {
			return err
		}
		return appendBatch(ctx, s, a, i*batch, min((i+1)*batch, messages), message)
	})
}

// Site makes a store with accounts, whose password has the hash, and with
// messages of about as many octets, in turn in their INBOXes.
func Site(ctx context.Context, data string, accounts int, name func(i int) string, hash string, messages, octets int) error {
	return Store(ctx, data, func(s *store.Store) error {
		infos, err := Accounts(ctx, s, 0, accounts, name, hash)
		if err != nil {
			return err
		}
		return Spread(ctx, s, infos, messages, func(n int) ([]byte, store.AppendOptions) {
			return Text(n, octets), store.AppendOptions{}
		})
	})
}

// Mailbox makes a store with one account and messages in its INBOX, of which
// every second is seen.
func Mailbox(ctx context.Context, data, name, hash string, messages, octets int) error {
	return Store(ctx, data, func(s *store.Store) error {
		infos, err := Accounts(ctx, s, 0, 1, func(int) string { return name }, hash)
		if err != nil {
			return err
		}
		a, err := s.Account(ctx, infos[0].ID)
		if err != nil {
			return err
		}
		return Inbox(ctx, s, a, 0, messages, func(n int) ([]byte, store.AppendOptions) {
			o := store.AppendOptions{}
			if n%2 == 1 {
				o.Flags = mail.NewFlags(mail.Seen)
			}
			return Text(n, octets), o
		})
	})
}

// Text returns a message of about as many octets, in a thread of ten. Each has
// its own subject, and a line that no other has.
func Text(n, octets int) []byte {
	const line = "A line of text that is in every message, as people write them.\r\n"
	head := fmt.Appendf(nil, "From: Sender %d <s%d@fill.example>\r\nTo: <reader@fill.example>\r\nSubject: Subject %d\r\nDate: %s\r\nMessage-ID: <%d@fill.example>\r\nReferences: <%d@fill.example>\r\n\r\nThe word is w%dw.\r\n",
		n%97, n%97, n/10*7919%10007, time.Unix(1_700_000_000+int64(n)*60, 0).UTC().Format(time.RFC1123Z), n, n/10*10, n)
	return append(head, strings.Repeat(line, max(0, octets-len(head))/len(line))...)
}

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
