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
	inUseTimeMax      = 5 * time.Second
	piece             = 64 << 10 // octets of a message that are in memory at a time
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
	InUseTime time.Duration // for another session of the account to end; default 5 s
}

// Server makes sessions.
type Server struct {
	store *store.Store
	auth  *auth.Auth
	opts  atomic.Pointer[Options]

	mu   sync.Mutex
	held map[store.AccountID]chan struct{} // closed when the session ends that has the account
}

// ALPN is the protocol's name in TLS.
const ALPN = "pop3"

// Refuse is what a connection over the limits hears.
const Refuse = "-ERR [SYS/TEMP] Too many connections; try again later\r\n"

// New returns a server over a store.
func New(s *store.Store, a *auth.Auth, o Options) *Server {
	srv := &Server{store: s, auth: a, held: map[store.AccountID]chan struct{}{}}
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
	if o.InUseTime == 0 {
		o.InUseTime = inUseTimeMax
	}
	srv.opts.Store(&o)
}

// Handle serves one connection (netserver.Handler).
func (srv *Server) Handle(ctx context.Context, c *netserver.Conn) {
	s := &session{srv: srv, opts: srv.opts.Load(), conn: c, begun: time.Now()}
	defer s.release()
	s.serve(ctx)
}

// hold takes the account for one session, and reports whether it could. Another one
// that has it is given a moment to end: a client that closed its connection, or
// lost it, comes back before that is noticed.
func (srv *Server) hold(ctx context.Context, id store.AccountID, o *Options) bool {
	ctx, cancel := context.WithTimeout(ctx, o.InUseTime)
	defer cancel()
	for {
		other := srv.tryHold(id)
		if other == nil || o.Shared {
			return true
		}
		select {
		case <-other:
		case <-ctx.Done():
			return false
		}
	}
}

// tryHold takes the account, or returns what is closed when the session ends that has it.
func (srv *Server) tryHold(id store.AccountID) (other chan struct{}) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if other = srv.held[id]; other == nil {
		srv.held[id] = make(chan struct{})
	}
	return other
}

func (srv *Server) release(id store.AccountID) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if held := srv.held[id]; held != nil { // nil: a shared session ended before
		close(held)
		delete(srv.held, id)
	}
}
