package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/auth"
)

// UserAdd is the argument of "user add" and "user passwd".
type UserAdd struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	DryRun   bool   `json:"dry_run,omitempty"`
}

// UserName is a result that names an account.
type UserName struct {
	Name string `json:"name"`
}

// userAdd makes an account with its mailboxes.
func userAdd(ctx context.Context, s *Service, a UserAdd) (UserName, error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return UserName{}, err
	}
	hash, err := auth.Hash(a.Password)
	if err != nil {
		return UserName{}, err
	}
	if a.DryRun {
		return UserName{name}, s.free(ctx, name)
	}
	_, err = s.Store.CreateAccount(ctx, name, hash)
	return UserName{name}, err
}
