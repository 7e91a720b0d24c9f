package imapserver

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
)

// Options of New. Zero values mean the defaults.
type Options struct {
	Log          *slog.Logger // required
	MessageMax   int64        // octets; default MessageMax
	SessionsMax  int          // of one account; default 100
	LiteralMinus bool         // offer LITERAL- instead of LITERAL+ (RFC 7888)
}

// Server makes sessions.
type Server struct {
	store *store.Store
	auth  *auth.Auth
	opts  atomic.Pointer[Options]

	commands map[string]*command
	caps     string // of the command table

	mu       sync.Mutex
	sessions map[store.AccountID]int
}

// ALPN is the protocol's name in TLS (RFC 8314 §3.3 and IANA's registry).
const ALPN = "imap"

// Refuse is what a connection over the limits hears.
const Refuse = "* BYE [UNAVAILABLE] Too many connections; try again later\r\n"

// New returns a server over a store.
func New(s *store.Store, a *auth.Auth, o Options) *Server {
	srv := &Server{store: s, auth: a, sessions: map[store.AccountID]int{}}
	srv.Configure(o)
	srv.commands, srv.caps = index(commands)
	return srv
}

// Configure sets the options of sessions that begin from now on.
func (srv *Server) Configure(o Options) {
	if o.MessageMax == 0 {
		o.MessageMax = MessageMax
	}
	if o.SessionsMax == 0 {
		o.SessionsMax = sessionsMax
	}
	srv.opts.Store(&o)
}

// Handle serves one connection (netserver.Handler).
func (srv *Server) Handle(ctx context.Context, c *netserver.Conn) {
	s := newSession(srv, c)
	defer s.end()
	s.serve(ctx)
}

// enter counts a session of an account, and reports whether it may be.
func (srv *Server) enter(id store.AccountID) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.sessions[id] >= srv.opts.Load().SessionsMax {
		return false
	}
	srv.sessions[id]++
	return true
}

func (srv *Server) leave(id store.AccountID) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.sessions[id]--; srv.sessions[id] == 0 {
		delete(srv.sessions, id)
	}
}
