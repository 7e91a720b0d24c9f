package imapserver

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
)

// webVerbs begin requests of web clients, which cross-protocol attacks send
// here. They are no IMAP tags that any client uses.
var webVerbs = map[string]bool{"GET": true, "POST": true, "PUT": true, "HEAD": true, "OPTIONS": true, "CONNECT": true, "DELETE": true, "PATCH": true, "TRACE": true}

// errAnswered is what a request returns that sent its tagged line itself.
var errAnswered = errors.New("answered")

// badCommand is a BAD with a response code.
type badCommand struct{ code, text string }

func (e *badCommand) Error() string { return e.text }

// errUIDRequired refuses sequence numbers once UIDONLY is enabled (RFC 9586).
var errUIDRequired = &badCommand{"UIDREQUIRED", "sequence numbers are not used any more in this session"}

// errStrained refuses what takes memory when there is little of it.
var errStrained = &refusal{"UNAVAILABLE", "the server is short of memory; nothing was done. Try again in a minute"}

// command reads and runs one command. An error ends the session.
func (s *session) command() error {
	s.tag, s.code, s.limited, s.byUID, s.numbered, s.changed = "", "", "", false, false, false
	s.looked, s.commit, s.turn = 0, 0, 0
	s.meter.Start(s.conn)
	if err := s.dec.Next(); err != nil {
		return err
	}
	s.meter.Begin(s.conn)
	account := s.user.Name
	row, err, end := s.execute()
	s.conn.Work().Done()
	if account == "" {
		account = s.user.Name // who has just logged in
	}
	if !s.idling {
		s.finished(account, row, err, end)
	}
	return end
}

// execute runs the command that was read and answers it. Beside what was wrong
// with the command it returns the error that ends the session.
func (s *session) execute() (row *command, err, end error) {
	if err := s.checkAccess(); err != nil {
		return nil, err, err
	}
	d := s.dec
	tag := d.Tag()
	if webVerbs[tag] {
		return nil, nil, &byeError{"This is an IMAP server"}
	}
	if d.Err() == nil {
		s.tag = tag
	}
	d.Space()
	name := d.Word()
	if name == "UID" {
		d.Space()
		name, s.byUID = d.Word(), true
	}
	row = s.srv.commands[name]
	err = s.run(row, name)
	switch {
	case fatal(err):
		return row, err, err
	case errors.Is(err, errAnswered):
		return row, nil, nil
	}
	return row, err, s.conclude(row, name, err)
}

// conclude tells what the client is to hear beside a command's answer, and
// answers it.
func (s *session) conclude(row *command, name string, err error) error {
	if err != nil {
		if e := s.dec.Skip(); e != nil {
			return e
		}
	}
	if s.state != notAuthenticated && s.has(tellMetadata) {
		s.tellEnabledNotes()
	}
	if s.notify != nil && s.state != notAuthenticated {
		if e := s.tellOthers(s.busy); e != nil {
			return e
		}
	}
	if row != nil && s.view != nil && row.seqs != noSync && !s.frozen() {
		// RFC 7162 §3.2.10.2: nor with UID, where keys of a search are numbers.
		if e := s.sync(s.busy, row.seqs == mayExpunge || s.byUID && !s.numbered); e != nil {
			return e
		}
	}
	return s.answer(name, err)
}

// frozen reports whether the client wants to hear nothing of the selected
// mailbox but what it does itself (RFC 5465 §3.1).
func (s *session) frozen() bool {
	return s.notify != nil && s.notify.selected.events == 0 && !s.changed
}

