package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
)

// reload reads the configuration again.
func reload(_ context.Context, s *Service, _ struct{}) (struct{}, error) {
	if s.Reload == nil {
		return struct{}{}, errs.New("adminserver.reload", errs.Temporary, "no server runs on this data directory")
	}
	return struct{}{}, errs.As("adminserver.reload", errs.Internal, "", s.Reload())
}
