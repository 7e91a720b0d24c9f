package netserver

import (
	"cmp"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/telemetry"
	"github.com/angarium/angarium/internal/trace"
)

// Handler serves one connection. ctx is cancelled when the server stops, and
// waiting for input ends: the handler then ends the running command and says
// goodbye.
type Handler func(ctx context.Context, c *Conn)

// Options of New.
type Options struct {
	Log           *slog.Logger
	Certificates  *Certificates // nil: no TLS
	TotalMax      int           // default TotalMax
	PerAddressMax int           // default PerAddressMax
	RequireTLS    bool          // loopback is not trusted with passwords either
	HandshakeTime time.Duration // for a TLS handshake; default 30 s
	StalledTime   time.Duration // that a client may take no output; default 5 min
	DozeTime      time.Duration // that a connection waits for a command before it may sleep; default 2 s
	Turns         *fair.Queue   // that connections share with what else works; default one of their own
	Events        *telemetry.Sink
	TraceDir      string // where traces are written; "": nobody is traced
}

// Server owns listeners and connections.
type Server struct {
	opts         Options
	certificates *Certificates
	panics       atomic.Int64
	ctx          context.Context
	cancel       context.CancelFunc
	wg           sync.WaitGroup
	turns        *fair.Queue
	pressure     atomic.Int32
	tracing      sync.Mutex // one StartTrace at a time; taken before mu
	sleepers     sleepers

	mu struct {
		sync.Mutex
		listeners map[net.Listener]bool
		conns     map[*Conn]bool
		anonymous list.List // connections nobody logged in on, oldest first
		addresses map[netip.Prefix]*address
		forgotten time.Time               // when addresses were looked through last
		traces    map[string]*trace.Trace // by user
		stopping  bool
	}
}

// New returns a server without listeners. ctx is the life of all sessions. The
// traces of the server before go on.
func New(ctx context.Context, o Options) *Server {
	s := &Server{opts: o, certificates: o.Certificates, turns: o.Turns}
	if s.turns == nil {
		s.turns = fair.New(time.Now)
	}
	s.sleepers.s = s
	s.SetLimits(o.TotalMax, o.PerAddressMax)
	s.opts.HandshakeTime, s.opts.StalledTime = cmp.Or(o.HandshakeTime, handshakeMax), cmp.Or(o.StalledTime, stalledMax)
	s.opts.DozeTime = cmp.Or(o.DozeTime, dozeTime)
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.mu.listeners, s.mu.conns, s.mu.addresses = map[net.Listener]bool{}, map[*Conn]bool{}, map[netip.Prefix]*address{}
	s.mu.traces = map[string]*trace.Trace{}
	if o.TraceDir != "" {
		s.resumeTraces()
	}
	return s
}

// ListenerOptions say what is served on a listener.
type ListenerOptions struct {
	Protocol    string // for logs
	ImplicitTLS bool
	ALPN        []string
	Refuse      string // sent to a connection over the limits, with its line end
	Handler     Handler
}

// Panics returns how many sessions ended by a panic.
func (s *Server) Panics() int64 { return s.panics.Load() }

// Connections returns how many there are.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.conns)
}

// Turns are those that the work of all connections takes.
func (s *Server) Turns() *fair.Queue { return s.turns }

// Serve accepts connections in the background until the listener is closed.
func (s *Server) Serve(ln net.Listener, o ListenerOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopping {
		ln.Close()
		return
	}
	s.sleepers.open()
	s.mu.listeners[ln] = true
	s.wg.Go(func() { s.accept(ln, o) })
}

// SetRequireTLS replaces that option for connections that begin from now on.
func (s *Server) SetRequireTLS(require bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.RequireTLS = require
}

// SetLimits replaces the limits of connections; those that are stay.
func (s *Server) SetLimits(total, perAddress int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.TotalMax, s.opts.PerAddressMax = cmp.Or(total, TotalMax), cmp.Or(perAddress, PerAddressMax)
}

// CloseListener stops accepting on one listener; its connections go on.
func (s *Server) CloseListener(ln net.Listener) {
	s.mu.Lock()
	delete(s.mu.listeners, ln)
	s.mu.Unlock()
	ln.Close()
}

func (s *Server) accept(ln net.Listener, o ListenerOptions) {
	var config *tls.Config
	if s.certificates != nil {
		config = s.certificates.config(o.ALPN)
	}
	for {
		nc, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.opts.Log.Warn("a connection could not be accepted; waiting a moment", "protocol", o.Protocol, "error", err)
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(100 * time.Millisecond): // out of descriptors, mostly
			}
			continue
		}
		c := newConn(s, nc, config)
		c.listener = &o
		if !s.admit(c, time.Now()) {
			if !o.ImplicitTLS {
				nc.SetWriteDeadline(time.Now().Add(time.Second))
				nc.Write([]byte(o.Refuse))
			}
			nc.Close()
			s.opts.Log.Warn("too many connections, or too little memory: one was refused", "protocol", o.Protocol, "rip", c.Remote().Addr())
			continue
		}
		s.wg.Add(1)
		go s.run(c)
	}
}

// run serves one connection. What stands on the stack here and in handlers
// while a connection is parked decides whether the runtime can halve it: the
// frames are kept small (invariant 2).
func (s *Server) run(c *Conn) {
	s.opts.Events.Began(c.listener.Protocol)
	c.begun = time.Now()
	defer s.end(c)
	if c.listener.ImplicitTLS && !s.begin(c) {
		return
	}
	c.listener.Handler(s.ctx, c)
	c.Flush()
}

// begin does the handshake of implicit TLS.
func (s *Server) begin(c *Conn) bool {
	err := c.handshake(s.ctx)
	if err != nil {
		s.opts.Log.Debug("TLS handshake failed", "protocol", c.listener.Protocol, "rip", c.Remote().Addr(), "error", err)
	}
	return err == nil
}

// end is deferred: it lets go of the connection, unless it sleeps. A panic ends only
// this session.
func (s *Server) end(c *Conn) {
	p := recover()
	if c.asleep && p == nil {
		s.sleepers.add(c)
		return
	}
	defer s.wg.Done()
	o := c.listener
	if p != nil {
		s.panics.Add(1)
		s.opts.Log.Error("a session ended by a panic: please report this", "protocol", o.Protocol, "session", c.ID(), "panic", p, "stack", string(debug.Stack()))
	}
	c.Close()
	c.work.Rest()
	c.release()
	s.leave(c)
	c.SetUser("", "")
	s.opts.Events.Ended(&telemetry.Session{Protocol: o.Protocol, Session: c.ID(), Took: time.Since(c.begun), In: c.received, Out: c.written, Panicked: p != nil})
}

// Shutdown stops accepting, cancels the sessions' context, and waits for them
// until ctx ends; then it closes what is left.
func (s *Server) Shutdown(ctx context.Context) {
	s.cancel()
	s.mu.Lock()
	s.mu.stopping = true
	for ln := range s.mu.listeners {
		ln.Close()
	}
	for c := range s.mu.conns {
		c.Interrupt()
	}
	s.mu.Unlock()
	defer s.sleepers.close()
	defer s.pauseTraces()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.mu.Lock()
		for c := range s.mu.conns {
			c.Close()
		}
		s.mu.Unlock()
		<-done
	}
}