// run checks a command against its row, parses and runs it.
func (s *session) run(row *command, name string) error {
	d := s.dec
	s.row = row
	switch {
	case d.Err() != nil:
		return d.Err()
	case row == nil, s.byUID && !row.uid, row.isCut(s.cut):
		return d.Fail("unknown command " + name[:min(len(name), foundCommandsMax)])
	case row.uid && !s.byUID && name != "EXPUNGE" && s.has(uidOnly):
		return errUIDRequired
	case row.states&s.state == 0:
		return d.Fail(name + " is not possible " + stateText(s.state))
	case !row.light && s.conn.Strained():
		return errStrained
	}
	request := row.parse(s, d)
	if !row.open {
		d.End()
	}
	if err := d.Err(); err != nil {
		return err
	}
	if err := s.maySelected(row.selected); err != nil {
		return err
	}
	if err := s.settle(); err != nil && row.states&s.state == 0 {
		return err
	}
	return request(s.busy, s)
}

// settle waits for the list of the mailbox that the command before selected. One
// whose list cannot be read is selected no more (RFC 9051 §7.1, CLOSED).
func (s *session) settle() error {
	if s.view == nil {
		return nil
	}
	err := s.view.settle()
	if err != nil {
		s.line("* OK [CLOSED] The mailbox cannot be read")
		s.unselect(s.busy)
	}
	return err
}

// maySelected decides whether the user has rights for the selected mailbox as it
// is now: what was taken away since it was selected is gone. One that was deleted
// is left to sync.
func (s *session) maySelected(need mail.Rights) error {
	if need == 0 {
		return nil
	}
	x, err := s.view.look()
	if err != nil {
		return err
	}
	box, err := x.MailboxByID(s.view.box.ID)
	if err != nil {
		return nil
	}
	if !x.has(box, mail.RightRead) {
		return errMailboxGone
	}
	return box.Allow(x.owner, x.user, need)
}

func stateText(s states) string {
	switch s {
	case notAuthenticated:
		return "before login"
	case authenticated:
		return "in this state"
	default:
		return "with a mailbox selected"
	}
}

// fatal reports whether the connection cannot go on after an error.
func fatal(err error) bool {
	if err == nil {
		return false
	}
	var bye *byeError
	var op net.Error
	return errors.As(err, &bye) || errors.As(err, &op) || errors.Is(err, imapwire.ErrTooMuch) || errors.Is(err, netserver.ErrLineTooLong) ||
		errors.Is(err, netserver.ErrTimeout) || errors.Is(err, netserver.ErrCompression) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrNoProgress)
}

// answer sends the tagged line.
func (s *session) answer(name string, err error) error {
	if s.byUID {
		name = "UID " + name
	}
	if err != nil {
		return s.answerError(name, err)
	}
	s.tellLimited()
	s.tagged("OK", s.code, name+" completed")
	if s.state != notAuthenticated {
		s.bad = 0
	}
	return nil
}

// answerError sends the tagged line of a command that was not done.
func (s *session) answerError(name string, err error) error {
	var syntax *imapwire.SyntaxError
	var bad *badCommand
	var no *refusal
	switch {
	case errors.As(err, &bad):
		return s.answerBad(bad.code, bad.text)
	case errors.As(err, &syntax):
		return s.answerBad("", syntax.Text)
	case errors.As(err, &no):
		s.tagged("NO", no.code, no.text)
	default:
		kind := errs.KindOf(err)
		if kind == errs.Internal || kind == errs.Corrupt {
			s.opts.Log.Error("an IMAP command failed", "cmd", name, "session", s.conn.ID(), "account", s.user.Name, "error", err)
		}
		s.tagged("NO", kindCodes[kind], errs.PublicText(err))
	}
	return nil
}

// answerBad answers what was no command, and ends the session of a client that
// sends nothing else.
func (s *session) answerBad(code, text string) error {
	if s.tag == "" {
		s.line("* BAD " + clean(text))
	} else {
		s.tagged("BAD", code, text)
	}
	s.bad++
	if s.bad >= badMax || s.state == notAuthenticated && s.bad >= badBeforeLoginMax {
		return &byeError{"[LIMIT] Too many bad commands"}
	}
	return nil
}

// clean makes a text fit for one response line.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
