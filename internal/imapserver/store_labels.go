package imapserver

import (
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

var labelOps = map[string]store.FlagOp{"X-GM-LABELS": store.FlagsReplace, "+X-GM-LABELS": store.FlagsAdd, "-X-GM-LABELS": store.FlagsRemove}

// labelChange is what STORE X-GM-LABELS does: a label that a message gets is a
// copy in its mailbox, and one that it loses is that copy expunged.
type labelChange struct {
	op     store.FlagOp
	silent bool
	names  []string
}

func (c *labelChange) has(name string) bool {
	return slices.ContainsFunc(c.names, func(n string) bool { return strings.EqualFold(n, name) })
}

// parseStoreLabels reads the labels of STORE.
func parseStoreLabels(d *imapwire.Decoder, set imapwire.NumSet, op store.FlagOp, silent bool) request {
	c := labelChange{op: op, silent: silent}
	d.Needs("X-GM-EXT-1")
	read := func() {
		if len(c.names) == labelsMax {
			d.Fail("too many labels")
			return
		}
		if d.Peek() == '\\' {
			c.names = append(c.names, d.Flag())
		} else {
			c.names = append(c.names, d.Mailbox())
		}
	}
	if d.Peek() == '(' {
		d.List(read)
	} else {
		for read(); d.Take(' '); read() {
		}
	}
	return func(ctx context.Context, s *session) error { return s.storeLabels(ctx, set, c) }
}

func (s *session) storeLabels(ctx context.Context, set imapwire.NumSet, c labelChange) error {
	v := s.view
	if v.examined {
		return errReadOnly
	}
	if !v.mine() {
		return &refusal{"NOPERM", "messages in mailboxes of other users have no labels"}
	}
	uids, err := v.resolve(set, s.byUID)
	if err != nil || len(uids) == 0 {
		return err
	}
	err = s.update(ctx, func(tx *store.Tx) error {
		l, err := newLabelling(ctx, tx, v.box.ID, uids)
		if err != nil {
			return err
		}
		return l.apply(&c)
	})
	if err == nil && !c.silent {
		v.relabelled = uids
	}
	return err
}

// labelling changes the labels of messages in one Update.
type labelling struct {
	ctx  context.Context
	tx   *store.Tx
	from store.MailboxID // the selected mailbox
	uids mail.UIDSet
	ids  map[store.MessageID]bool
}

func newLabelling(ctx context.Context, tx *store.Tx, from store.MailboxID, uids mail.UIDSet) (*labelling, error) {
	l := &labelling{ctx: ctx, tx: tx, from: from, uids: uids, ids: map[store.MessageID]bool{}}
	list, err := tx.Snapshot().Messages(ctx, from)
	if err != nil {
		return nil, err
	}
	for _, m := range list.Select(uids) {
		l.ids[m.ID] = true
	}
	return l, nil
}

// apply does what STORE asks for. The selected mailbox comes last: whether its
// messages may go depends on where else they are.
func (l *labelling) apply(c *labelChange) error {
	named, err := l.boxes(c)
	if err != nil {
		return err
	}
	if err := l.setFlags(c); err != nil {
		return err
	}
	for id := range named {
		if c.op != store.FlagsRemove {
			err = l.add(id)
		} else if id != l.from {
			err = l.remove(id)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case c.op == store.FlagsReplace:
		return l.removeOthers(named)
	case c.op == store.FlagsRemove && named[l.from]:
		return l.leave()
	}
	return nil
}

// boxes returns the mailboxes of the labels, and makes those that a label is to
// be added for.
func (l *labelling) boxes(c *labelChange) (map[store.MailboxID]bool, error) {
	named := map[store.MailboxID]bool{}
	for _, name := range c.names {
		if isFlagLabel(name) {
			continue
		}
		box, err := labelBox(l.tx.Snapshot(), name)
		if errs.Is(err, errs.NotFound) {
			switch {
			case c.op == store.FlagsRemove:
				continue
			case name != "" && name[0] == '\\':
				return nil, &refusal{"CANNOT", "there is no mailbox for the label " + name}
			}
			box, err = l.tx.CreateMailbox(name, store.CreateOptions{})
		}
		if err != nil {
			return nil, err
		}
		named[box.ID] = true
	}
	return named, nil
}

// setFlags sets and takes away the labels that are flags.
func (l *labelling) setFlags(c *labelChange) error {
	var named, others mail.Flags
	for i := range labelFlags {
		if f := labelFlags[i].flags; c.has(labelFlags[i].name) {
			named = named.Union(f)
		} else {
			others = others.Union(f)
		}
	}
	op := c.op
	if op == store.FlagsReplace {
		op = store.FlagsAdd
		if _, err := l.tx.SetFlags(l.from, l.uids, store.FlagChange{Op: store.FlagsRemove, Flags: others}); err != nil {
			return err
		}
	}
	_, err := l.tx.SetFlags(l.from, l.uids, store.FlagChange{Op: op, Flags: named})
	return err
}

// add copies the messages to a mailbox that has no copy of them.
func (l *labelling) add(to store.MailboxID) error {
	have := map[store.MessageID]bool{}
	target, err := l.tx.Snapshot().Messages(l.ctx, to)
	if err != nil {
		return err
	}
	for _, m := range target.Range(0, target.Len()) {
		if l.ids[m.ID] {
			have[m.ID] = true
		}
	}
	source, err := l.tx.Snapshot().Messages(l.ctx, l.from)
	if err != nil {
		return err
	}
	var missing mail.UIDSet
	for _, m := range source.Select(l.uids) {
		if !have[m.ID] {
			have[m.ID] = true
			missing = missing.Append(m.UID)
		}
	}
	_, err = l.tx.Copy(l.from, missing, to, store.ByOwner)
	return err
}

// remove expunges the copies in a mailbox.
func (l *labelling) remove(box store.MailboxID) error {
	copies, err := l.copies(box)
	if err != nil || len(copies) == 0 {
		return err
	}
	_, err = l.tx.Expunge(box, copies)
	return err
}

// copies returns the copies of the messages in a mailbox.
func (l *labelling) copies(box store.MailboxID) (uids mail.UIDSet, err error) {
	list, err := l.tx.Snapshot().Messages(l.ctx, box)
	if err != nil {
		return nil, err
	}
	for _, m := range list.Range(0, list.Len()) {
		if l.ids[m.ID] {
			uids = uids.Append(m.UID)
		}
	}
	return uids, nil
}

// others returns the other mailboxes that hold messages.
func (l *labelling) others() (ids []store.MailboxID) {
	for box := range l.tx.Snapshot().Mailboxes() {
		if box.ID != l.from && box.Messages > 0 {
			ids = append(ids, box.ID)
		}
	}
	return ids
}

// removeOthers takes away all labels that are not named.
func (l *labelling) removeOthers(named map[store.MailboxID]bool) error {
	for _, id := range l.others() {
		if named[id] {
			continue
		}
		if err := l.remove(id); err != nil {
			return err
		}
	}
	return nil
}

// leave expunges the messages from the selected mailbox, if all of them are in
// another one too: taking labels away loses no mail.
func (l *labelling) leave() error {
	elsewhere := map[store.MessageID]bool{}
	for _, id := range l.others() {
		list, err := l.tx.Snapshot().Messages(l.ctx, id)
		if err != nil {
			return err
		}
		for _, m := range list.Range(0, list.Len()) {
			if l.ids[m.ID] {
				elsewhere[m.ID] = true
			}
		}
	}
	if len(elsewhere) < len(l.ids) {
		return &refusal{"CANNOT", "a message is in no other mailbox; move it, or expunge it"}
	}
	return l.remove(l.from)
}
