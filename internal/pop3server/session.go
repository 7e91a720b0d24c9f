package pop3server

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// session is one connection.
type session struct {
	srv   *Server
	opts  *Options
	conn  *netserver.Conn
	begun time.Time
	bad   int
	user  string // of USER
	busy  context.Context

	// Of the running command.
	meter  netserver.Meter
	failed error // what it was answered; nil: well

	// After login.
	id   auth.Identity
	acct *store.Account
	drop *maildrop
}

// errEnd ends the session after an answer.
var errEnd = errors.New("the session ends")

// Answers of the protocol's own that are not OK.
var (
	errWrong   = errors.New("no command")
	errRefused = errors.New("not possible")
)

func (s *session) serve(ctx context.Context) {
	s.busy = context.WithoutCancel(ctx)
	s.line("+OK Angarium ready")
	for {
		if err := s.await(); err != nil {
			s.hangUp(ctx, err)
			return
		}
		if err := s.step(); err != nil {
			s.hangUp(ctx, err)
			return
		}
	}
}

// step reads and runs one command.
func (s *session) step() error {
	s.failed = nil
	s.meter.Start(s.conn)
	line, err := s.conn.ReadLine(lineMax)
	if err != nil {
		return err
	}
	s.meter.Begin(s.conn)
	verb, arg, _ := strings.Cut(string(line), " ")
	verb = strings.ToUpper(verb)
	if s.drop != nil && !s.srv.auth.Holds(s.busy, s.id) {
		s.refuse("[AUTH] The account or its password was changed: log in again; nothing was deleted")
		err = errEnd
	} else {
		err = s.command(verb, arg)
	}
	s.finished(verb, err)
	return err
}

// finished tells of a command that was answered, or that ended the session.
func (s *session) finished(verb string, err error) {
	e := telemetry.Command{Protocol: "pop3", Account: s.id.Name, Name: "unknown", Kind: telemetry.OK}
	if _, ok := commands[verb]; ok || verb == "QUIT" || verb == "CAPA" {
		e.Name = verb
	}
	switch {
	case err != nil && err != errEnd:
		e.Kind = telemetry.Ended
	case s.failed == errWrong:
		e.Kind = telemetry.Bad
	case s.failed == errRefused:
		e.Kind = telemetry.Refused
	default:
		e.Kind = telemetry.KindOf(s.failed)
	}
	s.meter.End(s.conn, &e)
	s.opts.Events.Command(s.busy, &e)
}

func (s *session) await() error {
	s.conn.SetReadTimeout(s.opts.IdleTime)
	if s.drop == nil {
		s.conn.SetReadDeadline(s.begun.Add(s.opts.LoginTime))
	}
	return s.conn.Await()
}

// hangUp says why the server ends the session, where POP3 lets it.
func (s *session) hangUp(ctx context.Context, err error) {
	switch {
	case err == errEnd:
	case ctx.Err() != nil:
		s.line("-ERR [SYS/TEMP] The server is stopping")
	case errors.Is(err, netserver.ErrTimeout):
		s.line("-ERR [SYS/TEMP] Silent for too long; nothing was deleted")
	case errors.Is(err, netserver.ErrLineTooLong):
		s.line("-ERR The line is too long")
	}
}

func (s *session) line(text string) {
	s.conn.WriteString(text)
	s.conn.WriteString(crlf)
}

// kindCodes gives the response code of each kind of failure (RFC 2449 §8,
// RFC 3206).
var kindCodes = map[errs.Kind]string{
	errs.Internal:  "[SYS/TEMP]",
	errs.Temporary: "[SYS/TEMP]",
	errs.NotFound:  "[SYS/PERM]",
	errs.Exists:    "[SYS/PERM]",
	errs.Denied:    "[SYS/PERM]",
	errs.BadAuth:   "[AUTH]",
	errs.Invalid:   "[SYS/PERM]",
	errs.OverQuota: "[SYS/PERM]",
	errs.TooBig:    "[SYS/PERM]",
	errs.Limit:     "[SYS/TEMP]",
	errs.InUse:     "[IN-USE]",
	errs.Expunged:  "[SYS/PERM]",
	errs.NotHome:   "[SYS/TEMP]",
	errs.Corrupt:   "[SYS/PERM]",
	errs.NoSpace:   "[SYS/TEMP]",
	errs.Conflict:  "[SYS/TEMP]",
}

// fail answers a command that could not be done.
func (s *session) fail(err error) {
	s.failed = err
	kind := errs.KindOf(err)
	if kind == errs.Internal || kind == errs.Corrupt {
		s.opts.Log.Error("a POP3 command failed", "session", s.conn.ID(), "account", s.id.Name, "error", err)
	}
	s.line("-ERR " + kindCodes[kind] + " " + errs.PublicText(err))
}

