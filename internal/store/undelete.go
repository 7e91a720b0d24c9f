package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// grave is a tombstone that still holds messages.
type grave struct {
	key     []byte
	mailbox MailboxID
	name    string   // of the mailbox, now or when it was deleted
	box     *Mailbox // likewise; nil: it left no trace
	tombstone
}

// lostName is where messages go whose mailbox left no name.
const lostName = "Restored"

// readGraves yields the tombstones that hold messages, by mailbox and time. An
// unreadable one yields an error of kind Corrupt, and the others follow.
func readGraves(snap engine.Snapshot) iter.Seq2[*grave, error] {
	return func(yield func(*grave, error) bool) {
		boxes := map[MailboxID]*Mailbox{}
		for _, prefix := range []byte{rowDeleted, rowMailbox} {
			for p, err := range snap.Scan([]byte{prefix}, []byte{prefix + 1}) {
				if err != nil {
					yield(nil, err)
					return
				}
				if len(p.Key) != 9 {
					continue
				}
				id := MailboxID(binary.BigEndian.Uint64(p.Key[1:]))
				if box, ok := decodeMailbox(id, p.Value); ok {
					boxes[id] = box
				}
			}
		}
		for p, err := range snap.Scan([]byte{rowTombstone}, []byte{rowTombstone + 1}) {
			g := &grave{}
			if err == nil {
				g, err = readGrave(p.Key, p.Value)
			}
			if err == nil && len(g.messages) == 0 {
				continue
			}
			if err == nil {
				g.name = lostName
				if box := boxes[g.mailbox]; box != nil {
					g.name, g.box = box.Name, box
				}
			}
			if !yield(g, err) {
				return
			}
		}
	}
}

func readGrave(key, value []byte) (*grave, error) {
	t, ok := decodeTombstone(value)
	if !ok || len(key) < 9 {
		return nil, corruptRow("store.readGraves", fmt.Sprintf("the record %x of expunged messages cannot be read", key))
	}
	return &grave{key: slices.Clone(key), mailbox: MailboxID(binary.BigEndian.Uint64(key[1:])), tombstone: t}, nil
}

// buriedBox is a deleted mailbox, or one with expunged messages.
type buriedBox struct {
	*Mailbox
	at      int64 // when it was deleted, 0 for not
	oldest  int64 // of its graves, 0 for none
	deleted bool
}

func (b buriedBox) due(until time.Time) bool {
	return b.oldest != 0 && b.oldest <= until.Unix() || b.deleted && b.at <= until.Unix()
}

// readBuried returns the deleted mailboxes and those with graves.
func readBuried(space engine.Space) (all []buriedBox, err error) {
	snap, err := space.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	for p, err := range snap.Scan([]byte{rowDeleted}, []byte{rowDeleted + 1}) {
		if err != nil {
			return nil, err
		}
		if len(p.Key) != 9 {
			continue
		}
		if box, at, ok := decodeDeleted(MailboxID(binary.BigEndian.Uint64(p.Key[1:])), p.Value); ok {
			all = append(all, buriedBox{Mailbox: box, at: at, deleted: true})
		}
	}
	for g, err := range readGraves(snap) {
		if errs.Is(err, errs.Corrupt) {
			continue // Check reports it
		}
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(b buriedBox) bool { return b.ID == g.mailbox })
		if i < 0 {
			i, all = len(all), append(all, buriedBox{Mailbox: &Mailbox{ID: g.mailbox, Name: g.name}})
		}
		if b := &all[i]; b.oldest == 0 || g.at < b.oldest {
			b.oldest = g.at
		}
	}
	return all, nil
}

// Selection says which expunged messages are meant. Zero values mean all.
type Selection struct {
	Mailbox      string      // this one and those below it
	UIDs         mail.UIDSet // that they had
	Since, Until time.Time   // when they were expunged
	Into         string      // the mailbox that Restore puts them into; default: where they were
}

func (s Selection) mailbox(name string) bool {
	return s.Mailbox == "" || name == s.Mailbox || strings.HasPrefix(name, s.Mailbox+string(mail.Separator))
}

func (s Selection) time(at int64) bool {
	return (s.Since.IsZero() || at >= s.Since.Unix()) && (s.Until.IsZero() || at <= s.Until.Unix())
}

func (s Selection) message(m *Message) bool { return len(s.UIDs) == 0 || s.UIDs.Contains(m.UID) }

// Expunged is one message that can be restored.
type Expunged struct {
	Message
	Mailbox string
	At      time.Time // when it was expunged
	// Annotations are those that can be read.
	Annotations []Annotation
}

