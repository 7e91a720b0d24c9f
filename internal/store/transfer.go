package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Transfer says what CopyFrom takes of an account. Zero values mean all.
type Transfer struct {
	Mailbox      string    // this one and those below it
	MessageID    string    // the messages with this Message-ID field, with or without its brackets
	Since, Until time.Time // of the internal date
	Into         string    // one mailbox for all; default: where they were
	DryRun       bool
	Done         func(messages int) // optional; progress
}

// Transferred is what CopyFrom did, or would do.
type Transferred struct {
	Account   string
	Mailboxes []string // made
	Messages  int
	Octets    Octets
	Present   int       // left out, since they were there
	Damaged   []Finding // left out, since they cannot be read
}

// Limits of one commit of CopyFrom.
const (
	transferMessages = 200
	transferOctets   = 16 << 20
)

// CopyFrom adds what an account of another store holds to one of this store,
// with flags, keywords, internal dates, annotations and access rights, under new UIDs. A message that the
// mailbox holds already, with the same octets and internal date, is left out,
// so that a second call finds nothing to do. Errors: NotFound, Invalid, Limit,
// NoSpace, Temporary.
func (s *Store) CopyFrom(ctx context.Context, source *Store, from, to AccountID, t Transfer) (done Transferred, err error) {
	const op = "store.CopyFrom"
	src, err := source.Account(ctx, from)
	if err != nil {
		return done, errs.Wrap(op, err)
	}
	dst, err := s.Account(ctx, to)
	if err != nil {
		return done, errs.Wrap(op, err)
	}
	v, err := src.Snapshot()
	if err != nil {
		return done, errs.Wrap(op, err)
	}
	c := &copier{ctx: ctx, s: s, source: source, src: src, dst: dst, t: t, done: &done}
	for box := range v.Mailboxes() {
		if (Selection{Mailbox: t.Mailbox}).mailbox(box.Name) {
			if err := c.mailbox(v, box); err != nil {
				return done, errs.Wrap(op, err)
			}
		}
	}
	if t.Mailbox == "" && t.MessageID == "" && t.Into == "" && !t.DryRun {
		err = c.subscribe(v)
	}
	return done, errs.Wrap(op, err)
}

// copier is one run of CopyFrom.
type copier struct {
	ctx       context.Context
	s, source *Store
	src, dst  *Account
	t         Transfer
	done      *Transferred

	waiting []arrival // staged, for the next commit
	octets  int64
}

// arrival is a staged message.
type arrival struct {
	stage  *Stage
	staged *Staged
	o      AppendOptions
}

// identity is what most messages differ in.
type identity struct {
	size, date int64
}

func (c *copier) subscribe(v *Snapshot) error {
	_, err := c.dst.Update(c.ctx, func(tx *Tx) error {
		for name := range v.Subscribed() {
			if err := tx.Subscribe(name); err != nil {
				return err
			}
		}
		return nil
	})
	return err
}

// mailbox copies what is wanted of one mailbox.
func (c *copier) mailbox(v *Snapshot, box *Mailbox) error {
	name := box.Name
	if c.t.Into != "" {
		name = c.t.Into
	}
	if box.NoSelect {
		return nil
	}
	l, err := v.Messages(c.ctx, box.ID)
	if err != nil {
		if c.ctx.Err() == nil {
			c.damaged(box, 0, err)
			return nil
		}
		return err
	}
	if c.t.MessageID == "" && c.t.Into == "" {
		if err := c.make(name, box); err != nil {
			return err
		}
	}
	present, err := c.present(name)
	if err != nil {
		return err
	}
	defer c.discard()
	for _, m := range l.Range(0, l.Len()) {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.message(name, box, m, present); err != nil {
			return err
		}
	}
	return c.flush(name)
}

func (c *copier) damaged(box *Mailbox, uid mail.UID, err error) {
	c.done.Damaged = append(c.done.Damaged, Finding{Mailbox: box.Name, UID: uid, What: err.Error()})
}

// make makes the target mailbox if it is missing, like the source's if that is
// given.
func (c *copier) make(name string, like *Mailbox) error {
	var r Restored
	v, err := c.dst.Snapshot()
	if err != nil {
		return err
	}
	if have, err := v.Mailbox(name); err == nil && !have.NoSelect {
		return nil
	}
	if c.t.DryRun {
		c.done.Mailboxes = append(c.done.Mailboxes, name)
		return nil
	}
	_, err = c.dst.Update(c.ctx, func(tx *Tx) error {
		r = Restored{}
		_, err := formerly(nil).restore(tx, name, like, &r)
		return err
	})
	c.done.Mailboxes = append(c.done.Mailboxes, r.Mailboxes...)
	return err
}

