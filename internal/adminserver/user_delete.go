package adminserver

import (
	"context"
	"fmt"

	"github.com/angarium/angarium/internal/errs"
)

// UserDelete is the argument of "user delete".
type UserDelete struct {
	Name   string `json:"name"`
	Yes    bool   `json:"yes,omitempty"` // also with mail in it
	DryRun bool   `json:"dry_run,omitempty"`
}

// userDelete takes an account away. One with mail needs to be meant.
func userDelete(ctx context.Context, s *Service, a UserDelete) (UserDetails, error) {
	d, err := userShow(ctx, s, UserName{a.Name})
	if err != nil || a.DryRun {
		return d, err
	}
	if d.Messages > 0 && !a.Yes {
		return d, errs.New("adminserver.userDelete", errs.Denied,
			fmt.Sprintf("%s holds %d messages; nothing was deleted. Say --yes to delete the account with them", d.Name, d.Messages))
	}
	return d, s.Store.DeleteAccount(ctx, d.Name)
}
