package adminserver

import (
	"context"
	"time"

	"github.com/angarium/angarium/internal/errs"
)

// UserRetention is the argument of "user retention".
type UserRetention struct {
	Name string `json:"name"`
	// Seconds that expunged mail is kept; 0: not at all; absent: as configured.
	Seconds *int64 `json:"seconds,omitempty"`
}

// userRetention says how long an account's expunged mail is kept.
func userRetention(ctx context.Context, s *Service, a UserRetention) (UserName, error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return UserName{}, err
	}
	d := time.Duration(0)
	if a.Seconds != nil {
		if *a.Seconds < 0 || *a.Seconds > int64(100*365*24*time.Hour/time.Second) {
			return UserName{}, errs.New("adminserver.userRetention", errs.Invalid, "the time is negative or above 100 years")
		}
		if d = time.Duration(*a.Seconds) * time.Second; d == 0 {
			d = -time.Second
		}
	}
	return UserName{name}, s.Store.SetRetention(ctx, name, d)
}
