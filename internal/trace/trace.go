package trace

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/errs"
)

// Limits of one trace.
const (
	TimeDefault = time.Hour
	TimeMax     = 7 * 24 * time.Hour
	sessionMax  = 16 << 20  // octets of one session's file
	totalMax    = 128 << 20 // octets of all files
	sessionsMax = 1000      // files
)

// All is the protocol of a trace of all protocols.
const All = "all"

// Protocols are those that can be traced.
var Protocols = []string{"imap", "pop3", "lmtp", All}

// Options of Begin.
type Options struct {
	User     string // an account's name
	Protocol string // of Protocols
	Time     time.Duration
	Bodies   bool // messages are written whole
	// Limits; 0: those of this package.
	SessionMax, TotalMax int64
}

// Info is what a trace is and how far it is.
type Info struct {
	User     string    `json:"user"`
	Protocol string    `json:"protocol"`
	Bodies   bool      `json:"bodies"`
	Begun    time.Time `json:"begun"`
	Until    time.Time `json:"until"`
	Dir      string    `json:"dir"`
	Sessions int       `json:"sessions"` // that were written
	Octets   int64     `json:"octets"`
}

// Trace is that of one user.
type Trace struct {
	opts  Options
	log   *slog.Logger
	over  atomic.Bool // only goes up; what is told afterwards is not written
	timer *time.Timer

	mu   sync.Mutex
	info Info
	taps map[*Tap]bool // that are open
}

// Begin begins a trace in a directory below dir, of the user's name.
func Begin(dir string, o Options, log *slog.Logger) (*Trace, error) {
	const op = "trace.Begin"
	if o.Time <= 0 || o.Time > TimeMax {
		return nil, errs.New(op, errs.Invalid, fmt.Sprintf("a trace takes more than no time and at most %d hours; none was begun", int(TimeMax.Hours())))
	}
	dir = filepath.Join(dir, url.PathEscape(o.User))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.As(op, errs.Temporary, "the directory "+dir+" cannot be made; nothing is traced: "+err.Error(), err)
	}
	now := time.Now()
	t := newTrace(dir, o, log, now, now.Add(o.Time))
	if err := t.keep(); err != nil {
		return nil, errs.As(op, errs.Temporary, "the directory "+dir+" cannot be written; nothing is traced: "+err.Error(), err)
	}
	t.start()
	return t, nil
}

func newTrace(dir string, o Options, log *slog.Logger, begun, until time.Time) *Trace {
	o.SessionMax, o.TotalMax = cmp.Or(o.SessionMax, sessionMax), cmp.Or(o.TotalMax, totalMax)
	return &Trace{opts: o, log: log, taps: map[*Tap]bool{},
		info: Info{User: o.User, Protocol: o.Protocol, Bodies: o.Bodies, Begun: begun, Until: until, Dir: dir}}
}

// start lets the trace end at its time.
func (t *Trace) start() {
	t.mu.Lock() // until the timer is there
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(time.Until(t.info.Until), func() { t.End("its time is over") })
}

// Info returns what the trace is and how far it is.
func (t *Trace) Info() Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info
}

// Over reports whether the trace has ended.
func (t *Trace) Over() bool { return t.over.Load() }

// Has reports whether sessions of a protocol are traced.
func (t *Trace) Has(protocol string) bool {
	return !t.Over() && (t.opts.Protocol == All || t.opts.Protocol == protocol)
}

// End ends the trace. why is for the log.
func (t *Trace) End(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(why, nil)
}

// Pause is for when the server stops: the trace goes on with the next one.
func (t *Trace) Pause() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeLocked("the trace pauses: the server stops")
}

// endLocked ends the trace once.
func (t *Trace) endLocked(why string, err error) {
	if !t.closeLocked("the trace ends: " + why) {
		return
	}
	err = errors.Join(err, forget(t.info.Dir))
	log := t.log.With("account", t.info.User, "why", why, "sessions", t.info.Sessions, "octets", t.info.Octets)
	if err != nil {
		log.Warn("trace_ended", "error", err)
		return
	}
	log.Info("trace_ended")
}

// closeLocked closes the files, with a last word, and reports whether they were
// open.
func (t *Trace) closeLocked(note string) bool {
	if t.over.Swap(true) {
		return false
	}
	t.timer.Stop()
	for p := range t.taps {
		p.note(note)
		p.closeLocked()
	}
	return true
}

// Session is what a trace tells of a session.
type Session struct {
	Protocol, ID string
	Remote       netip.AddrPort // the zero value for a UNIX socket
	TLS          bool
	About        string // what the trace begins with, beside that; or ""
}

func (s *Session) text() string {
	from, tls := "a UNIX socket", "no TLS"
	if s.Remote.IsValid() {
		from = s.Remote.String()
	}
	if s.TLS {
		tls = "TLS"
	}
	text := s.Protocol + " session " + s.ID + " from " + from + ", " + tls
	if s.About != "" {
		text += ": " + s.About
	}
	return text
}

// Tap opens the file of a session. knows tells that the caller is the session
// itself, between two lines; else what comes is written from the next command
// on, since what is under way is not understood. It returns nil when there is
// nothing to be told.
func (t *Trace) Tap(s Session, knows bool) *Tap {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.Over() {
		return nil
	}
	if t.info.Sessions >= sessionsMax {
		t.endLocked("it has written as many sessions as it may", nil)
		return nil
	}
	f, err := os.OpenFile(filepath.Join(t.info.Dir, s.Protocol+"-"+s.ID+".txt"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.endLocked("a file cannot be made", err)
		return nil
	}
	p := &Tap{t: t, file: f, protocol: s.Protocol, begun: knows}
	t.taps[p] = true
	if info, err := f.Stat(); err == nil && info.Size() == 0 { // an LMTP session may have had a message for the user before
		t.info.Sessions++
	}
	p.note(s.text())
	p.flush()
	return p
}
