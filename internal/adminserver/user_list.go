package adminserver

import (
	"context"
	"time"
)

// User is an account as lists show it.
type User struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// userList returns all accounts by name.
func userList(ctx context.Context, s *Service, _ struct{}) ([]User, error) {
	users := []User{}
	for info := range s.Store.AccountInfos(ctx) {
		users = append(users, User{info.Name, info.Created})
	}
	return users, nil
}
