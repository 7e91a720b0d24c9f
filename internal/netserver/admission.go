package netserver

import (
	"net/netip"
	"time"
)

// Limits of connections (reliability paper 4.4). Loopback and UNIX peers do
// not count per address.
const (
	PerAddressMax    = 100    // connections of one address, IPv6 by /64
	PerAddressNewMax = 300    // that may begin within a minute
	TotalMax         = 16_000 // connections in all
	anonymousShare   = 4      // one in so many may be one that nobody logged in on
)

// address is what is known of one address.
type address struct {
	open  int
	begun int       // since
	since time.Time // at most a minute ago, when begun counts
}

// prefix returns what counts as one address; the zero value is not limited.
func prefix(a netip.Addr) netip.Prefix {
	if !a.IsValid() || a.IsLoopback() {
		return netip.Prefix{}
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// admit counts a connection, and reports whether it may be. When too many are
// there that nobody logged in on, the oldest of them makes room.
func (s *Server) admit(c *Conn, now time.Time) bool {
	p := prefix(c.Remote().Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.stopping || Pressure(s.pressure.Load()) >= RefuseNew || len(s.mu.conns) >= s.opts.TotalMax || p.IsValid() && !s.admitAddressLocked(p, now) {
		return false
	}
	s.mu.conns[c] = true
	c.anonymous = s.mu.anonymous.PushBack(c)
	if s.mu.anonymous.Len() > max(1, s.opts.TotalMax/anonymousShare) {
		s.dropOldestLocked()
	}
	c.secure = c.IsUnix() || c.Remote().Addr().IsLoopback() && !s.opts.RequireTLS
	return true
}

func (s *Server) admitAddressLocked(p netip.Prefix, now time.Time) bool {
	a := s.mu.addresses[p]
	if a == nil {
		s.forgetLocked(now)
		a = &address{since: now}
		s.mu.addresses[p] = a
	}
	if now.Sub(a.since) >= time.Minute {
		a.since, a.begun = now, 0
	}
	if a.open >= s.opts.PerAddressMax || a.begun >= PerAddressNewMax {
		return false
	}
	a.open++
	a.begun++
	return true
}

// forgetLocked drops addresses without connections whose minute is over. It
// looks through all of them once a minute.
func (s *Server) forgetLocked(now time.Time) {
	if now.Sub(s.mu.forgotten) < time.Minute {
		return
	}
	s.mu.forgotten = now
	for p, a := range s.mu.addresses {
		if a.open == 0 && now.Sub(a.since) >= time.Minute {
			delete(s.mu.addresses, p)
		}
	}
}

func (s *Server) leave(c *Conn) {
	p := prefix(c.Remote().Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.conns, c)
	s.knownLocked(c)
	if a := s.mu.addresses[p]; p.IsValid() && a != nil {
		a.open--
	}
}

// Known tells that the peer showed who it is: the connection does not count
// any more among those that make room for others.
func (c *Conn) Known() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.knownLocked(c)
}

func (s *Server) knownLocked(c *Conn) {
	if c.anonymous != nil {
		s.mu.anonymous.Remove(c.anonymous)
		c.anonymous = nil
	}
}

// Unknown takes Known back: nobody is logged in on the connection any more.
func (c *Conn) Unknown() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.anonymous == nil {
		c.anonymous = s.mu.anonymous.PushBack(c)
	}
}
