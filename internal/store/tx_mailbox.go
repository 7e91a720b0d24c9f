package store

import (
	"math"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// CreateOptions of CreateMailbox.
type CreateOptions struct {
	SpecialUse mail.SpecialUse
}

// CreateMailbox makes a mailbox and those of its parents that are missing.
// Errors: Exists, Invalid, Limit.
func (tx *Tx) CreateMailbox(name string, o CreateOptions) (*Mailbox, error) {
	name, err := mail.CanonicalMailbox(name)
	if err != nil {
		return nil, err
	}
	if i, ok := tx.next.findName(name); ok {
		if !tx.next.boxes[i].NoSelect {
			return nil, errs.New("store.CreateMailbox", errs.Exists, "the mailbox exists already")
		}
		return tx.revive(tx.next.boxes[i].ID, o)
	}
	if err := tx.makeParents(name); err != nil {
		return nil, err
	}
	return tx.insertMailbox(name, o)
}

// revive makes a name that only has children a mailbox again.
func (tx *Tx) revive(id MailboxID, o CreateOptions) (*Mailbox, error) {
	box, err := tx.edit(id)
	if err != nil {
		return nil, err
	}
	box.NoSelect, box.SpecialUse = false, o.SpecialUse
	if box.UIDValidity, err = tx.uidValidity(); err != nil {
		return nil, err
	}
	box.UIDNext, box.recentFrom = 1, 1
	if box.acl != nil {
		return box, nil
	}
	return box, tx.inherit(box)
}

func (tx *Tx) makeParents(name string) error {
	parent := mail.ParentMailbox(name)
	if parent == "" {
		return nil
	}
	if _, ok := tx.next.findName(parent); ok {
		return nil
	}
	if err := tx.makeParents(parent); err != nil {
		return err
	}
	_, err := tx.insertMailbox(parent, CreateOptions{})
	return err
}

func (tx *Tx) insertMailbox(name string, o CreateOptions) (*Mailbox, error) {
	if len(tx.next.boxes) >= MailboxesMax {
		return nil, errs.New("store.CreateMailbox", errs.Limit, "the account has too many mailboxes")
	}
	validity, err := tx.uidValidity()
	if err != nil {
		return nil, err
	}
	box := &Mailbox{ID: MailboxID(tx.next.account.nextMailbox), Name: name, UIDValidity: validity, UIDNext: 1, ModSeq: tx.ModSeq(),
		SpecialUse: o.SpecialUse, Created: tx.a.s.opts.Now(), recentFrom: 1}
	tx.next.account.nextMailbox++
	tx.ownBoxes()
	tx.place(box)
	tx.dirty[box.ID] = box
	tx.ownLists()
	tx.setList(newList(box.ID, tx.ModSeq(), nil))
	tx.changed = true
	return box, tx.inherit(box)
}

// place puts a mailbox where its name belongs.
func (tx *Tx) place(box *Mailbox) {
	i, _ := tx.next.findName(box.Name)
	tx.next.boxes = slices.Insert(tx.next.boxes, i, box)
}

// uidValidity returns a value above all that this account gave before, so
// that a mailbox with a name used before never looks like the old one (RFC
// 3501 §2.3.1.1). The time makes it larger than those of an account of the
// same name that was deleted.
func (tx *Tx) uidValidity() (uint32, error) {
	last := tx.next.account.uidValidity
	if last == math.MaxUint32 {
		return 0, errs.New("store.CreateMailbox", errs.Limit, "the account has no UIDVALIDITY left")
	}
	now := tx.a.s.opts.Now().Unix()
	tx.next.account.uidValidity = max(last+1, uint32(min(max(now, 1), math.MaxUint32/2)))
	return tx.next.account.uidValidity, nil
}

// RenameMailbox gives a mailbox and those below it another name; ids and
// UIDVALIDITY stay. Renaming INBOX moves its messages into the new mailbox
// and leaves it empty, with its children (RFC 3501 §6.3.5). Errors: NotFound,
// Exists, Invalid, Limit.
func (tx *Tx) RenameMailbox(id MailboxID, name string) error {
	const op = "store.RenameMailbox"
	box, err := tx.next.MailboxByID(id)
	if err != nil {
		return err
	}
	if name, err = mail.CanonicalMailbox(name); err != nil {
		return err
	}
	if _, ok := tx.next.findName(name); ok {
		return errs.New(op, errs.Exists, "the mailbox exists already")
	}
	if box.Name == mail.Inbox {
		return tx.renameInbox(box, name)
	}
	old := box.Name
	below := old + string(mail.Separator)
	if strings.HasPrefix(name, below) {
		return errs.New(op, errs.Invalid, "a mailbox cannot be moved below itself")
	}
	var ids []MailboxID
	for _, b := range tx.next.boxes {
		if b.ID == id || strings.HasPrefix(b.Name, below) {
			if _, err := mail.CanonicalMailbox(name + b.Name[len(old):]); err != nil {
				return err
			}
			ids = append(ids, b.ID)
		}
	}
	if err := tx.makeParents(name); err != nil {
		return err
	}
	for _, id := range ids {
		b, err := tx.edit(id)
		if err != nil {
			return err
		}
		i, _ := tx.next.findName(b.Name)
		tx.next.boxes = slices.Delete(tx.next.boxes, i, i+1)
		b.Name = name + b.Name[len(old):]
		tx.place(b)
	}
	return nil
}

func (tx *Tx) renameInbox(inbox *Mailbox, name string) error {
	to, err := tx.CreateMailbox(name, CreateOptions{})
	if err != nil {
		return err
	}
	if inbox.Messages == 0 {
		return nil
	}
	_, err = tx.Move(inbox.ID, mail.UIDSet{{First: 1, Last: mail.UIDMax}}, to.ID, ByOwner)
	return err
}

// DeleteMailbox deletes a mailbox with its messages, which stay for the
// retention time. With mailboxes below it the name stays, not selectable (RFC
// 3501 §6.3.4). Errors: NotFound, Denied (INBOX), Invalid (only a name).
func (tx *Tx) DeleteMailbox(id MailboxID) error {
	const op = "store.DeleteMailbox"
	box, err := tx.next.MailboxByID(id)
	switch {
	case err != nil:
		return err
	case box.Name == mail.Inbox:
		return errs.New(op, errs.Denied, "INBOX cannot be deleted")
	}
	children := tx.next.HasChildren(box.Name)
	if box.NoSelect && children {
		return errs.New(op, errs.Invalid, "the mailbox has mailboxes below it")
	}
	if box.Messages > 0 {
		if _, err := tx.Expunge(id, mail.UIDSet{{First: 1, Last: mail.UIDMax}}); err != nil {
			return err
		}
	}
	if box, err = tx.edit(id); err != nil {
		return err
	}
	tx.dropNotes(id)
	tx.dropAccessKey(id)
	tx.dropPushMailbox(id)
	tx.batch.Put(key8(rowDeleted, uint64(id)), box.encodeDeleted(tx.a.s.opts.Now()))
	if err := tx.setACL(id, nil); err != nil { // RFC 4314 §4, DELETE
		return err
	}
	if children {
		box.NoSelect, box.SpecialUse, box.Keywords = true, 0, nil
		return nil
	}
	delete(tx.dirty, id)
	tx.batch.Delete(key8(rowMailbox, uint64(id)))
	i, _ := tx.next.findName(box.Name)
	tx.next.boxes = slices.Delete(tx.next.boxes, i, i+1)
	tx.ownLists()
	tx.next.endGrowing()
	delete(tx.next.lists, id)
	return tx.dropEmptyParent(box.Name)
}

// dropEmptyParent removes a name that had only children when the last one
// went.
func (tx *Tx) dropEmptyParent(name string) error {
	parent := mail.ParentMailbox(name)
	i, ok := tx.next.findName(parent)
	if parent == "" || !ok || !tx.next.boxes[i].NoSelect || tx.next.HasChildren(parent) {
		return nil
	}
	return tx.DeleteMailbox(tx.next.boxes[i].ID)
}

// SetSpecialUse replaces a mailbox's special uses. Errors: NotFound.
func (tx *Tx) SetSpecialUse(id MailboxID, use mail.SpecialUse) error {
	box, err := tx.edit(id)
	if err == nil {
		box.SpecialUse = use
	}
	return err
}

// Subscribe adds a name, of a mailbox or not. Errors: Invalid, Limit.
func (tx *Tx) Subscribe(name string) error {
	name, err := mail.CanonicalMailbox(name)
	if err != nil {
		return err
	}
	i, ok := slices.BinarySearch(tx.next.subs, name)
	if ok {
		return nil
	}
	if len(tx.next.subs) >= MailboxesMax {
		return errs.New("store.Subscribe", errs.Limit, "the account has too many subscriptions")
	}
	tx.next.subs = slices.Insert(slices.Clone(tx.next.subs), i, name)
	tx.batch.Put(append([]byte{rowSubscribe}, name...), []byte{rowVersion})
	tx.changed = true
	return nil
}

// Unsubscribe removes a name. Errors: NotFound when it is not subscribed.
func (tx *Tx) Unsubscribe(name string) error {
	canonical, err := mail.CanonicalMailbox(name)
	if err != nil {
		canonical = name
	}
	i, ok := slices.BinarySearch(tx.next.subs, canonical)
	if !ok {
		return errs.New("store.Unsubscribe", errs.NotFound, "not subscribed")
	}
	tx.next.subs = slices.Delete(slices.Clone(tx.next.subs), i, i+1)
	tx.batch.Delete(append([]byte{rowSubscribe}, canonical...))
	tx.changed = true
	return nil
}
