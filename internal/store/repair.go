package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// rowQuarantine and the key of a row holds that row, which could not be used,
// as it was. Nothing reads it but people.
const rowQuarantine = 'Z'

// Fix is what Repair did, or would do.
type Fix struct {
	Account string
	Mailbox string   // empty: the account itself
	UID     mail.UID // 0: the mailbox itself
	What    string
}

func (f Fix) String() string {
	return Finding{Account: f.Account, Mailbox: f.Mailbox, UID: f.UID, What: f.What}.String()
}

// Repair makes every account consistent with itself and with the messages that
// can be read. What cannot be used is set aside within the account, never
// deleted: rows as they are, messages without octets with all that is known of
// them. Only access keys and push registrations, which are no mail, are removed. With dryRun it only says what it would do. A second call finds nothing.
// Nobody else may use the store meanwhile.
func (s *Store) Repair(ctx context.Context, dryRun bool, progress func(accounts, of int)) (fixes []Fix, err error) {
	all, err := s.restorable("")
	if err != nil {
		return nil, errs.Wrap("store.Repair", err)
	}
	for i, info := range all {
		r := &repairer{s: s, ctx: ctx, name: info.Name, id: info.ID, boxes: map[MailboxID]*Mailbox{}, changed: map[MailboxID]bool{}, kept: map[MailboxID]mail.UIDSet{}}
		if err := r.account(dryRun); err != nil {
			return fixes, errs.Wrap("store.Repair", fmt.Errorf("%s: %w", info.Name, err))
		}
		fixes = append(fixes, r.fixes...)
		progress(i+1, len(all))
	}
	return fixes, nil
}

// repairer repairs one account.
type repairer struct {
	s       *Store
	ctx     context.Context
	name    string
	snap    engine.Snapshot
	modseq  mail.ModSeq // of the commit that repairs
	batch   engine.Batch
	memory  rowMemory // of rows in batch
	fixes   []Fix
	boxes   map[MailboxID]*Mailbox
	changed map[MailboxID]bool
	kept    map[MailboxID]mail.UIDSet // messages
	id      AccountID
	sharees map[string]bool
}

func (r *repairer) fix(mailbox string, uid mail.UID, what string, a ...any) {
	r.fixes = append(r.fixes, Fix{r.name, mailbox, uid, fmt.Sprintf(what, a...)})
}

// setAside moves a row to where nobody reads it.
func (r *repairer) setAside(p engine.Pair) {
	key, value := slices.Clone(p.Key), slices.Clone(p.Value)
	r.batch.Put(append([]byte{rowQuarantine}, key...), value)
	r.batch.Delete(key)
}

func (r *repairer) account(dryRun bool) error {
	space, err := r.s.engine.Space(r.ctx, engine.SpaceID(r.id))
	if err != nil {
		return err
	}
	if r.snap, err = space.Snapshot(); err != nil {
		return err
	}
	defer r.snap.Close()
	version := r.snap.Version()
	r.modseq = mail.ModSeq(version + 1)
	for _, step := range []func() error{r.readBoxes, r.readMessages, r.readAnnotations, r.readGraves, r.readNotes, r.readAccessKeys, r.readPushes, r.readACLs, r.readAccount} {
		if err := step(); err != nil {
			return err
		}
	}
	if len(r.fixes) == 0 || dryRun {
		return nil
	}
	for id := range r.changed {
		r.boxes[id].ModSeq = r.modseq
		r.batch.Put(key8(rowMailbox, uint64(id)), r.boxes[id].encode())
	}
	if _, err := space.Commit(r.ctx, version, &r.batch); err != nil {
		return err
	}
	if err := r.s.hintShares(r.ctx, r.id, r.sharees, false); err != nil {
		return err
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.s.mu.accounts, r.id) // its state in memory is of before
	return nil
}

// readBoxes reads the mailboxes. A row that cannot be read is set aside; its
// messages get a mailbox of another name.
func (r *repairer) readBoxes() error {
	for p, err := range r.snap.Scan([]byte{rowMailbox}, []byte{rowMailbox + 1}) {
		if err != nil {
			return err
		}
		if len(p.Key) == 9 {
			id := MailboxID(binary.BigEndian.Uint64(p.Key[1:]))
			if box, ok := decodeMailbox(id, p.Value); ok {
				r.boxes[id] = box
				continue
			}
		}
		r.fix("", 0, "the mailbox row %x cannot be read: it is set aside", p.Key)
		r.setAside(p)
	}
	return nil
}

