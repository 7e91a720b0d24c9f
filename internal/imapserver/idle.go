package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
)

// idle is IDLE (RFC 2177): until DONE the session speaks unasked.
func (s *session) idle(ctx context.Context) error {
	s.line("+ idling")
	if err := s.tell(ctx); err != nil {
		return err
	}
	if s.conn.Buffered() == 0 {
		if err := s.tellUntilInput(ctx); err != nil {
			return err
		}
	}
	line, err := s.conn.ReadLine(imapwire.LineBeforeLoginMax)
	if err != nil {
		return err
	}
	if !strings.EqualFold(string(line), "DONE") {
		return &imapwire.SyntaxError{Text: "expected DONE"}
	}
	return nil
}

// tellUntilInput tells what happens until the client sends something. The
// goroutine that waits for that has a small stack and holds no buffer.
func (s *session) tellUntilInput(ctx context.Context) (err error) {
	input := make(chan error, 1)
	go func() { input <- s.conn.Park() }()
	for {
		select {
		case e := <-input:
			if err == nil {
				err = e
			}
			return err
		case <-s.wake:
			if err != nil {
				continue
			}
			if err = s.tell(ctx); err != nil {
				s.conn.Interrupt() // ends the wait
			}
		}
	}
}

// tell sends what the client does not know yet.
func (s *session) tell(ctx context.Context) error {
	if s.view != nil {
		if err := s.sync(ctx, true); err != nil {
			return err
		}
	}
	return s.conn.Flush()
}
