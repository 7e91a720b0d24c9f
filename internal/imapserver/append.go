package imapserver

import (
	"context"
	"io"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// parseAppend is APPEND (RFC 3501 §6.3.11, RFC 4315 §3). The request goes on
// where the message's literal begins, so that a message which cannot be taken
// is refused before the client sends it.
func parseAppend(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	d.Space()
	var o store.AppendOptions
	if d.Peek() == '(' {
		o.Flags = d.Flags()
		d.Space()
	}
	if d.Peek() == '"' {
		o.InternalDate = d.DateTime()
		d.Space()
	}
	return func(ctx context.Context, s *session) error {
		if d.Sync() {
			if _, err := s.target(name); err != nil {
				return err
			}
		}
		staged, err := s.stageLiteral(ctx)
		if err != nil {
			return err
		}
		defer staged.discard()
		return s.append(ctx, name, staged.message, o)
	}
}

// target finds the mailbox that messages are to be added to.
func (s *session) target(name string) (*store.Mailbox, error) {
	v, err := s.acct.Snapshot()
	if err != nil {
		return nil, err
	}
	return targetIn(v, name)
}

func targetIn(v *store.Snapshot, name string) (*store.Mailbox, error) {
	box, err := v.Mailbox(name)
	if err != nil {
		return nil, tryCreate(err)
	}
	if box.NoSelect {
		return nil, &refusal{"TRYCREATE", "this is only a name above other mailboxes"}
	}
	return box, nil
}

type stagedLiteral struct {
	message *store.Staged
	discard func()
}

// stageLiteral takes the message literal and the end of the command.
func (s *session) stageLiteral(ctx context.Context) (stagedLiteral, error) {
	d := s.dec
	size, tooBig := d.MessageLiteral(s.opts.MessageMax)
	if d.Err() != nil {
		return stagedLiteral{}, d.Err()
	}
	if tooBig {
		return stagedLiteral{}, errs.New("imapserver.append", errs.TooBig, "the message is larger than "+strconv.FormatInt(s.opts.MessageMax, 10)+" octets")
	}
	stage, err := s.srv.store.Stage(ctx)
	if err != nil {
		return stagedLiteral{}, err
	}
	staged, err := s.fill(stage, size)
	if err != nil {
		stage.Discard()
		return stagedLiteral{}, err
	}
	return stagedLiteral{staged, stage.Discard}, nil
}

func (s *session) fill(stage *store.Stage, size int64) (*store.Staged, error) {
	d := s.dec
	w := &keepReading{w: stage}
	if err := d.CopyMessage(w, size); err != nil {
		return nil, err
	}
	if err := d.AfterLiteral(); err != nil {
		return nil, err
	}
	if err := d.End(); err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, w.err
	}
	if size == 0 {
		return nil, errs.New("imapserver.append", errs.Invalid, "the message is empty")
	}
	return stage.Seal()
}

// keepReading takes all octets, also when they can no longer be stored: the
// client sends them in any case.
type keepReading struct {
	w   io.Writer
	err error
}

func (k *keepReading) Write(p []byte) (int, error) {
	if k.err == nil {
		_, k.err = k.w.Write(p)
	}
	return len(p), nil
}

// append adds a staged message to a mailbox.
func (s *session) append(ctx context.Context, name string, m *store.Staged, o store.AppendOptions) error {
	var uid mail.UID
	var validity uint32
	_, err := s.acct.Update(ctx, func(tx *store.Tx) error {
		box, err := targetIn(tx.Snapshot(), name)
		if err != nil {
			return err
		}
		validity = box.UIDValidity
		uid, err = tx.Append(box.ID, m, o)
		return err
	})
	if err != nil {
		return err
	}
	s.code = "APPENDUID " + strconv.FormatUint(uint64(validity), 10) + " " + strconv.FormatUint(uint64(uid), 10)
	return nil
}
