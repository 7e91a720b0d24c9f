package lmtpserver

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// Limits (reliability paper 4.4).
const (
	MessageMax    = 50 << 20        // octets, unless the options say otherwise
	recipientsMax = 1000            // of one message; RFC 5321 §4.5.3.1.8 asks for 100
	badMax        = 20              // commands that were none
	idleTimeMax   = 5 * time.Minute // silence of the client, and a command's line; RFC 5321 §4.5.3.2.7
	rateMin       = 500             // octets a second, from idleTimeMax after a message began
	deliveriesMax = 16              // recipients that are served at once
)

// Options of New. Zero values mean the defaults.
type Options struct {
	Events     *telemetry.Sink
	Hostname   string // required: names the server in replies and trace fields
	MessageMax int64
	IdleTime   time.Duration // silence of the client; default 5 min
	Bounce     bool          // refuse mail for full accounts for good
}

// Server makes sessions.
type Server struct {
	store *store.Store
	dir   *directory.Directory
	opts  atomic.Pointer[Options]
}

// Refuse is what a connection over the limits hears.
const Refuse = "421 4.7.0 Too many connections; try again later\r\n"

// New returns a server over a store.
func New(s *store.Store, d *directory.Directory, o Options) *Server {
	srv := &Server{store: s, dir: d}
	srv.Configure(o)
	return srv
}

// Configure sets the options of sessions that begin from now on.
func (srv *Server) Configure(o Options) {
	if o.MessageMax == 0 {
		o.MessageMax = MessageMax
	}
	if o.IdleTime == 0 {
		o.IdleTime = idleTimeMax
	}
	srv.opts.Store(&o)
}

// Handle serves one connection (netserver.Handler).
func (srv *Server) Handle(ctx context.Context, c *netserver.Conn) {
	s := &session{srv: srv, opts: srv.opts.Load(), conn: c}
	defer s.reset()
	c.Known() // an MTA, which the listener's place is trusted to be
	s.serve(ctx)
}
