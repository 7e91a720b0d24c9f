package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/trace"
)

// traceList returns the traces that run.
func traceList(_ context.Context, s *Service, _ struct{}) ([]trace.Info, error) {
	if s.Net == nil {
		return []trace.Info{}, nil
	}
	return s.Net.Traces(), nil
}