// box returns a message's mailbox, made anew if it is lost.
func (r *repairer) box(id MailboxID) *Mailbox {
	if r.boxes[id] == nil {
		name := fmt.Sprintf("Recovered-%d", id)
		now := r.s.opts.Now()
		r.boxes[id] = &Mailbox{ID: id, Name: name, UIDValidity: uint32(now.Unix()), UIDNext: 1, Created: now, recentFrom: 1}
		r.changed[id] = true
		r.fix(name, 0, "its mailbox is lost: messages are put into one of this name")
	}
	return r.boxes[id]
}

// readMessages recounts all mailboxes.
func (r *repairer) readMessages() error {
	counted := map[MailboxID]*Mailbox{}
	var last *repairList
	for p, err := range r.snap.Scan([]byte{rowMessage}, []byte{rowMessage + 1}) {
		if err != nil {
			return err
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if len(p.Key) != 13 {
			r.fix("", 0, "the message row %x cannot be read: it is set aside", p.Key)
			r.setAside(p)
			continue
		}
		id := MailboxID(binary.BigEndian.Uint64(p.Key[1:]))
		if last == nil || last.box.ID != id {
			if err := last.end(r, counted); err != nil {
				return err
			}
			last = &repairList{box: r.box(id)}
		}
		m, ok := decodeMessage(mail.UID(binary.BigEndian.Uint32(p.Key[9:])), &row{b: p.Value}, last.box)
		if !ok {
			r.fix(last.box.Name, mail.UID(binary.BigEndian.Uint32(p.Key[9:])), "the message's row cannot be read: it is set aside")
			r.setAside(p)
			continue
		}
		last.msgs = append(last.msgs, m)
	}
	if err := last.end(r, counted); err != nil {
		return err
	}
	for id, box := range r.boxes {
		want := counted[id]
		if want == nil {
			want = &Mailbox{UIDNext: 1}
		}
		r.recount(box, want)
	}
	return nil
}

// repairList is the messages of one mailbox.
type repairList struct {
	box  *Mailbox
	msgs []Message
}

// end checks the messages of a mailbox, with their newest flags.
func (l *repairList) end(r *repairer, counted map[MailboxID]*Mailbox) error {
	if l == nil {
		return nil
	}
	if err := r.readFlags(l); err != nil {
		return err
	}
	want := &Mailbox{UIDNext: 1}
	counted[l.box.ID] = want
	var lost tombstone
	for i := range l.msgs {
		m := &l.msgs[i]
		n, err := r.verify(m)
		if r.ctx.Err() != nil {
			return r.ctx.Err()
		}
		want.UIDNext = max(want.UIDNext, m.UID+1)
		if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.NotFound) {
			r.fix(l.box.Name, m.UID, "its %d octets of %s cannot be read (%v): the message is taken out of the mailbox", m.Size, m.InternalTime().Format("2006-01-02 15:04"), err)
			lost.uids, lost.messages = lost.uids.Append(m.UID), append(lost.messages, *m)
			continue
		}
		if err != nil {
			return err
		}
		if n != m.Size {
			r.fix(l.box.Name, m.UID, "the message has %d octets, its row says %d: the row is corrected", n, m.Size)
			m.Size = n
			r.batch.Put(r.memory.message(m, l.box))
		}
		want.Messages++
		want.Size += m.Size
		countFlags(want, m.Flags, 1)
		r.kept[l.box.ID] = r.kept[l.box.ID].Append(m.UID)
	}
	r.bury(l.box, lost)
	return nil
}

// verify reads a message, twice if need be: a disk may fail once.
func (r *repairer) verify(m *Message) (int64, error) {
	n, err := r.s.engine.Blobs().Verify(r.ctx, m.Blob)
	if errs.Is(err, errs.Corrupt) {
		n, err = r.s.engine.Blobs().Verify(r.ctx, m.Blob)
	}
	return n, err
}

// bury takes messages without octets out of a mailbox: clients learn that they
// are gone, and what is known of them stays.
func (r *repairer) bury(box *Mailbox, lost tombstone) {
	if len(lost.messages) == 0 {
		return
	}
	r.changed[box.ID] = true
	lost.at = r.s.opts.Now().Unix()
	key := slices.Concat(key8(rowTombstone, uint64(box.ID)), key8(0, uint64(r.modseq))[1:], []byte{0, 0, 0})
	r.batch.Put(append([]byte{rowQuarantine}, key...), lost.encode(box))
	for i := range lost.messages {
		r.batch.Delete(messageKey(rowMessage, box.ID, uint32(lost.messages[i].UID)))
		r.batch.Drop(lost.messages[i].Blob)
	}
	lost.messages = nil
	r.batch.Put(key, lost.encode(box))
}

