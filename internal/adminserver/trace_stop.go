package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/trace"
)

// traceStop ends a trace.
func traceStop(_ context.Context, s *Service, a UserName) (trace.Info, error) {
	if s.Net == nil {
		return trace.Info{}, errNoServer
	}
	name, err := s.qualify(a.Name)
	if err != nil {
		return trace.Info{}, err
	}
	return s.Net.StopTrace(name)
}
