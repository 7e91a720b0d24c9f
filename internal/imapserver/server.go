package imapserver

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// Options of New. Zero values mean the defaults.
type Options struct {
	Log         *slog.Logger // required
	Events      *telemetry.Sink
	Texts       *search.Index // nil: SEARCH reads every message
	MessageMax  int64         // octets; default MessageMax
	SessionsMax int           // of one account; default 100
	// SessionsPerAddressMax is for one account from one address; default 30.
	SessionsPerAddressMax int
	LoginTime             time.Duration // from the greeting to the login; default 1 min
	IdleTime              time.Duration // silence after login; default 31 min
	ProgressEvery         time.Duration // between words of a long search; default 10 s
	SubmitUsers           []string      // login names of submission servers (RFC 4467 §3)
	LiteralMinus          bool          // offer LITERAL- instead of LITERAL+ (RFC 7888)
	Offer                 []string      // of Optional
	Cuts                  []Cut
	// ApplePush returns the topic of pushes to Apple's devices, "" while there are
	// none; nil: never. It may not wait.
	ApplePush       func() string
	ShareWithAnyone bool // users may give rights to anyone in their domain
	// MessageLimit is how many messages one command may be for, SaveLimit how
	// many one COPY or APPEND (RFC 9738); 0: any number. Not both are set.
	MessageLimit, SaveLimit int

	cuts []cutRule
}

// Server makes sessions.
type Server struct {
	store *store.Store
	auth  *auth.Auth
	opts  atomic.Pointer[Options]

	commands map[string]*command
	caps     string // of the command table

	mu       sync.Mutex
	busy     context.Context
	sessions map[place]int // of an account, and of an account from one address
}

// place is where sessions are counted; the zero address is everywhere.
type place struct {
	account store.AccountID
	from    netip.Addr
}

// ALPN is the protocol's name in TLS (RFC 8314 §3.3 and IANA's registry).
const ALPN = "imap"

// Refuse is what a connection over the limits hears.
const Refuse = "* BYE [UNAVAILABLE] Too many connections; try again later\r\n"

// New returns a server over a store.
func New(s *store.Store, a *auth.Auth, o Options) *Server {
	srv := &Server{store: s, auth: a, sessions: map[place]int{}}
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
	if o.LoginTime == 0 {
		o.LoginTime = loginTimeMax
	}
	if o.IdleTime == 0 {
		o.IdleTime = idleTimeMax
	}
	if o.SessionsPerAddressMax == 0 {
		o.SessionsPerAddressMax = sessionsPerAddressMax
	}
	if o.ProgressEvery == 0 {
		o.ProgressEvery = progressEvery
	}
	o.cuts = cutRules(&o)
	srv.opts.Store(&o)
}

// On returns what serves the connections of a listener. Its name is for cuts.
func (srv *Server) On(listener string) netserver.Handler {
	return func(ctx context.Context, c *netserver.Conn) { srv.handle(ctx, c, listener) }
}

func (srv *Server) handle(ctx context.Context, c *netserver.Conn, listener string) {
	s := newSession(srv, c, listener)
	s.busy = srv.commandContext(ctx)
	s.greet()
	s.serve(ctx)
}

// commandContext returns the context of all commands, which outlives that of
// the connections by commandGrace: a running command ends when the server stops.
func (srv *Server) commandContext(ctx context.Context) context.Context {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	if srv.busy == nil {
		busy, cancel := context.WithCancel(context.WithoutCancel(ctx))
		context.AfterFunc(ctx, func() { time.AfterFunc(commandGrace, cancel) })
		srv.busy = busy
	}
	return srv.busy
}

// places returns where a session counts: loopback stands for many people.
func (p place) places() []place {
	all := []place{{account: p.account}}
	if p.from.IsValid() && !p.from.IsLoopback() {
		all = append(all, p)
	}
	return all
}

// enter counts a session of an account, and reports whether it may be.
func (srv *Server) enter(p place) bool {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	o, places := srv.opts.Load(), p.places()
	limits := [...]int{o.SessionsMax, o.SessionsPerAddressMax}
	for i, q := range places {
		if srv.sessions[q] >= limits[i] {
			return false
		}
	}
	for _, q := range places {
		srv.sessions[q]++
	}
	return true
}

func (srv *Server) leave(p place) {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	for _, q := range p.places() {
		if srv.sessions[q]--; srv.sessions[q] == 0 {
			delete(srv.sessions, q)
		}
	}
}
