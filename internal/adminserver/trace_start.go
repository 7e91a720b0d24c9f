package adminserver

import (
	"context"
	"slices"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/trace"
)

// TraceStart is the argument of "trace start".
type TraceStart struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol,omitempty"` // of trace.Protocols; default all
	Seconds  int64  `json:"seconds,omitempty"`  // default trace.TimeDefault
	Bodies   bool   `json:"bodies,omitempty"`
}

var errNoServer = errs.New("adminserver.trace", errs.Temporary, "no server runs on this data directory: there are no sessions to be traced")

// traceStart begins to write what a user's sessions say and are told.
func traceStart(ctx context.Context, s *Service, a TraceStart) (trace.Info, error) {
	if s.Net == nil {
		return trace.Info{}, errNoServer
	}
	name, err := s.qualify(a.Name)
	if err == nil {
		_, err = s.Store.AccountInfo(ctx, name)
	}
	if err != nil {
		return trace.Info{}, err
	}
	o := trace.Options{User: name, Protocol: a.Protocol, Time: time.Duration(a.Seconds) * time.Second, Bodies: a.Bodies}
	if o.Protocol == "" {
		o.Protocol = trace.All
	}
	if !slices.Contains(trace.Protocols, o.Protocol) {
		return trace.Info{}, errs.New("adminserver.traceStart", errs.Invalid, "a trace is of imap, pop3, lmtp or all; none was begun")
	}
	if a.Seconds == 0 {
		o.Time = trace.TimeDefault
	}
	info, err := s.Net.StartTrace(o)
	if err == nil {
		s.Log.Info("trace_started", "account", name, "protocol", o.Protocol, "bodies", o.Bodies, "until", info.Until, "by", s.by)
	}
	return info, err
}
