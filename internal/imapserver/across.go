package imapserver

import (
	"context"
	"errors"
	"io"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// copyAcross copies messages of the selected mailbox into one of another account:
// all of them or none, with the flags and annotations that the user may set there
// (RFC 4314 §4). Their octets are written again, so that neither account's mail
// depends on what becomes of the other.
func (s *session) copyAcross(ctx context.Context, uids mail.UIDSet, to *tree, box *store.Mailbox) (done store.Copied, err error) {
	if uids.Len() > acrossMax {
		return done, &refusal{"LIMIT", "too many messages for one command into another account; nothing was copied"}
	}
	var a appending
	defer a.discard()
	err = s.stageCopies(ctx, uids, &a)
	if errors.Is(err, context.DeadlineExceeded) {
		err = &refusal{"LIMIT", "the copy takes too long; nothing was copied"}
	}
	if err != nil {
		return done, err
	}
	err = s.change(ctx, to, func(tx *store.Tx) error {
		target, err := to.in(tx).boxByID(box.ID, s.row.named)
		if err != nil {
			return err
		}
		done = store.Copied{UIDValidity: target.UIDValidity, Source: uids}
		rights := to.rights(target)
		for _, m := range a.messages {
			o := m.AppendOptions
			o.Flags = rights.Allowed(o.Flags)
			if rights&mail.RightAnnotate == 0 {
				o.Annotations = nil
			}
			uid, err := tx.Append(target.ID, m.staged, o)
			if err != nil {
				return err
			}
			done.Target = done.Target.Append(uid)
		}
		return nil
	})
	return done, err
}

// stageCopies writes messages of the selected mailbox again, many of them in turn
// with whatever else computes for long.
func (s *session) stageCopies(ctx context.Context, uids mail.UIDSet, a *appending) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeMax)
	defer cancel()
	pause := func(context.Context) error { return nil }
	if uids.Len() > turnAcross {
		turn, err := s.conn.Work().Take(ctx, uint64(s.user.Account))
		if err != nil {
			return err
		}
		defer func() {
			turn.End()
			s.turn += turn.Waited()
		}()
		pause = turn.Pause
	}
	for _, m := range s.view.list.Select(uids) {
		if err := pause(ctx); err != nil {
			return err
		}
		if err := s.stageCopy(ctx, m, a); err != nil {
			return err
		}
	}
	return nil
}

// turnAcross is how many messages are copied without a turn: each is read as when
// it came.
const turnAcross = 100

// stageCopy writes a message of the selected mailbox again.
func (s *session) stageCopy(ctx context.Context, m *store.Message, a *appending) error {
	v := s.view
	body, err := s.srv.store.Body(ctx, m)
	if errs.Is(err, errs.NotFound) {
		return errExpunged
	}
	if err != nil {
		return err
	}
	defer body.Close()
	stage, err := s.srv.store.Stage(ctx)
	if err != nil {
		return err
	}
	a.stages = append(a.stages, stage)
	if _, err := io.Copy(stage, io.NewSectionReader(body, 0, body.Size())); err != nil {
		return err
	}
	copied := appendedMessage{AppendOptions: store.AppendOptions{Flags: m.Flags, InternalDate: m.InternalTime(), CopyOf: m, CopiedFrom: v.acct.ID()}}
	if copied.staged, err = stage.Seal(); err != nil {
		return err
	}
	annotations, err := v.annotations(m.UID)
	if err != nil {
		return err
	}
	for _, c := range store.AnnotationChanges(annotations) {
		if !c.Private { // which are not for another account
			copied.Annotations = append(copied.Annotations, c)
		}
	}
	a.messages = append(a.messages, copied)
	return ctx.Err() // reading obeys it only before it begins
}

// moveAcross is copyAcross, and then the messages are expunged: if that fails,
// they are in both.
func (s *session) moveAcross(ctx context.Context, uids mail.UIDSet, to *tree, box *store.Mailbox) (done store.Copied, err error) {
	v := s.view
	if done, err = s.copyAcross(ctx, uids, to, box); err != nil {
		return done, err
	}
	return done, s.changeMany(ctx, v.tree, uids.Len(), func(tx *store.Tx) error {
		if _, err := v.in(tx).boxByID(v.box.ID, s.row.selected); err != nil {
			return err
		}
		_, err := tx.Expunge(v.box.ID, uids)
		return err
	})
}
