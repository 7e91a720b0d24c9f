package adminserver

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// RestoreAccount is the argument of "restore account".
type RestoreAccount struct {
	Dir       string    `json:"dir"`          // of the backups, absolute
	At        time.Time `json:"at,omitzero"`  // as the store was then; default: in the last backup
	Name      string    `json:"name"`         // in the backup
	As        string    `json:"as,omitempty"` // here; default: the same
	Mailbox   string    `json:"mailbox,omitempty"`
	MessageID string    `json:"message_id,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the internal date
	Until     time.Time `json:"until,omitzero"`
	Into      string    `json:"into,omitempty"` // one mailbox for all
	DryRun    bool      `json:"dry_run,omitempty"`
}

// AccountRestored is what "restore account" did, or would do.
type AccountRestored struct {
	Account   string          `json:"account"`
	Made      bool            `json:"made,omitempty"`      // the account was made
	Mailboxes []string        `json:"mailboxes,omitempty"` // made
	Messages  int             `json:"messages"`
	Octets    int64           `json:"octets"`
	Present   int             `json:"present"`           // left out, since they are there
	Damaged   []store.Finding `json:"damaged,omitempty"` // left out
}

// restoreAccount adds what a backup holds of an account to what is here.
func restoreAccount(ctx context.Context, s *Service, a RestoreAccount) (r AccountRestored, err error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return r, err
	}
	as, err := s.qualify(cmp.Or(a.As, name))
	if err != nil {
		return r, err
	}
	r.Account = as
	t := store.Transfer{MessageID: a.MessageID, Since: a.Since, Until: a.Until, DryRun: a.DryRun}
	for _, x := range []struct{ from, to *string }{{&a.Mailbox, &t.Mailbox}, {&a.Into, &t.Into}} {
		if *x.from != "" {
			if *x.to, err = mail.CanonicalMailbox(*x.from); err != nil {
				return r, err
			}
		}
	}
	s.progress("reading the backup")
	backup, done, err := s.OpenBackup(ctx, a.Dir, a.At)
	if err != nil {
		return r, err
	}
	defer done()
	from, err := backup.AccountInfo(ctx, name)
	if err != nil {
		return r, errs.New("adminserver.restoreAccount", errs.NotFound, "the backup holds no account "+name)
	}
	to, err := s.Store.AccountInfo(ctx, as)
	if errs.Is(err, errs.NotFound) {
		r.Made = true
		if a.DryRun {
			return r, nil
		}
		to, err = s.Store.CreateAccount(ctx, as, from.Password)
	}
	if err != nil {
		return r, err
	}
	t.Done = func(n int) {
		if n%100 == 0 {
			s.progress(fmt.Sprintf("%d messages restored", n))
		}
	}
	c, err := s.Store.CopyFrom(ctx, backup, from.ID, to.ID, t)
	r.Mailboxes, r.Messages, r.Octets, r.Present, r.Damaged = c.Mailboxes, c.Messages, c.Octets, c.Present, c.Damaged
	return r, err
}
