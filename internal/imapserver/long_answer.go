package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/fair"
)

// longAnswer is one that is made and sent piece by piece. A long one gives way to
// short commands, but is always sent whole, whatever time there is left for it.
type longAnswer struct {
	s    *session
	turn *fair.Turn // nil for a short one
}

// beginAnswer begins an answer that tells of n messages.
func (s *session) beginAnswer(n int) longAnswer {
	if n < manyMessages {
		return longAnswer{s, nil}
	}
	return longAnswer{s, s.conn.Work().Loose()}
}

// send sends a piece that is not the last one.
func (a longAnswer) send(ctx context.Context, b []byte) {
	a.sendLast(b)
	_ = a.turn.Pause(ctx)
}

// sendLast sends the last piece.
func (a longAnswer) sendLast(b []byte) { a.turn.Aside(func() { a.s.conn.Write(b) }) }

func (a longAnswer) end() {
	a.turn.End()
	a.s.turn += a.turn.Waited()
}
