package store

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Finding is something broken: in an account, or in the engine's files.
type Finding struct {
	Account  string // name; empty: none in particular
	Mailbox  string // empty: the account itself
	UID      mail.UID
	Expunged bool   // the message is kept for undelete only
	Where    string // in the engine's files
	What     string
}

func (f Finding) String() string {
	s := f.What
	if f.Where != "" {
		s = f.Where + ": " + s
	}
	if f.UID != 0 {
		s = fmt.Sprintf("UID %d: %s", f.UID, s)
		if f.Expunged {
			s = "expunged " + s
		}
	}
	if f.Mailbox != "" {
		s = fmt.Sprintf("mailbox %q, %s", f.Mailbox, s)
	}
	if f.Account != "" {
		s = f.Account + ", " + s
	}
	return s
}

// CheckOptions of Check.
type CheckOptions struct {
	Account string                   // only this one, and not the engine's own files
	Rows    bool                     // do not read the messages themselves
	Pace    func(octets int64) error // optional; called with what was read; may wait
	Done    func(accounts, of int)   // optional; progress
}

// Check reads everything and yields what is broken, which it leaves as it is.
// It may run while the store is used, and holds nobody up. Damaged messages
// are named by account, mailbox and UID.
func (s *Store) Check(ctx context.Context, o CheckOptions) iter.Seq2[Finding, error] {
	return func(yield func(Finding, error) bool) {
		c := &checker{s: s, ctx: ctx, o: o, yield: yield}
		if c.o.Pace == nil {
			c.o.Pace = func(int64) error { return ctx.Err() }
		}
		if err := c.run(); err != nil && !c.stopped {
			yield(Finding{}, errs.Wrap("store.Check", err))
		}
	}
}

// checker is one run of Check.
type checker struct {
	s       *Store
	ctx     context.Context
	o       CheckOptions
	yield   func(Finding, error) bool
	name    string // of the account at hand
	stopped bool
}

// errEnough ends a run whose caller wants no more.
var errEnough = errs.New("store.Check", errs.Internal, "stopped")

func (c *checker) report(f Finding) error {
	f.Account = c.name
	if !c.yield(f, nil) {
		c.stopped = true
		return errEnough
	}
	return nil
}

func (c *checker) run() error {
	all, err := c.s.restorable(c.o.Account)
	if err != nil {
		return err
	}
	if c.o.Account == "" {
		if err := c.files(all); err != nil {
			return err
		}
	}
	for i, info := range all {
		if err := c.account(info); err != nil {
			return err
		}
		if c.o.Done != nil {
			c.o.Done(i+1, len(all))
		}
	}
	return nil
}