// Expunged yields the messages of a selection, by mailbox and time. One that
// cannot be read yields an error of kind Corrupt, and the others follow.
func (a *Account) Expunged(ctx context.Context, sel Selection) iter.Seq2[Expunged, error] {
	return func(yield func(Expunged, error) bool) {
		snap, err := a.space.Snapshot()
		if err != nil {
			yield(Expunged{}, errs.Wrap("store.Expunged", err))
			return
		}
		defer snap.Close()
		for g, err := range readGraves(snap) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				if !yield(Expunged{}, errs.Wrap("store.Expunged", err)) || !errs.Is(err, errs.Corrupt) {
					return
				}
				continue
			}
			if !sel.mailbox(g.name) || !sel.time(g.at) {
				continue
			}
			for i := range g.messages {
				m := &g.messages[i]
				annotations, _ := decodeAnnotations(g.annotations[m.UID])
				if sel.message(m) && !yield(Expunged{*m, g.name, time.Unix(g.at, 0), annotations}, nil) {
					return
				}
			}
		}
	}
}

// Restored is what Restore and Erase did.
type Restored struct {
	Mailboxes []string // made
	Messages  int
	Octets    Octets
}

// restoreMax is how many messages one commit restores or erases.
const restoreMax = 1000

// Restore brings expunged messages and deleted mailboxes back: with flags (but
// \Deleted), keywords, dates and annotations, under new UIDs, beside what is
// there. A second call finds nothing more to do. Errors: Invalid, Limit.
func (a *Account) Restore(ctx context.Context, sel Selection) (done Restored, err error) {
	if sel.Into != "" {
		if sel.Into, err = mail.CanonicalMailbox(sel.Into); err != nil {
			return done, err
		}
	}
	buried, err := readBuried(a.space)
	if err != nil {
		return done, errs.Wrap("store.Restore", err)
	}
	were := formerly{}
	for _, b := range buried {
		were[b.Name] = b.Mailbox // of several the last
	}
	err = a.exhume(ctx, sel, &done, func(tx *Tx, g *grave, chosen []Message, out *Restored) error {
		name, was := g.name, g.box
		if sel.Into != "" {
			name, was = sel.Into, nil
		}
		box, err := were.restore(tx, name, was, out)
		if err != nil {
			return err
		}
		return tx.restoreMessages(box.ID, chosen, g.annotations)
	})
	if err == nil && sel.Into == "" && len(sel.UIDs) == 0 {
		err = a.forEachDeleted(ctx, sel, &done, func(tx *Tx, box *Mailbox, out *Restored) error {
			_, err := were.restore(tx, box.Name, box, out)
			return err
		})
	}
	return done, err
}

// Erase lets go of the octets of expunged messages before their time. They
// cannot be restored then.
func (a *Account) Erase(ctx context.Context, sel Selection) (done Restored, err error) {
	err = a.exhume(ctx, sel, &done, func(tx *Tx, g *grave, chosen []Message, _ *Restored) error {
		for i := range chosen {
			tx.batch.Drop(chosen[i].Blob)
		}
		return nil
	})
	if err == nil && len(sel.UIDs) == 0 {
		err = a.forEachDeleted(ctx, sel, &done, func(*Tx, *Mailbox, *Restored) error { return nil })
	}
	return done, err
}

// add counts what one commit did.
func (r *Restored) add(one Restored) {
	r.Mailboxes = append(r.Mailboxes, one.Mailboxes...)
	r.Messages += one.Messages
	r.Octets += one.Octets
}

// exhume takes the selected messages out of their graves, in commits of
// restoreMax messages that do also makes use of.
func (a *Account) exhume(ctx context.Context, sel Selection, done *Restored, do func(tx *Tx, g *grave, chosen []Message, out *Restored) error) error {
	graves, err := a.graves(sel)
	for err == nil && len(graves) > 0 {
		var one Restored
		var finished int
		_, err = a.Update(ctx, func(tx *Tx) error {
			// Who restores wants the mail back, and can free room afterwards.
			tx.beyondQuota = true
			one, finished = Restored{}, 0
			for _, g := range graves {
				all, err := a.exhumeOne(tx, g, sel, restoreMax-one.Messages, &one, do)
				if err != nil || !all {
					return err
				}
				finished++
				if tx.annotations.octets > annotationsUpdateMax/2 { // one grave has fewer
					break
				}
			}
			return nil
		})
		if err == nil {
			graves = graves[finished:]
			done.add(one)
		}
	}
	return errs.Wrap("store.Restore", err)
}

// exhumeOne takes at most n messages out of a grave and reports whether these
// were all.
func (a *Account) exhumeOne(tx *Tx, g *grave, sel Selection, n int, out *Restored, do func(tx *Tx, g *grave, chosen []Message, out *Restored) error) (all bool, err error) {
	now, err := a.grave(g)
	if err != nil {
		return false, err
	}
	var chosen, left []Message
	all = true
	for _, m := range now.messages {
		wanted := sel.message(&m)
		if wanted && len(chosen) < n {
			chosen = append(chosen, m)
			out.Messages++
			out.Octets += m.Size
			continue
		}
		all = all && !wanted
		left = append(left, m)
	}
	if len(chosen) == 0 {
		return all, nil
	}
	now.messages = left
	tx.batch.Put(now.key, now.encode(&Mailbox{Keywords: now.keywords}))
	tx.changed = true
	return all, do(tx, now, chosen, out)
}

