package adminserver

import (
	"cmp"
	"context"
)

// UndeleteAccount is the argument of "undelete account".
type UndeleteAccount struct {
	Name string `json:"name"`
	As   string `json:"as,omitempty"` // default: the name it had
}

// undeleteAccount gives a deleted account its name back.
func undeleteAccount(ctx context.Context, s *Service, a UndeleteAccount) (UserDetails, error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return UserDetails{}, err
	}
	as, err := s.qualify(cmp.Or(a.As, name))
	if err != nil {
		return UserDetails{}, err
	}
	if _, err := s.Store.RestoreAccount(ctx, name, as); err != nil {
		return UserDetails{}, err
	}
	return userShow(ctx, s, UserName{as})
}