// files has the engine check its own files.
func (c *checker) files(all []AccountInfo) error {
	names := map[engine.SpaceID]string{}
	for _, info := range all {
		names[engine.SpaceID(info.ID)] = info.Name
	}
	for d, err := range c.s.engine.Verify(c.ctx, c.o.Pace) {
		if err != nil {
			return err
		}
		c.name = names[d.Space]
		if d.Space == registrySpace {
			d.What += " (of the list of accounts)"
		}
		if err := c.report(Finding{Where: d.Where, What: d.What}); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) account(info AccountInfo) error {
	c.name = info.Name
	space, err := c.s.engine.Space(c.ctx, engine.SpaceID(info.ID))
	if err != nil {
		return err
	}
	snap, err := space.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	if !c.s.registry.has(info.ID) && erased(snap) {
		return nil // Purge forgets it
	}
	v, err := readState(&Account{s: c.s, id: info.ID, space: space}, snap)
	if err != nil {
		return c.report(Finding{What: err.Error()})
	}
	total := accountRow{}
	for _, box := range v.boxes {
		total.messages += uint64(box.Messages)
		total.octets += uint64(box.Size)
		if err := c.mailbox(info, snap, v, box); err != nil {
			return err
		}
	}
	if total.messages != v.account.messages || total.octets != v.account.octets {
		if err := c.report(Finding{What: "the account's usage is not the sum of its mailboxes"}); err != nil {
			return err
		}
	}
	if err := c.annotations(snap, v); err != nil {
		return err
	}
	for id := range v.keys {
		if _, err := v.MailboxByID(id); err != nil {
			if err := c.report(Finding{What: fmt.Sprintf("there is an access key of mailbox %d, which is not there", id)}); err != nil {
				return err
			}
		}
	}
	if err := c.shares(info, snap, v); err != nil {
		return err
	}
	for _, p := range v.pushes {
		for _, id := range p.Mailboxes {
			if box, err := v.MailboxByID(id); err != nil || box.NoSelect {
				if err := c.report(Finding{What: fmt.Sprintf("a push registration is for mailbox %d, which is not there", id)}); err != nil {
					return err
				}
			}
		}
	}
	return c.expunged(snap)
}

func (c *checker) mailbox(info AccountInfo, snap engine.Snapshot, v *Snapshot, box *Mailbox) error {
	l, err := readList(c.ctx, snap, box, v.ModSeq())
	if err != nil {
		if c.ctx.Err() != nil {
			return err
		}
		return c.report(Finding{Mailbox: box.Name, What: err.Error()})
	}
	if err := c.messages(v, box, l); err != nil {
		return err
	}
	if have := c.s.inMemory(info.ID, box.ID, snap.Version()); have != nil {
		if d := Diff(have, l); len(d.Added)+len(d.Gone)+len(d.Changed) > 0 {
			return c.report(Finding{Mailbox: box.Name, What: fmt.Sprintf("memory and rows differ: %+v", d)})
		}
	}
	return nil
}

// annotations checks that each row of annotations can be read and has a message,
// which is not older than they are.
func (c *checker) annotations(snap engine.Snapshot, v *Snapshot) error {
	var box *Mailbox
	for p, err := range snap.Scan([]byte{rowAnnotation}, []byte{rowAnnotation + 1}) {
		if err != nil {
			return err
		}
		f := Finding{What: fmt.Sprintf("the row %x of annotations is of no message", p.Key)}
		uid, ok := annotationUID(p.Key)
		if id := MailboxID(0); ok {
			if id = MailboxID(decodeID(p.Key[1:])); box == nil || box.ID != id {
				box, _ = v.MailboxByID(id)
			}
		}
		if !ok || box == nil {
			if err := c.report(f); err != nil {
				return err
			}
			continue
		}
		f.Mailbox, f.UID, f.What = box.Name, uid, ""
		all, ok := decodeAnnotations(p.Value)
		switch _, err := snap.Get(messageKey(rowMessage, box.ID, uint32(uid))); {
		case errs.Is(err, errs.NotFound):
			f.What = "there are annotations of the message, which is not there"
		case err != nil:
			return err
		case !ok:
			f.What = "the annotations cannot be read"
		case slices.ContainsFunc(all, func(a Annotation) bool { return a.ModSeq > v.ModSeq() }):
			f.What = "the mod-sequence of an annotation is from the future"
		default:
			continue
		}
		if err := c.report(f); err != nil {
			return err
		}
	}
	return nil
}

// shares checks that the registry knows whom an account shares with, and that
// each ACL has a mailbox.
func (c *checker) shares(info AccountInfo, snap engine.Snapshot, v *Snapshot) error {
	known := c.s.registry.sharees(info.ID)
	for sharee := range v.sharees() {
		if !known[sharee] {
			if err := c.report(Finding{What: "mailboxes are shared with " + sharee + ", who is not shown them; repair helps"}); err != nil {
				return err
			}
		}
	}
	for p, err := range snap.Scan([]byte{rowACL}, []byte{rowACL + 1}) {
		if err != nil {
			return err
		}
		if _, err := v.MailboxByID(MailboxID(decodeID(p.Key[1:]))); err != nil {
			if err := c.report(Finding{What: fmt.Sprintf("there are access rights of mailbox %d, which is not there", decodeID(p.Key[1:]))}); err != nil {
				return err
			}
		}
	}
	return nil
}

// inMemory returns a loaded list, if the account is at a version now.
func (s *Store) inMemory(id AccountID, box MailboxID, version engine.Version) *MessageList {
	s.mu.Lock()
	a := s.mu.accounts[id]
	s.mu.Unlock()
	if a == nil {
		return nil
	}
	if v := a.state.Load(); v != nil && v.version == version {
		return v.lists[box]
	}
	return nil
}

// messages compares a mailbox's messages with each other, with its counters
// and with their octets.
func (c *checker) messages(v *Snapshot, box *Mailbox, l *MessageList) error {
	var want Mailbox
	last := mail.UID(0)
	for _, m := range l.Range(0, l.Len()) {
		want.Messages++
		want.Size += m.Size
		countFlags(&want, m.Flags, 1)
		what := ""
		switch {
		case m.UID <= last:
			what = "UIDs are not ascending"
		case m.UID >= box.UIDNext:
			what = "the UID is not below UIDNEXT"
		case m.ModSeq > v.ModSeq() || m.ModSeq > box.ModSeq:
			what = "the mod-sequence is from the future"
		}
		last = m.UID
		if what != "" {
			if err := c.report(Finding{Mailbox: box.Name, UID: m.UID, What: what}); err != nil {
				return err
			}
		}
		if err := c.body(box.Name, m, false); err != nil {
			return err
		}
	}
	if want.Messages == box.Messages && want.Size == box.Size && want.Unseen == box.Unseen && want.Deleted == box.Deleted {
		return nil
	}
	return c.report(Finding{Mailbox: box.Name, What: fmt.Sprintf("counted %d messages, %d octets, %d unseen, %d deleted; the row says %d, %d, %d, %d",
		want.Messages, want.Size, want.Unseen, want.Deleted, box.Messages, box.Size, box.Unseen, box.Deleted)})
}

// body reads a message's octets.
func (c *checker) body(mailbox string, m *Message, expunged bool) error {
	if c.o.Rows {
		return c.ctx.Err()
	}
	n, err := c.s.engine.Blobs().Verify(c.ctx, m.Blob)
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	what := ""
	switch {
	case err != nil:
		what = err.Error()
	case n != m.Size:
		what = fmt.Sprintf("the message has %d octets, its row says %d", n, m.Size)
	default:
		return c.o.Pace(n)
	}
	return c.report(Finding{Mailbox: mailbox, UID: m.UID, Expunged: expunged, What: what})
}

// expunged checks what undelete would restore.
func (c *checker) expunged(snap engine.Snapshot) error {
	for g, err := range readGraves(snap) {
		if errs.Is(err, errs.Corrupt) {
			if err := c.report(Finding{What: err.Error()}); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		for i := range g.messages {
			if err := c.body(g.name, &g.messages[i], true); err != nil {
				return err
			}
		}
	}
	return nil
}
