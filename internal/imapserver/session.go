package imapserver

import (
	"context"
	"errors"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
)

// states is a set of the states of RFC 3501 §3.
type states uint8

const (
	notAuthenticated states = 1 << iota
	authenticated
	selected
	loggedOut

	anyState   = notAuthenticated | authenticated | selected
	afterLogin = authenticated | selected
)

// session is one connection.
type session struct {
	srv   *Server
	opts  *Options
	conn  *netserver.Conn
	dec   *imapwire.Decoder
	state states
	user  auth.Identity
	place place
	own   *tree
	stop  func() // of the watch
	view  *view  // nil unless selected
	begun time.Time
	cut   cutSet // capabilities that the session does not have
	// What decides over them, beside the user.
	listener string
	client   clientID
	// enabled is what the client turned on.
	enabled features
	notify  *notify      // nil: NOTIFY was not used
	notes   []store.Note // of METADATA, as far as the client was told of them
	decoded decodedPlace // of the last BINARY[…]<…>
	bad     int          // commands since a good one; before login: in all
	// idling tells that the command is IDLE and that DONE has not come.
	idling bool
	busy   context.Context // of commands (Server.commandContext)

	// Of the running command.
	row   *command
	byUID bool
	// numbered tells that it means messages by their numbers, with UID too.
	numbered bool
	tag      string
	code     string // response code of the tagged OK, without brackets
	// limited is that of MESSAGELIMIT when not all messages could be had.
	limited string
	// changed tells that it changed the account.
	changed bool
	meter   netserver.Meter
	looked  int64         // at so many messages
	commit  time.Duration // that changes took
	turn    time.Duration // that was waited for turns
}

func newSession(srv *Server, c *netserver.Conn, listener string) *session {
	s := &session{srv: srv, opts: srv.opts.Load(), conn: c, state: notAuthenticated, begun: time.Now(), listener: listener}
	s.dec = imapwire.NewDecoder(source{s})
	s.recut()
	return s
}

// source is the decoder's view of the connection.
type source struct{ s *session }

func (r source) ReadLine(max int) ([]byte, error) { return r.s.conn.ReadLine(max) }
func (r source) Read(p []byte) (int, error)       { return r.s.conn.Read(p) }
func (r source) Continue() error {
	r.s.line("+ OK")
	return r.s.conn.Flush()
}

// serve runs the session until it ends, or until the connection sleeps, to be called
// again then.
func (s *session) serve(ctx context.Context) {
	asleep := false
	defer func() {
		if !asleep {
			s.end()
		}
	}()
	for s.state != loggedOut {
		if err := s.step(); err != nil {
			if asleep = err == netserver.ErrAsleep; !asleep {
				s.hangUp(ctx, err)
			}
			return
		}
	}
}

func (s *session) greet() {
	s.line("* OK [CAPABILITY " + s.capabilities() + "] Angarium ready")
}

// step runs one command, or one turn of IDLE.
func (s *session) step() error {
	if s.idling {
		return s.idle()
	}
	if err := s.await(); err != nil {
		return err
	}
	return s.command()
}

// await waits for the next command, as long as the state allows.
func (s *session) await() error {
	if s.state == notAuthenticated {
		s.conn.SetReadDeadline(s.begun.Add(s.opts.LoginTime))
	} else {
		s.conn.SetReadTimeout(s.opts.IdleTime)
	}
	if s.notify == nil {
		return s.conn.Await()
	}
	for !s.conn.HasLine() {
		if err := s.checkAccess(); err != nil {
			return err
		}
		if err := s.tellEvents(s.busy); err != nil {
			return err
		}
		if err := s.conn.Flush(); err != nil {
			return err
		}
		if woken, err := s.conn.ParkForWake(); err != nil || !woken {
			return err
		}
	}
	return nil
}

// hangUp says why the server ends the session.
func (s *session) hangUp(ctx context.Context, err error) {
	var bye *byeError
	switch {
	case errors.As(err, &bye):
		s.line("* BYE " + bye.text)
	case ctx.Err() != nil:
		s.line("* BYE [UNAVAILABLE] The server is stopping; please connect again")
	case errors.Is(err, netserver.ErrTimeout) && s.state == notAuthenticated:
		s.line("* BYE Nobody logged in")
	case errors.Is(err, netserver.ErrTimeout):
		s.line("* BYE Silent for too long")
	case errors.Is(err, netserver.ErrCompression):
		s.line("* BYE The compressed data is damaged")
	case errors.Is(err, netserver.ErrLineTooLong), errors.Is(err, imapwire.ErrTooMuch):
		s.line("* BYE [LIMIT] The command is too long")
	}
}

// byeError ends a session with a text.
type byeError struct{ text string }

func (e *byeError) Error() string { return e.text }

// login enters the authenticated state.
func (s *session) login(id auth.Identity) error {
	s.place = place{id.Account, s.conn.Remote().Addr()}
	if !s.srv.enter(s.place) {
		return &refusal{"LIMIT", "too many sessions of this account"}
	}
	acct, err := s.srv.store.Account(s.busy, id.Account)
	if err != nil {
		s.srv.leave(s.place)
		return errs.Wrap("imapserver.login", err)
	}
	s.user, s.state = id, authenticated
	s.own = s.treeOf(acct, id.Name, "")
	s.stop = acct.Watch(s.conn.Wake)
	s.conn.Known()
	s.conn.MaySleep(s.serve)
	s.conn.LargeOutput(true)
	s.conn.SetUser(id.Name, "")
	s.dec.SetLimits(imapwire.AfterLogin)
	s.recut()
	s.code = "CAPABILITY " + s.capabilities()
	return nil
}

// errRevoked ends a session whose user could not log in any more.
var errRevoked = &byeError{"The account or its password was changed: log in again"}

// checkAccess fails once whoever logged in may not be here any more.
func (s *session) checkAccess() error {
	if s.state != notAuthenticated && !s.srv.auth.Holds(s.busy, s.user) {
		return errRevoked
	}
	return nil
}

// end lets go of what the session held.
func (s *session) end() {
	if s.own != nil {
		s.closeView()
		s.forgetEvents()
		s.stop()
		s.srv.leave(s.place)
	}
}
