package netserver

import (
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/trace"
)

// tracesMax is how many users are traced at a time.
const tracesMax = 10

// tap is a user's trace of a session.
type tap struct {
	user string
	*trace.Tap
}

// traced returns whom the session is told to.
func (c *Conn) traced() []tap {
	if taps := c.taps.Load(); taps != nil {
		return *taps
	}
	return nil
}

func (c *Conn) setTapsLocked(taps []tap) {
	if len(taps) == 0 {
		c.taps.Store(nil)
		return
	}
	c.taps.Store(&taps)
}

// SetUser tells whose session it is from now on, "" for nobody's. about is what
// a trace of it begins with. Only the session's goroutine calls it, and between
// two lines.
func (c *Conn) SetUser(user, about string) {
	c.s.mu.Lock()
	before := c.traced()
	c.users = nil
	c.setTapsLocked(nil)
	c.s.mu.Unlock()
	for _, tap := range before {
		tap.Close()
	}
	if user != "" {
		c.AddUser(user, about)
	}
}

// AddUser is SetUser for one more user: a message may be for several.
func (c *Conn) AddUser(user, about string) {
	c.s.mu.Lock()
	known, t := slices.Contains(c.users, user), c.s.mu.traces[user]
	if !known {
		c.users = append(c.users, user)
	}
	c.s.mu.Unlock()
	if !known && t != nil {
		c.setTap(user, c.openTap(t, about, true))
	}
}

// openTap returns nil when there is nothing to be traced.
func (c *Conn) openTap(t *trace.Trace, about string, knows bool) *trace.Tap {
	protocol := strings.TrimSuffix(c.listener.Protocol, "s") // imap, pop3 or lmtp
	if !t.Has(protocol) {
		return nil
	}
	return t.Tap(trace.Session{Protocol: protocol, ID: c.id, Remote: c.Remote(), TLS: c.IsTLS(), About: about}, knows)
}

// setTap puts a user's tap on the connection, if it is still the user's and has
// none.
func (c *Conn) setTap(user string, t *trace.Tap) {
	if t == nil {
		return
	}
	c.s.mu.Lock()
	taps := c.traced()
	is := slices.Contains(c.users, user) && !slices.ContainsFunc(taps, func(p tap) bool { return p.user == user })
	if is {
		c.setTapsLocked(append(slices.Clip(taps), tap{user, t}))
	}
	c.s.mu.Unlock()
	if !is {
		t.Close()
	}
}

// boundary tells traces that what comes begins a command, or a turn of IDLE.
func (c *Conn) boundary() {
	for _, tap := range c.traced() {
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
		if slices.Contains(c.users, user) {
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
		if slices.Contains(c.users, user) { // its tap has closed its file
			c.setTapsLocked(slices.DeleteFunc(slices.Clone(c.traced()), func(p tap) bool { return p.user == user }))
		}
	}
}

// resumeTraces goes on with the traces of the server before.
func (s *Server) resumeTraces() {
	for _, t := range trace.Resume(s.opts.TraceDir, s.opts.Log) {
		s.mu.traces[t.Info().User] = t
	}
}

// pauseTraces is for when the server stops.
func (s *Server) pauseTraces() {
	s.mu.Lock()
	traces := s.mu.traces
	s.mu.traces = map[string]*trace.Trace{}
	s.mu.Unlock()
	for _, t := range traces {
		t.Pause()
	}
}
