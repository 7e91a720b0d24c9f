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

// parseAppend is APPEND (RFC 3501 §6.3.11, RFC 4315 §3) of one message or
// several (RFC 3502), all or none. The request goes on where the first message
// begins, so that one which cannot be taken is refused before the client sends
// it.
func parseAppend(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	d.Space()
	return func(ctx context.Context, s *session) error {
		var a appending
		defer a.discard()
		if err := s.readMessages(ctx, name, &a); err != nil {
			return err
		}
		x, rest, err := s.locate(ctx, name)
		if err != nil {
			return tryCreate(err)
		}
		var code string
		err = s.change(ctx, x.tree, func(tx *store.Tx) (err error) {
			code, err = s.appendTo(x.in(tx), tx, rest, &a)
			return err
		})
		if err == nil && s.offers("UIDPLUS") {
			s.code = code
		}
		return err
	}
}

// appending is the messages of one APPEND.
type appending struct {
	messages []appendedMessage
	stages   []*store.Stage
}

type appendedMessage struct {
	staged *store.Staged
	store.AppendOptions
}

func (a *appending) discard() {
	for _, st := range a.stages {
		st.Discard()
	}
}

// appendTo adds the messages to a mailbox, with the flags and annotations that the
// user has the rights for (RFC 4314 §4), and returns the APPENDUID response code.
func (s *session) appendTo(x sight, tx *store.Tx, name string, a *appending) (code string, err error) {
	box, err := s.targetIn(x, name)
	if err != nil {
		return "", err
	}
	rights := x.rights(box)
	var uids mail.UIDSet
	for _, m := range a.messages {
		o := m.AppendOptions
		o.Flags = rights.Allowed(o.Flags)
		if err := x.mayAnnotate(box, o.Annotations); err != nil {
			return "", err
		}
		uid, err := tx.Append(box.ID, m.staged, o)
		if err != nil {
			return "", err
		}
		uids = uids.Append(uid)
	}
	return "APPENDUID " + strconv.FormatUint(uint64(box.UIDValidity), 10) + " " + uids.String(), nil
}

// target finds the mailbox that messages are to be added to.
func (s *session) target(ctx context.Context, name string) (x sight, box *store.Mailbox, err error) {
	x, rest, err := s.locate(ctx, name)
	if err != nil {
		return x, nil, tryCreate(err)
	}
	box, err = s.targetIn(x, rest)
	return x, box, err
}

func (s *session) targetIn(x sight, name string) (*store.Mailbox, error) {
	box, err := x.box(name, s.row.named)
	if err != nil {
		return nil, tryCreate(err)
	}
	if box.NoSelect {
		return nil, &refusal{"TRYCREATE", "this is only a name above other mailboxes"}
	}
	return box, nil
}

// readMessages reads the messages of an APPEND and the end of the command.
func (s *session) readMessages(ctx context.Context, name string, a *appending) error {
	d := s.dec
	for {
		if err := s.readMessage(ctx, name, a); err != nil {
			return err
		}
		if !d.Take(' ') {
			return d.End()
		}
		if d.Needs("MULTIAPPEND"); d.Err() != nil {
			return d.Err()
		}
		if n := s.opts.saveLimit(); n > 0 && len(a.messages) >= n {
			return &refusal{limitCode(n, nil), "too many messages for one command; nothing was added"}
		}
		if len(a.messages) >= appendMessagesMax {
			return &refusal{"LIMIT", "too many messages in one command"}
		}
	}
}

// readMessage reads the flags, date, annotations and octets of one message.
func (s *session) readMessage(ctx context.Context, name string, a *appending) error {
	d := s.dec
	m := appendedMessage{}
	if d.Peek() == '(' {
		m.Flags = d.Flags()
		d.Space()
	}
	if d.Peek() == '"' {
		m.InternalDate = d.DateTime()
		d.Space()
	}
	values := readAnnotations(d)
	if d.Err() != nil {
		return d.Err()
	}
	var refused error
	if m.Annotations, refused = annotationChanges(values); d.Sync() {
		if _, _, err := s.target(ctx, name); err != nil {
			return err
		}
		if refused != nil {
			return refused
		}
	}
	stage, err := s.srv.store.Stage(ctx)
	if err != nil {
		return err
	}
	a.stages = append(a.stages, stage)
	f := filling{s: s, stage: stage, err: refused}
	if err := f.fill(ctx); err != nil {
		return err
	}
	if ofParts(values) {
		if err := checkParts(stage.Summary(), values); err != nil {
			return err
		}
	}
	if m.staged, err = stage.Seal(); err != nil {
		return err
	}
	a.messages = append(a.messages, m)
	return nil
}

// filling takes the octets of one message. What is wrong with them is told
// when all have been read: the client sends them in any case.
type filling struct {
	s     *session
	stage *store.Stage
	size  int64
	bin   bool // from a literal that may hold NUL
	err   error
}

// fill reads a message in one of its forms: a literal, for old clients perhaps
// within UTF8 (RFC 6855 §4), or CATENATE (RFC 4469).
func (f *filling) fill(ctx context.Context) error {
	d := f.s.dec
	switch {
	case d.TakeWord("CATENATE"):
		d.Needs("CATENATE")
		d.Space()
		f.catenate(ctx)
	case d.TakeWord("UTF8"):
		d.Needs("UTF8=ACCEPT")
		d.Space()
		d.Expect('(')
		f.literal()
		d.Expect(')')
	default:
		if d.PeekText("~") {
			d.Needs("BINARY") // RFC 3516 §4.4
		}
		f.literal()
	}
	switch {
	case d.Err() != nil:
		return d.Err()
	case f.err != nil:
		return f.err
	case f.size == 0:
		return errs.New("imapserver.append", errs.Invalid, "the message is empty")
	}
	return nil
}

// literal takes one literal and goes on with the line behind it.
func (f *filling) literal() {
	d := f.s.dec
	f.bin = d.Literal8()
	limit := f.s.opts.MessageMax
	size, tooBig := d.MessageLiteral(limit - f.size)
	if d.Err() != nil {
		return
	}
	if tooBig {
		f.tooBig()
		return
	}
	if err := d.CopyMessage(f, size); err != nil {
		d.Abort(err)
		return
	}
	d.AfterLiteral()
}

// tooBig refuses the message; what follows of it is skipped unread.
func (f *filling) tooBig() {
	f.s.dec.Abort(errs.New("imapserver.append", errs.TooBig, "the message is larger than "+strconv.FormatInt(f.s.opts.MessageMax, 10)+" octets"))
}

func (f *filling) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	if f.bin && f.err == nil && hasNUL(p) {
		f.err = &refusal{"UNKNOWN-CTE", "messages with NUL octets are not stored"} // RFC 3516 §4.4
	}
	if f.err == nil {
		_, f.err = f.stage.Write(p)
	}
	return len(p), nil
}

var _ io.Writer = (*filling)(nil)