// present returns what the target mailbox holds.
func (c *copier) present(name string) (map[identity][]Message, error) {
	all := map[identity][]Message{}
	v, err := c.dst.Snapshot()
	if err != nil {
		return nil, err
	}
	box, err := v.Mailbox(name)
	if err != nil {
		return all, nil
	}
	l, err := v.Messages(c.ctx, box.ID)
	if err != nil {
		return nil, err
	}
	for _, m := range l.Range(0, l.Len()) {
		id := identity{m.Size, m.InternalDate}
		all[id] = append(all[id], *m)
	}
	return all, nil
}

// message stages one message if it is wanted and not there.
func (c *copier) message(name string, box *Mailbox, m *Message, present map[identity][]Message) error {
	at := m.InternalTime()
	if !c.t.Since.IsZero() && at.Before(c.t.Since) || !c.t.Until.IsZero() && at.After(c.t.Until) || !c.wanted(m) {
		return nil
	}
	id := identity{m.Size, m.InternalDate}
	annotations, err := c.src.Annotations(box.ID, m.UID)
	if errs.Is(err, errs.Corrupt) {
		annotations, err = nil, nil // check reports it; the message is whole
	}
	if err != nil {
		return err
	}
	stage, staged, digest, err := c.stage(m)
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.NotFound) {
		c.damaged(box, m.UID, err)
		return nil
	}
	if err != nil {
		return err
	}
	for i, have := range present[id] {
		if same, err := c.same(&have, digest); err != nil || same {
			stage.Discard()
			present[id] = append(present[id][:i:i], present[id][i+1:]...)
			c.done.Present++
			return err
		}
	}
	c.done.Messages++
	c.done.Octets += m.Size
	if c.t.Done != nil {
		c.t.Done(c.done.Messages)
	}
	if c.t.DryRun {
		stage.Discard()
		return nil
	}
	c.waiting = append(c.waiting, arrival{stage, staged, AppendOptions{Flags: m.Flags, InternalDate: at, Annotations: AnnotationChanges(annotations)}})
	c.octets += m.Size
	for _, a := range annotations {
		c.octets += int64(len(a.Private) + len(a.Shared))
	}
	if c.octets >= transferOctets || len(c.waiting) >= transferMessages {
		return c.flush(name)
	}
	return nil
}

// wanted compares the Message-ID.
func (c *copier) wanted(m *Message) bool {
	if c.t.MessageID == "" {
		return true
	}
	sum, err := c.source.Summary(c.ctx, m)
	if err != nil || sum.Parts[0].Envelope == nil {
		return false
	}
	bare := func(s string) string { return strings.Trim(strings.TrimSpace(s), "<>") }
	return bare(sum.Parts[0].Envelope.MessageID) == bare(c.t.MessageID)
}

// stage copies a message's octets, unless they are damaged.
func (c *copier) stage(m *Message) (*Stage, *Staged, []byte, error) {
	body, err := c.source.Body(c.ctx, m)
	if err != nil {
		return nil, nil, nil, err
	}
	defer body.Close()
	stage, err := c.s.Stage(c.ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	digest := sha256.New()
	if _, err = io.Copy(io.MultiWriter(stage, digest), io.NewSectionReader(body, 0, body.Size())); err == nil {
		var staged *Staged
		if staged, err = stage.Seal(); err == nil {
			return stage, staged, digest.Sum(nil), nil
		}
	}
	stage.Discard()
	return nil, nil, nil, err
}

// same reports whether a message of the target has a digest.
func (c *copier) same(m *Message, digest []byte) (bool, error) {
	body, err := c.s.Body(c.ctx, m)
	if err != nil {
		return false, nil // what cannot be read is not the same
	}
	defer body.Close()
	have := sha256.New()
	if _, err := io.Copy(have, io.NewSectionReader(body, 0, body.Size())); err != nil {
		return false, c.ctx.Err()
	}
	return bytes.Equal(have.Sum(nil), digest), nil
}

// flush commits what waits.
func (c *copier) flush(name string) error {
	if len(c.waiting) == 0 {
		return nil
	}
	if err := c.make(name, nil); err != nil {
		return err
	}
	_, err := c.dst.Update(c.ctx, func(tx *Tx) error {
		tx.beyondQuota = true // an administrator wants the mail there
		box, err := tx.Snapshot().Mailbox(name)
		if err != nil {
			return err
		}
		for _, a := range c.waiting {
			if _, err := tx.Append(box.ID, a.staged, a.o); err != nil {
				return err
			}
		}
		return nil
	})
	c.discard()
	if err != nil {
		return fmt.Errorf("the messages before were copied: %w", err)
	}
	return nil
}

func (c *copier) discard() {
	for _, a := range c.waiting {
		a.stage.Discard()
	}
	c.waiting, c.octets = nil, 0
}
