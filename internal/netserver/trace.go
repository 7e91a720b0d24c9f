package netserver

import (
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/trace"
)

// tracesMax is how many users are traced at a time.
const tracesMax = 10

// SetUser tells whose session it is from now on, "" for nobody's. about is what
// a trace of it begins with. Only the session's goroutine calls it, and between
// two lines.
func (c *Conn) SetUser(user, about string) {
	c.s.mu.Lock()
	c.user = user
	before, t := c.tap.Swap(nil), c.s.mu.traces[user]
	c.s.mu.Unlock()
	if before != nil {
		before.Close()
	}
	if t != nil {
		c.setTap(user, c.openTap(t, about, true))
	}
}

// openTap returns nil when there is nothing to be traced.
func (c *Conn) openTap(t *trace.Trace, about string, knows bool) *trace.Tap {
	if !t.Has(c.protocol) {
		return nil
	}
	return t.Tap(trace.Session{Protocol: c.protocol, ID: c.id, Remote: c.Remote(), TLS: c.IsTLS(), About: about}, knows)
}

// setTap puts a tap on the connection, if it is still the user's and there is
// none.
func (c *Conn) setTap(user string, tap *trace.Tap) {
	if tap == nil {
		return
	}
	c.s.mu.Lock()
	is := c.user == user && c.tap.CompareAndSwap(nil, tap)
	c.s.mu.Unlock()
	if !is {
		tap.Close()
	}
}

// Traced reports whether the session is written into a trace.
func (c *Conn) Traced() bool { return c.tap.Load() != nil }

// boundary tells a trace that what comes begins a command, or a turn of IDLE.
func (c *Conn) boundary() {
	if tap := c.tap.Load(); tap != nil {
		tap.Boundary()
	}
}

// StartTrace begins a trace of a user's sessions: those that are open, from
// their next command on, and those that come. Errors: Exists, Limit, Invalid,
// Temporary.
func (s *Server) StartTrace(o trace.Options) (trace.Info, error) {
	const op = "netserver.StartTrace"
	s.tracing.Lock()
	defer s.tracing.Unlock()
	for _, info := range s.Traces() {
		if info.User == o.User {
			return info, errs.New(op, errs.Exists, o.User+" is traced already, until "+info.Until.Format("15:04:05")+"; stop that trace first")
		}
	}
	if len(s.Traces()) >= tracesMax {
		return trace.Info{}, errs.New(op, errs.Limit, "too many users are traced; nothing was begun. Stop a trace first")
	}
	t, err := trace.Begin(s.opts.TraceDir, o, s.opts.Log)
	if err != nil {
		return trace.Info{}, err
	}
	for _, c := range s.addTrace(t, o.User) {
		c.setTap(o.User, c.openTap(t, "it was open already", false))
	}
	return t.Info(), nil
}

// addTrace makes a trace one of new sessions, and returns those that are open.
func (s *Server) addTrace(t *trace.Trace, user string) (open []*Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.traces[user] = t
	for c := range s.mu.conns {
		if c.user == user {
			open = append(open, c)
		}
	}
	return open
}

// StopTrace ends the trace of a user. Errors: NotFound.
func (s *Server) StopTrace(user string) (trace.Info, error) {
	s.mu.Lock()
	t := s.mu.traces[user]
	s.mu.Unlock()
	if t == nil || t.Over() {
		return trace.Info{}, errs.New("netserver.StopTrace", errs.NotFound, user+" is not traced")
	}
	t.End("it was stopped")
	s.Traces() // which forgets it
	return t.Info(), nil
}

// Traces returns the traces that run, by user, and forgets those that have ended.
func (s *Server) Traces() []trace.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := []trace.Info{}
	for user, t := range s.mu.traces {
		if t.Over() {
			s.forgetTraceLocked(user)
			continue
		}
		infos = append(infos, t.Info())
	}
	slices.SortFunc(infos, func(a, b trace.Info) int { return strings.Compare(a.User, b.User) })
	return infos
}

func (s *Server) forgetTraceLocked(user string) {
	delete(s.mu.traces, user)
	for c := range s.mu.conns {
		if c.user == user {
			c.tap.Store(nil) // it has closed its file
		}
	}
}

// endTraces is for when the server stops.
func (s *Server) endTraces() {
	s.mu.Lock()
	traces := s.mu.traces
	s.mu.traces = map[string]*trace.Trace{}
	s.mu.Unlock()
	for _, t := range traces {
		t.End("the server stops")
	}
}