// graves returns the graves of a selection without their messages.
func (a *Account) graves(sel Selection) (graves []*grave, err error) {
	snap, err := a.space.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	for g, err := range readGraves(snap) {
		if errs.Is(err, errs.Corrupt) {
			continue // Check reports it
		}
		if err != nil {
			return nil, err
		}
		if sel.mailbox(g.name) && sel.time(g.at) {
			g.tombstone = tombstone{}
			graves = append(graves, g)
		}
	}
	return graves, nil
}

// grave reads a grave as it is now.
func (a *Account) grave(g *grave) (*grave, error) {
	snap, err := a.space.Snapshot()
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	value, err := snap.Get(g.key)
	if err != nil {
		return nil, err
	}
	now, err := readGrave(g.key, value)
	if err == nil {
		now.name, now.box = g.name, g.box
	}
	return now, err
}

// formerly is the mailboxes that were deleted, by name.
type formerly map[string]*Mailbox

// restore returns the mailbox of a name, made if it is missing: as it was once,
// if that is known, with its special use and access rights, and so those above it.
func (f formerly) restore(tx *Tx, name string, was *Mailbox, out *Restored) (*Mailbox, error) {
	if i, ok := tx.next.findName(name); ok && !tx.next.boxes[i].NoSelect {
		return tx.next.boxes[i], nil
	}
	if parent := mail.ParentMailbox(name); f[parent] != nil {
		if _, err := f.restore(tx, parent, f[parent], out); err != nil {
			return nil, err
		}
	}
	out.Mailboxes = append(out.Mailboxes, name)
	if was == nil {
		return tx.CreateMailbox(name, CreateOptions{})
	}
	use := was.SpecialUse
	for _, b := range tx.next.boxes {
		use &^= b.SpecialUse // one mailbox for each use
	}
	box, err := tx.CreateMailbox(name, CreateOptions{SpecialUse: use})
	if err != nil {
		return nil, err
	}
	return box, tx.setACL(box.ID, was.acl)
}

// restoreMessages adds messages whose blobs are kept already.
func (tx *Tx) restoreMessages(mb MailboxID, chosen []Message, annotations map[mail.UID][]byte) error {
	box, err := tx.target(mb, len(chosen))
	if err != nil {
		return err
	}
	edit := tx.editLoaded(mb)
	for _, m := range chosen {
		row := annotations[m.UID]
		m.SaveDate = tx.a.s.opts.Now().Unix()
		m.Flags = m.Flags.Minus(mail.NewFlags(mail.Deleted))
		if m.Flags, err = tx.keywords(box, m.Flags); err != nil {
			return err
		}
		tx.add(box, edit, &m)
		if row != nil {
			if err := tx.putAnnotations(mb, m.UID, row); err != nil {
				return err
			}
		}
	}
	if edit != nil {
		tx.setList(edit.list(tx.ModSeq()))
	}
	return nil
}

// forEachDeleted calls do for each selected deleted mailbox without graves, and
// forgets that it was deleted.
func (a *Account) forEachDeleted(ctx context.Context, sel Selection, done *Restored, do func(*Tx, *Mailbox, *Restored) error) error {
	var one Restored
	_, err := a.Update(ctx, func(tx *Tx) error {
		one = Restored{}
		buried, err := readBuried(a.space)
		if err != nil {
			return err
		}
		for _, b := range buried {
			if !b.deleted || b.oldest != 0 || !sel.mailbox(b.Name) || !sel.time(b.at) {
				continue
			}
			if err := do(tx, b.Mailbox, &one); err != nil {
				return err
			}
			tx.batch.Delete(key8(rowDeleted, uint64(b.ID)))
			tx.changed = true
		}
		return nil
	})
	if err == nil {
		done.add(one)
	}
	return errs.Wrap("store.Restore", err)
}

// DeletedMailboxes returns the mailboxes that were deleted and can be restored,
// by name, with the time.
func (a *Account) DeletedMailboxes() (names []DeletedMailbox, err error) {
	buried, err := readBuried(a.space)
	if err != nil {
		return nil, errs.Wrap("store.DeletedMailboxes", err)
	}
	for _, b := range buried {
		if b.deleted {
			names = append(names, DeletedMailbox{b.Name, time.Unix(b.at, 0)})
		}
	}
	slices.SortFunc(names, func(a, b DeletedMailbox) int { return strings.Compare(a.Name, b.Name) })
	return names, nil
}

// DeletedMailbox is a mailbox that can be restored.
type DeletedMailbox struct {
	Name    string
	Deleted time.Time
}
