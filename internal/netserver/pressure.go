package netserver

// Pressure is how short of memory the process is, and what is done about it
// (reliability paper 4.4). Each includes those before it.
type Pressure int32

const (
	NoPressure    Pressure = iota
	RefuseNew              // connections
	DropAnonymous          // connections that nobody logged in on
	RefuseWork             // commands that take memory
)

// SetPressure says how short of memory the process is from now on.
func (s *Server) SetPressure(p Pressure) {
	s.pressure.Store(int32(p))
	if p < DropAnonymous {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.mu.anonymous.Len() > 0 {
		s.dropOldestLocked()
	}
}

// dropOldestLocked closes the oldest connection that nobody logged in on.
func (s *Server) dropOldestLocked() {
	oldest := s.mu.anonymous.Front()
	s.mu.anonymous.Remove(oldest)
	oldest.Value.(*Conn).anonymous = nil
	oldest.Value.(*Conn).plain.Close()
}

// Strained reports whether a command that takes memory is to be refused.
func (c *Conn) Strained() bool { return Pressure(c.s.pressure.Load()) >= RefuseWork }
