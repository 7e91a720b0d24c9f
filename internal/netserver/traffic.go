package netserver

import (
	"time"

	"github.com/angarium/angarium/internal/telemetry"
)

// traffic is what a connection counts. It belongs to the goroutine that reads
// and writes.
type traffic struct {
	begun             time.Time
	received, written int64 // octets, inside TLS and compression
	waitBegan         time.Time
	waited            time.Duration // for the client
}

// taken returns how many octets the session took.
func (c *Conn) taken() int64 { return c.received - int64(c.w-c.r) }

// Meter measures one command: its octets and how long it took. What is begun
// while another command waits in the buffer counts for the other.
type Meter struct {
	begun   time.Time
	in, out int64
	waited  time.Duration
}

// Start is for before the command's first line is read.
func (m *Meter) Start(c *Conn) {
	m.in, m.out = c.taken(), c.written
	c.boundary()
}

// Begin is for when that line is there.
func (m *Meter) Begin(c *Conn) { m.begun, m.waited = time.Now(), c.waited }

// End fills in what was measured.
func (m *Meter) End(c *Conn, e *telemetry.Command) {
	e.Session, e.Took, e.Client = c.id, time.Since(m.begun), c.waited-m.waited
	e.In, e.Out = c.taken()-m.in, c.written-m.out
}
