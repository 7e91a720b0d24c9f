// Package telemetry is told of each thing that finished, whether it went well or
// not, and makes two things of it: a line of the log, whose keys are always
// the same (session, account, cmd, kind, took, octets_in, octets_out, as far
// as they apply), and the figures that /metrics shows. No event carries what a
// message, a password or a search says.
//
// Invariants:
//
//  1. Every label of a figure comes from a closed list, never from a client:
//     their number is bounded.
//  2. A command allocates nothing while its line is not logged, and costs about
//     a hundredth of the shortest round trip.
package telemetry

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/angarium/angarium/internal/errs"
)

// Sink is safe for concurrent use. A nil one is told in vain.
type Sink struct {
	log      *slog.Logger
	slow     atomic.Int64 // time.Duration from which on a command is slow; 0: none is
	registry *prometheus.Registry

	commands   *prometheus.HistogramVec      // protocol, cmd, kind
	in, out    map[string]prometheus.Counter // octets by protocol
	recipients *prometheus.HistogramVec      // kind
	logins     *prometheus.CounterVec        // service, kind
	begun      *prometheus.CounterVec        // protocol
	open       *prometheus.GaugeVec          // protocol
	panics     prometheus.Counter
	store      *prometheus.CounterVec // event
	pushes     *prometheus.CounterVec // result
}

// protocols are those that have commands.
var protocols = []string{"imap", "pop3", "lmtp"}

// seconds are the bounds of the histograms: from what memory answers to what
// limits end.
var seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New returns a Sink that writes to a log.
func New(log *slog.Logger) *Sink {
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds}, labels)
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	octets := counter("angarium_octets_total", "Octets of commands and their answers.", "protocol", "direction")
	e := &Sink{
		log: log, in: map[string]prometheus.Counter{}, out: map[string]prometheus.Counter{}, registry: prometheus.NewRegistry(),
		commands:   histogram("angarium_command_seconds", "Time that commands took, without what was waiting for the client.", "protocol", "cmd", "kind"),
		recipients: histogram("angarium_delivery_seconds", "Time that a delivery to one recipient took.", "kind"),
		logins:     counter("angarium_logins_total", "Attempts to log in.", "service", "kind"),
		begun:      counter("angarium_sessions_total", "Connections that were served.", "protocol"),
		open:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "angarium_sessions", Help: "Connections that are open."}, []string{"protocol"}),
		panics:     prometheus.NewCounter(prometheus.CounterOpts{Name: "angarium_panics_total", Help: "Sessions that ended by a panic: please report them."}),
		store:      counter("angarium_store_events_total", "What the store told: stopped, finding, compaction.", "event"),
		pushes:     counter("angarium_apple_pushes_total", "What came of pushes to Apple's devices: sent, gone, later, refused, dropped.", "result"),
	}
	for _, p := range protocols {
		e.in[p], e.out[p] = octets.WithLabelValues(p, "in"), octets.WithLabelValues(p, "out")
	}
	e.Register(e.commands, octets, e.recipients, e.logins, e.begun, e.open, e.panics, e.store, e.pushes)
	return e
}

// Register adds figures that are read where they are kept. Each name may be
// there once.
func (e *Sink) Register(c ...prometheus.Collector) { e.registry.MustRegister(c...) }

// Figures returns all figures as they are now.
func (e *Sink) Figures() prometheus.Gatherer { return e.registry }

// Command is a command that was answered, or whose session ended.
type Command struct {
	Protocol         string // one of protocols
	Session, Account string
	Name             string // as the protocol's table has it
	Kind             string // of the answer
	Took             time.Duration
	Client           time.Duration // how much of it was waiting for the client
	In, Out          int64         // octets
	// What may explain its time:
	Mailbox  string        // that was selected
	Messages int64         // that it looked at
	Turn     time.Duration // of Took: waiting for a processor, while other commands computed
	Commit   time.Duration // of Took: the change and its way to the disk, and waiting for other changes of the account
}

// SetSlow makes commands slow that take so long or longer, what waits for the
// client not counted; 0: none is.
func (e *Sink) SetSlow(d time.Duration) { e.slow.Store(int64(d)) }