// refuse answers a command that makes no sense now.
func (s *session) refuse(text string) {
	s.line("-ERR " + text)
	s.failed = errRefused
}

// wrong answers what was no command, and ends the session of a client that
// sends nothing else.
func (s *session) wrong(text string) error {
	s.line("-ERR " + text)
	s.failed = errWrong
	if s.bad++; s.bad >= badMax || s.drop == nil && s.bad >= badBeforeLoginMax {
		s.line("-ERR Too many bad commands")
		return errEnd
	}
	return nil
}

// command is one row of RFC 1939's list.
type command struct {
	login bool // after login; else before
	run   func(s *session, arg string) error
}

var commands = map[string]command{
	"USER": {false, (*session).userName},
	"PASS": {false, (*session).pass},
	"STLS": {false, (*session).stls},
	"STAT": {true, (*session).stat},
	"LIST": {true, (*session).list},
	"UIDL": {true, (*session).uidl},
	"RETR": {true, (*session).retr},
	"TOP":  {true, (*session).top},
	"DELE": {true, (*session).dele},
	"RSET": {true, (*session).rset},
	"NOOP": {true, (*session).noop},
}

func (s *session) command(verb, arg string) error {
	switch verb {
	case "QUIT":
		return s.quit()
	case "CAPA":
		s.capa()
		return nil
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE":
		s.line("-ERR This is a POP3 server")
		return errEnd
	}
	row, ok := commands[verb]
	switch {
	case !ok:
		return s.wrong("Unknown command")
	case row.login != (s.drop != nil):
		return s.wrong("Not possible in this state")
	}
	return row.run(s, arg)
}

// capa is CAPA (RFC 2449).
func (s *session) capa() {
	s.line("+OK Capabilities follow")
	for _, c := range []string{"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"} {
		s.line(c)
	}
	if s.conn.TLSAvailable() && s.drop == nil {
		s.line("STLS")
	}
	if s.conn.Secure() {
		s.line("USER")
	}
	if !s.opts.Anonymous {
		s.line("IMPLEMENTATION Angarium")
	}
	s.line(".")
}

// stls is STLS (RFC 2595 §4); what was said before is forgotten.
func (s *session) stls(string) error {
	if !s.conn.TLSAvailable() {
		return s.wrong("TLS is not available")
	}
	s.user = ""
	s.line("+OK Begin TLS")
	if err := s.conn.Flush(); err != nil {
		return err
	}
	return s.conn.StartTLS(s.busy)
}

func (s *session) userName(arg string) error {
	if !s.conn.Secure() {
		return s.wrong("[AUTH] Passwords are taken over TLS only")
	}
	if arg == "" {
		return s.wrong("Syntax: USER name")
	}
	s.user = arg
	s.line("+OK Now PASS") // whether the name exists or not
	return nil
}

func (s *session) pass(arg string) error {
	if s.user == "" {
		return s.wrong("USER comes first")
	}
	id, err := s.srv.auth.Login(s.busy, auth.Attempt{Service: "pop3", Mechanism: "PLAIN", User: s.user, Password: arg,
		Remote: s.conn.Remote(), Local: s.conn.Local(), TLS: s.conn.IsTLS(), Session: s.conn.ID()})
	s.user = ""
	if err == nil {
		err = s.open(id)
	}
	if err != nil {
		s.fail(err) // slowed by auth, and bounded by loginTimeMax
		return nil
	}
	s.line("+OK Logged in")
	return nil
}

// open enters the transaction state.
func (s *session) open(id auth.Identity) error {
	if !s.srv.hold(s.busy, id.Account, s.opts) {
		return errs.New("pop3server.open", errs.InUse, "another POP3 session has this account open")
	}
	acct, err := s.srv.store.Account(s.busy, id.Account)
	if err == nil {
		s.drop, err = openDrop(s.busy, acct, s.opts.FlagOnly)
	}
	if err != nil {
		s.srv.release(id.Account)
		return err
	}
	s.id, s.acct = id, acct
	s.conn.Known()
	s.conn.LargeOutput(true)
	s.conn.SetUser(id.Name, "")
	return nil
}

// release lets the next session open the account. It comes before the last answer
// is sent, so that who reads that may come back at once (RFC 1939 §6).
func (s *session) release() {
	if s.drop != nil {
		s.srv.release(s.acct.ID())
	}
}

func (s *session) noop(string) error {
	s.line("+OK")
	return nil
}

// quit is QUIT: the UPDATE state (RFC 1939 §6).
func (s *session) quit() error {
	if s.drop != nil {
		if err := s.drop.update(s.busy, s.acct, s.opts); err != nil {
			s.fail(err)
			return errEnd
		}
	}
	s.line("+OK Bye")
	return errEnd
}
