package lmtpserver

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/smtpwire"
	"github.com/angarium/angarium/internal/telemetry"
)

// session is one connection.
type session struct {
	srv    *Server
	opts   *Options
	conn   *netserver.Conn
	client string // as it named itself in LHLO; "" before
	bad    int

	// Of the running command.
	meter netserver.Meter
	kind  string // of its answer

	// Of the transaction.
	mail  bool // MAIL was given
	from  string
	rcpts []recipient
	stage *incoming // BDAT has begun
}

// recipient is one that RCPT accepted.
type recipient struct {
	address string // as given
	directory.Recipient
}

// errEnd ends the session after an answer.
var errEnd = errors.New("the session ends")

func (s *session) serve(ctx context.Context) {
	s.conn.SetReadTimeout(s.opts.IdleTime)
	s.reply("220 " + s.opts.Hostname + " LMTP Angarium ready")
	// A running transaction is finished when the server stops.
	busy := context.WithoutCancel(ctx)
	for {
		err := s.conn.Await()
		if err == nil {
			err = s.step(busy)
		}
		if err != nil {
			if err != errEnd {
				s.hangUp(ctx, err)
			}
			return
		}
	}
}

// step reads and runs one command, and tells of it.
func (s *session) step(ctx context.Context) error {
	s.meter.Start(s.conn)
	s.conn.SetReadDeadline(time.Now().Add(s.opts.IdleTime)) // for the whole line
	line, err := s.conn.ReadLine(smtpwire.LineMax)
	s.conn.SetReadTimeout(s.opts.IdleTime)
	if err != nil {
		return err
	}
	s.meter.Begin(s.conn)
	s.kind = telemetry.OK
	verb, arg := smtpwire.SplitCommand(string(line))
	err = s.command(ctx, verb, arg)
	e := telemetry.Command{Protocol: "lmtp", Name: "unknown", Kind: s.kind}
	if verbs[verb] != nil {
		e.Name = verb
	}
	if err != nil && err != errEnd {
		e.Kind = telemetry.Ended
	}
	s.meter.End(s.conn, &e)
	s.opts.Events.Command(ctx, &e)
	return err
}

func (s *session) hangUp(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
		s.reply("421 4.3.2 The server is stopping")
	case errors.Is(err, netserver.ErrTimeout):
		s.reply("421 4.4.2 Silent for too long")
	case errors.Is(err, netserver.ErrLineTooLong):
		s.reply("500 5.5.2 The line is too long")
	}
}

// reply sends a reply line. Those that begin with 4 or 5 refuse (RFC 5321
// §4.2.1).
func (s *session) reply(text string) {
	if text[0] >= '4' {
		s.kind = telemetry.Refused
	}
	s.conn.WriteString(text)
	s.conn.WriteString("\r\n")
}

// verbs holds the commands (RFC 5321 §4.1.1, RFC 2033 §4).
var verbs = map[string]func(s *session, ctx context.Context, arg string) error{
	"LHLO":     (*session).lhlo,
	"MAIL":     (*session).mailFrom,
	"RCPT":     (*session).rcptTo,
	"DATA":     (*session).data,
	"BDAT":     (*session).bdat,
	"RSET":     (*session).rset,
	"NOOP":     (*session).noop,
	"VRFY":     (*session).vrfy,
	"QUIT":     (*session).quit,
	"STARTTLS": (*session).startTLS,
}

func (s *session) command(ctx context.Context, verb, arg string) error {
	run := verbs[verb]
	if run != nil {
		return run(s, ctx, arg)
	}
	switch verb {
	case "HELO", "EHLO": // RFC 2033 §4.1
		return s.wrong("500 5.5.1 This is LMTP: say LHLO")
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE":
		s.reply("421 4.7.0 This is an LMTP server")
		return errEnd
	}
	return s.wrong("500 5.5.1 Unknown command")
}

// wrong answers a command that could not be, and ends the session of a client
// that sends nothing else.
func (s *session) wrong(text string) error {
	s.reply(text)
	s.kind = telemetry.Bad
	if s.bad++; s.bad >= badMax {
		s.reply("421 4.7.0 Too many bad commands")
		return errEnd
	}
	return nil
}

