package imapserver

import (
	"context"
	"errors"

	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/store"
)

// changeMany is change for a change of n messages. Many are changed in turn
// with whatever else computes for long: the turn is taken inside the Update,
// since who waits for the account's lock must not hold one.
func (s *session) changeMany(ctx context.Context, t *tree, n int, fn func(tx *store.Tx) error) error {
	if n < manyMessages {
		return s.change(ctx, t, fn)
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeMax)
	defer cancel()
	var commit *fair.Turn // nil before there is something to commit
	endCommit := func() {
		commit.End()
		s.turn += commit.Waited()
	}
	defer endCommit()
	err := s.change(ctx, t, func(tx *store.Tx) error {
		turn, err := s.conn.Work().Take(ctx, uint64(s.user.Account))
		if err != nil {
			return err
		}
		defer func() {
			turn.End()
			s.turn += turn.Waited()
		}()
		tx.Pace = func() error { return turn.Pause(ctx) }
		if err := fn(tx); err != nil {
			return err
		}
		// The commit waits for the disk and for others.
		endCommit() // of an attempt before
		commit = s.conn.Work().Loose()
		tx.Pace = func() error { return commit.Pause(ctx) }
		return nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return &refusal{"LIMIT", "the change takes too long; nothing was changed"}
	}
	return err
}
