package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

// UndeleteRestore is the argument of "undelete restore".
type UndeleteRestore struct {
	Selection
	Into   string `json:"into,omitempty"` // one mailbox for all
	DryRun bool   `json:"dry_run,omitempty"`
}

// Restored is what "undelete restore" and "erase" did, or would do.
type Restored struct {
	Mailboxes []string `json:"mailboxes,omitempty"` // made
	Messages  int      `json:"messages"`
	Octets    int64    `json:"octets"`
}

// undeleteRestore brings expunged messages and deleted mailboxes back.
func undeleteRestore(ctx context.Context, s *Service, a UndeleteRestore) (Restored, error) {
	acct, sel, err := s.selection(ctx, a.Selection)
	if err != nil {
		return Restored{}, err
	}
	if a.DryRun {
		return count(ctx, acct, sel)
	}
	sel.Into = a.Into
	done, err := acct.Restore(ctx, sel)
	return Restored(done), err
}

// count tells what a selection holds.
func count(ctx context.Context, acct *store.Account, sel store.Selection) (r Restored, err error) {
	for m, err := range acct.Expunged(ctx, sel) {
		if errs.Is(err, errs.Corrupt) {
			continue
		}
		if err != nil {
			return r, err
		}
		r.Messages++
		r.Octets += m.Size
	}
	return r, nil
}
