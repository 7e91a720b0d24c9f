package imapserver

import (
	"context"
	"strings"
)

// startIdle is IDLE (RFC 2177), a mode of the session's loop: until DONE it
// speaks unasked.
func (s *session) startIdle(context.Context) error {
	s.line("+ idling")
	s.idling = true
	s.conn.SetReadTimeout(s.opts.IdleTime)
	return errAnswered
}

// idle tells what happened, and waits for more or for the client's DONE.
func (s *session) idle() error {
	if err := s.checkAccess(); err != nil {
		return err
	}
	if s.has(tellMetadata) {
		s.tellEnabledNotes()
	}
	if s.view != nil && !s.frozen() {
		if err := s.sync(s.busy, true); err != nil {
			return err
		}
	}
	if s.notify != nil { // RFC 5465 §4
		if err := s.tellOthers(s.busy); err != nil {
			return err
		}
	}
	if err := s.conn.Flush(); err != nil {
		return err
	}
	if woken, err := s.conn.SleepForWake(); woken || err != nil {
		return err
	}
	line, err := s.conn.ReadLine(doneMax)
	if err != nil {
		return err
	}
	s.idling = false
	defer s.finished(s.user.Name, s.srv.commands["IDLE"], nil, nil)
	if !strings.EqualFold(string(line), "DONE") {
		return s.answerBad("", "expected DONE")
	}
	return s.answer("IDLE", nil)
}