// readFlags applies the flag rows of a mailbox.
func (r *repairer) readFlags(l *repairList) error {
	prefix := key8(rowFlags, uint64(l.box.ID))
	for p, err := range r.snap.Scan(prefix, prefixEnd(prefix)) {
		if err != nil {
			return err
		}
		ok := len(p.Key) == 13
		if ok {
			key := uint64(binary.BigEndian.Uint32(p.Key[9:])) // of any damage: it may be beyond all UIDs
			byUID := func(m Message, u uint64) int { return cmp.Compare(uint64(m.UID), u) }
			from, _ := slices.BinarySearchFunc(l.msgs, key<<flagsBits, byUID)
			to, _ := slices.BinarySearchFunc(l.msgs, (key+1)<<flagsBits, byUID)
			ok = applyFlagsRow([]*chunk{{msgs: l.msgs[from:to]}}, p.Value, l.box)
		}
		if !ok {
			r.fix(l.box.Name, 0, "the flags row %x cannot be read: it is set aside, the flags are those at arrival or of a later change", p.Key)
			r.setAside(p)
		}
	}
	return nil
}

// recount corrects a mailbox's counters.
func (r *repairer) recount(box, want *Mailbox) {
	if box.Messages != want.Messages || box.Size != want.Size || box.Unseen != want.Unseen || box.Deleted != want.Deleted {
		r.fix(box.Name, 0, "it holds %d messages, %d octets, %d unseen, %d deleted; its row says %d, %d, %d, %d: the row is corrected",
			want.Messages, want.Size, want.Unseen, want.Deleted, box.Messages, box.Size, box.Unseen, box.Deleted)
		box.Messages, box.Size, box.Unseen, box.Deleted = want.Messages, want.Size, want.Unseen, want.Deleted
		r.changed[box.ID] = true
	}
	if box.UIDNext < want.UIDNext {
		r.fix(box.Name, 0, "UIDNEXT is %d: it becomes %d", box.UIDNext, want.UIDNext)
		box.UIDNext = want.UIDNext
		r.changed[box.ID] = true
	}
}

// readGraves takes what cannot be read out of what undelete could restore.
func (r *repairer) readGraves() error {
	for p, err := range r.snap.Scan([]byte{rowTombstone}, []byte{rowTombstone + 1}) {
		if err != nil {
			return err
		}
		g, err := readGrave(p.Key, p.Value)
		if err != nil {
			r.fix("", 0, "the record %x of expunged messages cannot be read: it is set aside", p.Key)
			r.setAside(p)
			continue
		}
		lost := slices.Clone(g.messages)
		g.messages = slices.DeleteFunc(g.messages, func(m Message) bool {
			_, err := r.verify(&m)
			return errs.Is(err, errs.Corrupt) || errs.Is(err, errs.NotFound)
		})
		if len(lost) == len(g.messages) {
			continue
		}
		r.batch.Put(append([]byte{rowQuarantine}, g.key...), slices.Clone(p.Value))
		r.batch.Put(g.key, g.encode(&Mailbox{Keywords: g.keywords}))
		for _, m := range lost {
			if !slices.ContainsFunc(g.messages, func(kept Message) bool { return kept.UID == m.UID }) {
				r.fix("", m.UID, "the octets of an expunged message cannot be read: it can no longer be restored")
				r.batch.Drop(m.Blob)
			}
		}
	}
	return r.ctx.Err()
}

// readAnnotations sets annotations aside that cannot be read, and those of
// messages that are not there.
func (r *repairer) readAnnotations() error {
	for p, err := range r.snap.Scan([]byte{rowAnnotation}, []byte{rowAnnotation + 1}) {
		if err != nil {
			return err
		}
		if uid, ok := annotationUID(p.Key); ok && r.kept[MailboxID(decodeID(p.Key[1:]))].Contains(uid) {
			all, ok := decodeAnnotations(p.Value)
			if ok && !slices.ContainsFunc(all, func(a Annotation) bool { return a.ModSeq > r.modseq }) {
				continue
			}
		}
		r.fix("", 0, "the row %x of annotations cannot be read, or its message is not there: it is set aside", p.Key)
		r.setAside(p)
	}
	return nil
}