// isSlow reports whether to warn of a command. Wrong passwords are slowed down
// on purpose.
func (e *Sink) isSlow(c *Command) bool {
	slow := e.slow.Load()
	return slow > 0 && int64(c.Took-c.Client) >= slow && c.Kind != kinds[errs.BadAuth]
}

// Command is told of every command of every session.
func (e *Sink) Command(ctx context.Context, c *Command) {
	if e == nil {
		return
	}
	e.commands.WithLabelValues(c.Protocol, c.Name, c.Kind).Observe((c.Took - c.Client).Seconds())
	e.in[c.Protocol].Add(float64(c.In))
	e.out[c.Protocol].Add(float64(c.Out))
	if e.log.Enabled(ctx, slog.LevelDebug) {
		e.log.LogAttrs(ctx, slog.LevelDebug, c.Protocol+"_command", c.attrs()...)
	}
	if e.isSlow(c) {
		e.log.LogAttrs(ctx, slog.LevelWarn, "slow_command", append(c.attrs(), slog.String("protocol", c.Protocol),
			slog.String("mailbox", c.Mailbox), slog.Int64("messages", c.Messages), slog.Duration("turn", c.Turn), slog.Duration("commit", c.Commit))...)
	}
}

func (c *Command) attrs() []slog.Attr {
	return []slog.Attr{
		slog.String("session", c.Session), slog.String("account", c.Account), slog.String("cmd", c.Name), slog.String("kind", c.Kind),
		slog.Duration("took", c.Took), slog.Duration("client", c.Client), slog.Int64("octets_in", c.In), slog.Int64("octets_out", c.Out),
	}
}

// Recipient is a delivery over LMTP to one recipient.
type Recipient struct {
	Session, Account string
	Took             time.Duration
	In               int64 // octets of the message
	Err              error // why it was not taken
}

// Recipient is told of every recipient of every message.
func (e *Sink) Recipient(r *Recipient) {
	if e == nil {
		return
	}
	kind := KindOf(r.Err)
	e.recipients.WithLabelValues(kind).Observe(r.Took.Seconds())
	args := []any{"session", r.Session, "account", r.Account, "kind", kind, "took", r.Took, "octets_in", r.In}
	if r.Err != nil {
		e.log.Warn("lmtp_recipient: the message was not taken", append(args, "error", r.Err)...)
		return
	}
	e.log.Info("lmtp_recipient", args...)
}

// Login is told of every attempt to log in; auth writes the line.
func (e *Sink) Login(service string, err error) {
	if e != nil {
		e.logins.WithLabelValues(service, KindOf(err)).Inc()
	}
}

// Began is told of every connection that is served.
func (e *Sink) Began(protocol string) {
	if e != nil {
		e.begun.WithLabelValues(protocol).Inc()
		e.open.WithLabelValues(protocol).Inc()
	}
}

// Session is a connection that ended.
type Session struct {
	Protocol, Session string
	Took              time.Duration
	In, Out           int64 // octets
	Panicked          bool
}

// Ended is told of every connection that Began was told of.
func (e *Sink) Ended(s *Session) {
	if e == nil {
		return
	}
	e.open.WithLabelValues(s.Protocol).Dec()
	if s.Panicked {
		e.panics.Inc()
	}
	e.log.Debug(s.Protocol+"_session", "session", s.Session, "took", s.Took, "octets_in", s.In, "octets_out", s.Out)
}

// What the store tells.
const (
	StoreStopped = "stopped"    // it takes no changes any more
	StoreFinding = "finding"    // damage was met
	StoreCompact = "compaction" // space was given back
)

// Store is told of what the store tells; the owner writes the line.
func (e *Sink) Store(event string) {
	if e != nil {
		e.store.WithLabelValues(event).Inc()
	}
}

// What comes of a push to a device of Apple's.
const (
	PushSent    = "sent"
	PushGone    = "gone"    // the device takes none any more: its registration is removed
	PushLater   = "later"   // Apple takes none now: it waits
	PushRefused = "refused" // Apple does not take it
	PushDropped = "dropped" // too much waits
)

// ApplePush is told of every push; the sender writes the line.
func (e *Sink) ApplePush(result string) {
	if e != nil {
		e.pushes.WithLabelValues(result).Inc()
	}
}
