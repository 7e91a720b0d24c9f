package imapserver

import (
	"errors"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/telemetry"
)

// finished tells of a command that was answered, or that ended the session.
// row is nil for what is no command: what a client made up is no name.
func (s *session) finished(account string, row *command, err, end error) {
	e := telemetry.Command{Protocol: "imap", Account: account, Name: "unknown", Kind: kindOf(err)}
	if row != nil {
		e.Name = row.name
	}
	if end != nil {
		e.Kind = telemetry.Ended
	}
	if s.view != nil {
		e.Mailbox = s.view.name(s.view.box)
	}
	e.Messages, e.Commit, e.Turn = s.looked, s.commit, s.turn
	s.meter.End(s.conn, &e)
	s.opts.Events.Command(s.busy, &e)
}

// kindOf returns what kind of answer an error gets.
func kindOf(err error) string {
	if err == nil {
		return telemetry.OK
	}
	var syntax *imapwire.SyntaxError
	var no *refusal
	switch {
	case errors.As(err, &syntax), errors.Is(err, errUIDRequired):
		return telemetry.Bad
	case errors.As(err, &no):
		return telemetry.Refused
	}
	return telemetry.KindOf(err)
}
