package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/auth"
)

// userPasswd replaces a password. Sessions that are open end.
func userPasswd(ctx context.Context, s *Service, a UserAdd) (UserName, error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return UserName{}, err
	}
	hash, err := auth.Hash(a.Password)
	if err == nil {
		_, err = s.Store.AccountInfo(ctx, name)
	}
	if err == nil && !a.DryRun {
		err = s.Store.SetPassword(ctx, name, hash)
	}
	return UserName{name}, err
}