// readNotes sets entries of METADATA aside that cannot be read.
func (r *repairer) readNotes() error {
	for p, err := range r.snap.Scan([]byte{rowNote}, []byte{rowNote + 1}) {
		if err != nil {
			return err
		}
		if _, _, ok := decodeNote(p.Value); !ok || len(p.Key) < 9 {
			r.fix("", 0, "the METADATA row %x cannot be read: it is set aside", p.Key)
			r.setAside(p)
		}
	}
	return nil
}

// readAccessKeys removes access keys that cannot be read or have no mailbox.
// They are no mail, and a secret is not kept where nobody looks after it.
func (r *repairer) readAccessKeys() error {
	for p, err := range r.snap.Scan([]byte{rowAccessKey}, []byte{rowAccessKey + 1}) {
		if err != nil {
			return err
		}
		if _, ok := decodeAccessKey(p.Value); ok && len(p.Key) == 9 && r.boxes[MailboxID(decodeID(p.Key[1:]))] != nil {
			continue
		}
		r.fix("", 0, "the access key %x is of no use: it is removed, URLs that it authorized are no longer", p.Key)
		r.batch.Delete(slices.Clone(p.Key))
	}
	return nil
}

// readPushes removes push registrations that cannot be read or are for mailboxes
// that are not there. Devices renew theirs within a day.
func (r *repairer) readPushes() error {
	for pair, err := range r.snap.Scan([]byte{rowPush}, []byte{rowPush + 1}) {
		if err != nil {
			return err
		}
		p, ok := decodePush(pair.Key, pair.Value)
		if ok && !slices.ContainsFunc(p.Mailboxes, func(id MailboxID) bool { return r.boxes[id] == nil || r.boxes[id].NoSelect }) {
			continue
		}
		r.fix("", 0, "the push registration %x is of no use: it is removed, and its device registers again", pair.Key)
		r.batch.Delete(slices.Clone(pair.Key))
	}
	return nil
}

// readACLs sets access rights aside that cannot be read or have no mailbox: then
// only the owner has any. Others that the registry does not know are noted there.
func (r *repairer) readACLs() error {
	sharees := Snapshot{}
	for p, err := range r.snap.Scan([]byte{rowACL}, []byte{rowACL + 1}) {
		if err != nil {
			return err
		}
		acl, ok := decodeACL(p.Value)
		if ok && len(p.Key) == 9 && r.boxes[MailboxID(decodeID(p.Key[1:]))] != nil {
			sharees.boxes = append(sharees.boxes, &Mailbox{acl: acl})
			continue
		}
		r.fix("", 0, "the row %x of access rights cannot be read, or its mailbox is not there: it is set aside, nobody but the owner has any", p.Key)
		r.setAside(p)
	}
	r.sharees = sharees.sharees()
	known := r.s.registry.sharees(r.id)
	for sharee := range r.sharees {
		if !known[sharee] {
			r.fix("", 0, "mailboxes are shared with %s, who was not shown them", sharee)
		}
	}
	return nil
}

// readAccount corrects the account's counters, and makes INBOX if it is lost.
func (r *repairer) readAccount() error {
	b, err := r.snap.Get([]byte{rowAccount})
	if err != nil && !errs.Is(err, errs.NotFound) {
		return err
	}
	have, ok := decodeAccount(b)
	want := have
	want.messages, want.octets = 0, 0
	inbox := false
	for id, box := range r.boxes {
		want.messages += uint64(box.Messages)
		want.octets += uint64(box.Size)
		want.nextMailbox = max(want.nextMailbox, uint64(id)+1)
		want.uidValidity = max(want.uidValidity, box.UIDValidity)
		inbox = inbox || strings.EqualFold(box.Name, mail.Inbox)
	}
	if !ok {
		// Message ids begin where none was given.
		want.nextMessage = max(want.nextMessage, uint64(r.s.opts.Now().UnixMicro()))
	}
	if !inbox {
		want.nextMailbox = max(want.nextMailbox, 1)
		id := MailboxID(want.nextMailbox)
		want.nextMailbox++
		want.uidValidity = max(want.uidValidity+1, uint32(r.s.opts.Now().Unix()))
		r.boxes[id] = &Mailbox{ID: id, Name: mail.Inbox, UIDValidity: want.uidValidity, UIDNext: 1, Created: r.s.opts.Now(), recentFrom: 1}
		r.changed[id] = true
		r.fix(mail.Inbox, 0, "it is missing: an empty one is made")
	}
	if !ok || want != have {
		r.fix("", 0, "the account's counters do not fit its mailboxes: they are corrected")
	}
	if len(r.fixes) > 0 && !bytes.Equal(b, want.encode()) {
		r.batch.Put([]byte{rowAccount}, want.encode())
	}
	return nil
}
