package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
)

// Erase is the argument of "erase".
type Erase struct {
	Selection
	Account bool `json:"account,omitempty"` // a deleted account with all it held
	Yes     bool `json:"yes,omitempty"`
	DryRun  bool `json:"dry_run,omitempty"`
}

// erase lets go of expunged mail for ever, and of its octets on the disk.
func erase(ctx context.Context, s *Service, a Erase) (r Restored, err error) {
	if !a.Yes && !a.DryRun {
		return r, errs.New("adminserver.erase", errs.Denied, "what is erased cannot be restored; nothing was erased. Look with --dry-run, then say --yes")
	}
	if a.Account {
		return r, s.eraseAccount(ctx, a)
	}
	acct, sel, err := s.selection(ctx, a.Selection)
	if err != nil {
		return r, err
	}
	if a.DryRun {
		return count(ctx, acct, sel)
	}
	done, err := acct.Erase(ctx, sel)
	s.Log.Warn("erased", "account", a.Name, "mailbox", a.Mailbox, "uids", a.UIDs, "since", a.Since, "until", a.Until, "messages", done.Messages, "octets", done.Octets, "error", err)
	if err != nil {
		return Restored(done), err
	}
	if s.Texts != nil {
		s.Texts.Forget(acct.ID()) // it knows words of the messages
	}
	s.progress("rewriting the files that hold the octets")
	return Restored(done), s.Store.Reclaim(ctx)
}

func (s *Service) eraseAccount(ctx context.Context, a Erase) error {
	name, err := s.qualify(a.Name)
	if err != nil || a.DryRun {
		return err
	}
	err = s.Store.EraseAccount(ctx, name)
	s.Log.Warn("erased", "deleted_account", name, "error", err)
	if err != nil {
		return err
	}
	if s.Texts != nil {
		s.Texts.RemoveGone(ctx)
	}
	s.progress("rewriting the files that hold the octets")
	return s.Store.Reclaim(ctx)
}