func (s *session) lhlo(_ context.Context, arg string) error {
	if arg == "" || strings.ContainsAny(arg, "\x00\r\n") {
		return s.wrong("501 5.5.4 LHLO needs the client's name")
	}
	s.reset()
	s.client = arg
	lines := []string{s.opts.Hostname, "PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME",
		"SIZE " + strconv.FormatInt(s.opts.MessageMax, 10)}
	if s.conn.TLSAvailable() {
		lines = append(lines, "STARTTLS")
	}
	for i, l := range lines {
		if i < len(lines)-1 {
			s.reply("250-" + l)
		} else {
			s.reply("250 " + l)
		}
	}
	return nil
}

func (s *session) mailFrom(_ context.Context, arg string) error {
	switch {
	case s.client == "":
		return s.wrong("503 5.5.1 Say LHLO first")
	case s.mail:
		return s.wrong("503 5.5.1 There is a sender already")
	case s.conn.Strained():
		s.reply("452 4.3.2 The server is short of memory; try again in a minute")
		return nil
	}
	p, err := smtpwire.ParsePath(arg, "FROM")
	if err != nil {
		return s.wrong("501 5.5.4 Syntax: MAIL FROM:<address>")
	}
	for name, value := range p.Params {
		switch name {
		case "SIZE":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return s.wrong("501 5.5.4 Bad SIZE")
			}
			if n > s.opts.MessageMax { // RFC 1870 §6.1
				s.reply(tooBig)
				return nil
			}
		case "BODY":
			if v := strings.ToUpper(value); v != "7BIT" && v != "8BITMIME" && v != "BINARYMIME" {
				return s.wrong("501 5.5.4 Bad BODY")
			}
		case "SMTPUTF8", "RET", "ENVID", "AUTH": // RFC 6531, RFC 3461, RFC 4954 §5
		default:
			return s.wrong("555 5.5.4 Unknown parameter")
		}
	}
	s.mail, s.from = true, p.Address
	s.reply("250 2.1.0 OK")
	return nil
}

func (s *session) rcptTo(ctx context.Context, arg string) error {
	if !s.mail || s.stage != nil {
		return s.wrong("503 5.5.1 MAIL comes first")
	}
	p, err := smtpwire.ParsePath(arg, "TO")
	if err != nil || p.Address == "" {
		return s.wrong("501 5.1.3 Syntax: RCPT TO:<address>")
	}
	for name := range p.Params {
		if name != "NOTIFY" && name != "ORCPT" { // RFC 3461: the MTA sends the notices, from our replies
			return s.wrong("555 5.5.4 Unknown parameter")
		}
	}
	if len(s.rcpts) >= recipientsMax {
		s.reply("452 4.5.3 Too many recipients")
		return nil
	}
	r, err := s.srv.dir.Resolve(ctx, p.Address)
	if err != nil {
		s.reply(kindReplies[errs.KindOf(err)] + " <" + printable(p.Address) + "> " + errs.PublicText(err))
		return nil
	}
	s.rcpts = append(s.rcpts, recipient{p.Address, r})
	s.conn.AddUser(r.Name, "a message from <"+s.from+"> to <"+p.Address+">")
	s.reply("250 2.1.5 OK")
	return nil
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}

func (s *session) rset(context.Context, string) error {
	s.reset()
	s.reply("250 2.0.0 OK")
	return nil
}

// reset ends the transaction.
func (s *session) reset() {
	if s.stage != nil {
		s.stage.discard()
	}
	if len(s.rcpts) > 0 {
		s.conn.SetUser("", "")
	}
	s.mail, s.from, s.rcpts, s.stage = false, "", nil, nil
}

func (s *session) noop(context.Context, string) error {
	s.reply("250 2.0.0 OK")
	return nil
}

// vrfy tells nobody who has an account (RFC 5321 §7.3).
func (s *session) vrfy(context.Context, string) error {
	s.reply("252 2.5.0 Send mail and see")
	return nil
}

func (s *session) quit(context.Context, string) error {
	s.reply("221 2.0.0 Bye")
	return errEnd
}

// startTLS is STARTTLS (RFC 3207); all that was said before is forgotten.
func (s *session) startTLS(ctx context.Context, _ string) error {
	if !s.conn.TLSAvailable() {
		return s.wrong("502 5.5.1 TLS is not available")
	}
	s.reset()
	s.client = ""
	s.reply("220 2.0.0 Begin TLS")
	if err := s.conn.Flush(); err != nil {
		return err
	}
	return s.conn.StartTLS(ctx)
}
