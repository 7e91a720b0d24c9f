package pop3server

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// Limits (reliability paper 4.4).
const (
	lineMax           = 2048 // octets of a command line; RFC 2449 §4 asks for 255
	badBeforeLoginMax = 3
	badMax            = 20
	loginTimeMax      = time.Minute
	idleTimeMax       = 10 * time.Minute // RFC 1939 §3
	piece             = 64 << 10         // octets of a message that are in memory at a time
)

// Options of New. Zero values mean the defaults.
type Options struct {
	Log       *slog.Logger // required
	Events    *telemetry.Sink
	Shared    bool          // several sessions of one account at a time
	KeepSeen  bool          // RETR leaves \Seen as it is
	FlagOnly  bool          // DELE sets \Deleted instead of expunging
	Anonymous bool          // CAPA does not name the implementation
	LoginTime time.Duration // from the greeting to the login; default 1 min
	IdleTime  time.Duration // silence after login; default 10 min, which RFC 1939 §3 asks for
}

// Server makes sessions.
type Server struct {
	store *store.Store
	auth  *auth.Auth
	opts  atomic.Pointer[Options]

	mu   sync.Mutex
	held map[store.AccountID]bool
}

// ALPN is the protocol's name in TLS.
const ALPN = "pop3"

// Refuse is what a connection over the limits hears.
const Refuse = "-ERR [SYS/TEMP] Too many connections; try again later\r\n"

// New returns a server over a store.
func New(s *store.Store, a *auth.Auth, o Options) *Server {
	srv := &Server{store: s, auth: a, held: map[store.AccountID]bool{}}
	srv.Configure(o)
	return srv
}

// Configure sets the options of sessions that begin from now on.
func (srv *Server) Configure(o Options) {
	if o.LoginTime == 0 {
		o.LoginTime = loginTimeMax
	}
	if o.IdleTime == 0 {
		o.IdleTime = idleTimeMax
	}
	srv.opts.Store(&o)
}

// Handle serves one connection (netserver.Handler).
func (srv *Server) Handle(ctx context.Context, c *netserver.Conn) {
	s := &session{srv: srv, opts: srv.opts.Load(), conn: c, begun: time.Now()}
	defer s.release()
	s.serve(ctx)
}

// hold takes the account for one session, and reports whether it could.
func (srv *Server) hold(id store.AccountID) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.held[id] && !srv.opts.Load().Shared {
		return false
	}
	srv.held[id] = true
	return true
}

func (srv *Server) release(id store.AccountID) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	delete(srv.held, id)
}
