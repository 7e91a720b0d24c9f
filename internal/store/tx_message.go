package store

import (
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// AppendOptions of Append.
type AppendOptions struct {
	Flags        mail.Flags
	InternalDate time.Time // zero: now
	Annotations  []AnnotationChange
	// CopyOf is the message of another account whose ids this one has (RFC 8474
	// §5.1); nil: it has new ones.
	CopyOf     *Message
	CopiedFrom AccountID
}

// Append adds a staged message. The mailbox need not be in memory. Errors:
// NotFound, Invalid (a name only), Limit, TooBig (of annotations).
func (tx *Tx) Append(mb MailboxID, s *Staged, o AppendOptions) (mail.UID, error) {
	box, err := tx.target(mb, 1)
	if err != nil {
		return 0, err
	}
	now := tx.a.s.opts.Now()
	if o.InternalDate.IsZero() {
		o.InternalDate = now
	}
	_, offset := o.InternalDate.Zone()
	id := tx.next.account.nextMessage
	tx.next.account.nextMessage++
	m := Message{Zone: int16(offset / 60), Size: s.Size, InternalDate: o.InternalDate.Unix(), SaveDate: now.Unix(),
		ID: MessageID(id), Thread: ThreadID(id), Blob: s.blob}
	if from := o.CopyOf; from != nil {
		if id := carry(uint64(from.ID), o.CopiedFrom, tx.a.id); id != 0 {
			m.ID, m.Thread = MessageID(id), ThreadID(carry(uint64(from.Thread), o.CopiedFrom, tx.a.id))
		}
	}
	if m.Flags, err = tx.keywords(box, o.Flags); err == nil {
		err = checkKeywords(m.Flags)
	}
	if err != nil {
		return 0, err
	}
	annotations, annotated, err := annotate(nil, o.Annotations, tx.ModSeq())
	if err != nil {
		return 0, err
	}
	tx.add(box, tx.grow(mb), &m)
	tx.batch.Keep(m.Blob)
	tx.added = append(tx.added, m.Blob)
	if annotated {
		if err := tx.putAnnotations(mb, m.UID, encodeAnnotations(annotations)); err != nil {
			return 0, err
		}
	}
	return m.UID, nil
}

// target returns a mailbox that can take n more messages.
func (tx *Tx) target(mb MailboxID, n int) (*Mailbox, error) {
	box, err := tx.edit(mb)
	switch {
	case err != nil:
		return nil, err
	case box.NoSelect:
		return nil, errs.New("store.Append", errs.Invalid, "the mailbox cannot hold messages")
	case uint64(box.UIDNext)+uint64(n) > uint64(mail.UIDMax):
		return nil, errs.New("store.Append", errs.Limit, "the mailbox has no UID left")
	}
	return box, nil
}

// editLoaded starts to change a mailbox's list, if it is in memory.
func (tx *Tx) editLoaded(mb MailboxID) *listEdit {
	tx.ownLists()
	tx.next.endGrowing()
	if l := tx.next.lists[mb]; l != nil {
		return editList(l)
	}
	return nil
}

// add gives a message its UID in a mailbox and writes its row.
func (tx *Tx) add(box *Mailbox, edit *listEdit, m *Message) {
	m.UID, m.ModSeq = box.UIDNext, tx.ModSeq()
	box.UIDNext++
	tx.count(box, m, 1)
	tx.batch.Put(tx.memory.message(m, box))
	if edit != nil {
		edit.add(*m)
		return
	}
	if tx.next.unlisted == nil {
		tx.growUnlisted(box.ID, 1)
	}
	tx.next.unlisted[box.ID] = append(tx.next.unlisted[box.ID], *m)
}

// growUnlisted makes room for n more messages of a mailbox whose list is not in memory.
func (tx *Tx) growUnlisted(mb MailboxID, n int) {
	if tx.next.unlisted == nil {
		tx.next.unlisted = map[MailboxID][]Message{}
	}
	tx.next.unlisted[mb] = slices.Grow(tx.next.unlisted[mb], n)
}

// count changes the counters for one message more or less.
func (tx *Tx) count(box *Mailbox, m *Message, n int) {
	box.Messages += uint32(n)
	box.Size += int64(n) * m.Size
	tx.next.account.messages += uint64(n)
	tx.next.account.octets += uint64(int64(n) * m.Size)
	countFlags(box, m.Flags, n)
}

func countFlags(box *Mailbox, f mail.Flags, n int) {
	if !f.Has(mail.Seen) {
		box.Unseen += uint32(n)
	}
	if f.Has(mail.Deleted) {
		box.Deleted += uint32(n)
	}
}

// Copied is what COPY and MOVE did: the i-th of Source became the i-th of
// Target, both ascending (RFC 4315 §3).
type Copied struct {
	UIDValidity    uint32 // of the target
	Source, Target mail.UIDSet
}

// Copy copies those of the UIDs that exist. The copies share the octets and
// keep dates and message ids, and of flags and annotations what the copier may set.
// Errors: NotFound, Invalid, Limit.
func (tx *Tx) Copy(from MailboxID, uids mail.UIDSet, to MailboxID, by Copier) (Copied, error) {
	return tx.copy(from, uids, to, by, true)
}

// Copier is who copies or moves messages.
type Copier struct {
	Rights mail.Rights // for the target: what they do not allow is lost (RFC 4314 §4)
	Owner  bool        // of the account, whose private annotations are nobody else's to copy (RFC 5257 §4.6)
}

// ByOwner copies everything.
var ByOwner = Copier{mail.AllRights, true}

func (tx *Tx) copy(from MailboxID, uids mail.UIDSet, to MailboxID, by Copier, keep bool) (c Copied, err error) {
	source, err := tx.list(from)
	if err != nil {
		return c, err
	}
	found := source.Existing(uids)
	if len(found) == 0 {
		box, err := tx.next.MailboxByID(to)
		if err == nil {
			c.UIDValidity = box.UIDValidity
		}
		return c, err
	}
	box, err := tx.target(to, found.Len())
	if err != nil {
		return c, err
	}
	annotations, err := tx.annotationRows(from, found)
	if err != nil {
		return c, err
	}
	c = Copied{UIDValidity: box.UIDValidity, Source: found}
	tx.batch.Grow(2 * found.Len())
	tx.memory.rows = min(found.Len(), 1024)
	edit := tx.editLoaded(to)
	if edit == nil {
		tx.growUnlisted(to, found.Len())
	}
	for _, m := range source.Select(found) {
		if err := tx.step(); err != nil {
			return c, err
		}
		row, m := annotations[m.UID], *m
		m.SaveDate = tx.a.s.opts.Now().Unix()
		if m.Flags, err = tx.keywords(box, by.Rights.Allowed(m.Flags)); err != nil {
			return c, err
		}
		tx.add(box, edit, &m)
		c.Target = c.Target.Append(m.UID)
		if keep {
			tx.batch.Keep(m.Blob)
		}
		// What is moved stays the owner's, with the private annotations.
		if row = copiedAnnotations(row, by.Owner || !keep, by.Rights&mail.RightAnnotate != 0); row != nil {
			if err := tx.putAnnotations(to, m.UID, row); err != nil {
				return c, err
			}
		}
	}
	if edit != nil {
		tx.setList(edit.list(tx.ModSeq()))
	}
	return c, nil
}

// Move is Copy and Expunge in one. Errors: those of Copy, and Invalid when
// from is to.
func (tx *Tx) Move(from MailboxID, uids mail.UIDSet, to MailboxID, by Copier) (Copied, error) {
	if from == to {
		return Copied{}, errs.New("store.Move", errs.Invalid, "messages cannot be moved to the mailbox they are in")
	}
	c, err := tx.copy(from, uids, to, by, false)
	if err == nil && len(c.Source) > 0 {
		_, err = tx.remove(from, c.Source, false)
	}
	return c, err
}

// Expunge removes those of the UIDs that exist, whatever their flags, and
// returns them. Their octets stay for the retention time. Errors: NotFound.
func (tx *Tx) Expunge(mb MailboxID, uids mail.UIDSet) (mail.UIDSet, error) {
	return tx.remove(mb, uids, true)
}

func (tx *Tx) remove(mb MailboxID, uids mail.UIDSet, expunge bool) (mail.UIDSet, error) {
	l, err := tx.list(mb)
	if err != nil {
		return nil, err
	}
	found := l.Existing(uids)
	if len(found) == 0 {
		return nil, nil
	}
	box, err := tx.edit(mb)
	if err != nil {
		return nil, err
	}
	edit := editList(l)
	gone := edit.remove(found)
	tx.setList(edit.list(tx.ModSeq()))
	for i := range gone {
		if err := tx.step(); err != nil {
			return nil, err
		}
		tx.count(box, &gone[i], -1)
	}
	tx.dropMessageRows(mb, found)
	tx.dropFlagRows(mb, gone)
	kept := expunge && tx.a.retention() > 0
	annotations, err := tx.removeAnnotations(mb, found, kept)
	if err != nil {
		return nil, err
	}
	if expunge && !kept {
		tx.batch.Grow(len(gone))
		for i := range gone {
			tx.batch.Drop(gone[i].Blob)
		}
	}
	t := tombstone{at: tx.a.s.opts.Now().Unix(), uids: found}
	if kept {
		t.messages, t.annotations = gone, annotations
	}
	tx.bury(mb, t, box)
	return found, nil
}

// bury writes a tombstone, which joins one that this Update wrote for the
// mailbox before.
func (tx *Tx) bury(mb MailboxID, t tombstone, box *Mailbox) {
	key := slices.Concat(key8(rowTombstone, uint64(mb)), key8(0, uint64(tx.ModSeq()))[1:])
	key = append(key, byte(len(tx.batch.Ops)>>16), byte(len(tx.batch.Ops)>>8), byte(len(tx.batch.Ops)))
	tx.batch.Put(key, t.encode(box))
}

// rangeMin is the number of rows from which a deletion of them as one range is
// cheaper. An index looks at every range that was deleted lately whenever it
// reads, so that small ones would make each commit dearer than the one before.
const rangeMin = 128

// dropMessageRows deletes the rows of messages.
func (tx *Tx) dropMessageRows(mb MailboxID, uids mail.UIDSet) {
	for _, r := range uids {
		if r.Last-r.First >= rangeMin {
			tx.batch.DeleteRange(messageKey(rowMessage, mb, uint32(r.First)), append(messageKey(rowMessage, mb, uint32(r.Last)), 0))
			continue
		}
		for uid := r.First; uid-r.First <= r.Last-r.First; uid++ {
			tx.batch.Delete(messageKey(rowMessage, mb, uint32(uid)))
		}
	}
}

// dropFlagRows deletes the flag rows without messages, so that a row never
// outlives all its messages.
func (tx *Tx) dropFlagRows(mb MailboxID, gone []Message) {
	l := tx.next.lists[mb]
	last := -1
	for i := range gone {
		key := uint32(gone[i].UID) >> flagsBits
		if int(key) == last {
			continue
		}
		last = int(key)
		if len(flagsChunks(l.chunks, key)) == 0 {
			tx.batch.Delete(messageKey(rowFlags, mb, key))
		}
	}
}

// FlagOp is how SetFlags combines flags (RFC 3501 §6.4.6).
type FlagOp uint8

const (
	FlagsReplace FlagOp = iota
	FlagsAdd
	FlagsRemove
)

// Condition is that of STORE (RFC 7162 §3.1.3).
type Condition struct {
	Conditional    bool        // only messages not changed after UnchangedSince
	UnchangedSince mail.ModSeq // 0: only where nothing of what is stored exists
}

// forbids reports whether the condition keeps a message from being changed, of
// which exists tells whether it has something of what is stored.
func (c *Condition) forbids(m *Message, exists func() bool) bool {
	switch {
	case !c.Conditional:
		return false
	case c.UnchangedSince > 0:
		return m.ModSeq > c.UnchangedSince
	}
	return exists()
}

// FlagChange is what STORE asks for.
type FlagChange struct {
	Op    FlagOp
	Flags mail.Flags
	Lacks mail.Rights // of who changes them: flags that need these stay as they are (RFC 4314 §4)
	Condition
}

// exists reports whether a message has one of the flags: system flags always
// exist, a keyword where it is set.
func (c *FlagChange) exists(m *Message) bool {
	return c.Op == FlagsReplace || c.Flags.System != 0 || slices.ContainsFunc(c.Flags.Keywords(), m.Flags.HasKeyword)
}

// Apply returns what the change makes of a message's flags.
func (c FlagChange) Apply(f mail.Flags) mail.Flags {
	switch c.Op {
	case FlagsAdd:
		return f.Union(c.Flags)
	case FlagsRemove:
		return f.Minus(c.Flags)
	default:
		return c.Flags.Union(f.Minus((^c.Lacks).Allowed(f)))
	}
}

// SetFlags changes the flags of those of the UIDs that exist. Messages whose
// flags are as wanted already are not touched. modified are those that
// UnchangedSince kept from being changed. Errors: NotFound, Invalid, Limit.
func (tx *Tx) SetFlags(mb MailboxID, uids mail.UIDSet, c FlagChange) (modified mail.UIDSet, err error) {
	l, err := tx.list(mb)
	if err != nil {
		return nil, err
	}
	was, err := tx.next.MailboxByID(mb)
	if err != nil {
		return nil, err
	}
	probe := *was // the row is written only if something changes
	if c.Op != FlagsRemove {
		if c.Flags, err = tx.keywords(&probe, c.Flags); err != nil {
			return nil, err
		}
	}
	e := &flagsEdit{tx: tx, list: editList(l)}
	merge := flagMerger{change: c, known: map[mail.Flags]mail.Flags{}}
	for _, m := range l.Select(uids) {
		if err := tx.step(); err != nil {
			return nil, err
		}
		if c.forbids(m, func() bool { return c.exists(m) }) {
			modified = modified.Append(m.UID)
			continue
		}
		flags, err := merge.apply(m.Flags)
		if err != nil {
			return nil, err
		}
		if flags.Equal(m.Flags) {
			continue
		}
		if err := e.begin(mb); err != nil {
			return nil, err
		}
		e.box.Keywords = probe.Keywords
		countFlags(e.box, m.Flags, -1)
		countFlags(e.box, flags, 1)
		own := e.message(m.UID)
		own.Flags, own.ModSeq = flags, tx.ModSeq()
	}
	e.end()
	return modified, nil
}

// flagsEdit changes flags and mod-sequences in a mailbox's list.
type flagsEdit struct {
	tx      *Tx
	list    *listEdit
	box     *Mailbox        // nil: nothing was changed
	touched map[uint32]bool // flags rows to write
	own     *chunk          // of the message that was changed last
	next    int             // behind it
}

// begin is called before a change.
func (e *flagsEdit) begin(mb MailboxID) (err error) {
	if e.box == nil {
		e.touched = map[uint32]bool{}
		e.box, err = e.tx.edit(mb)
	}
	return err
}

// message returns a message of the list, whose flags the caller changes and to
// which it gives the mod-sequence of the Tx. Those of a chunk are found at once
// when they come in their order.
func (e *flagsEdit) message(u mail.UID) *Message {
	if key := uint32(u) >> chunkBits; e.own == nil || e.own.key != key {
		e.touched[uint32(u)>>flagsBits] = true
		i, _ := e.list.chunk(key)
		e.own, e.next = e.list.mine(i), 0
		e.own.newest = e.tx.ModSeq()
	}
	at := e.next
	if at == len(e.own.msgs) || e.own.msgs[at].UID != u {
		at, _ = findUID(e.own.msgs, u)
	}
	e.next = at + 1
	return &e.own.msgs[at]
}

// end writes what was changed.
func (e *flagsEdit) end() {
	if e.box == nil {
		return
	}
	e.tx.setList(e.list.list(e.tx.ModSeq()))
	for key := range e.touched {
		e.write(flagsChunks(e.list.chunks, key), key)
	}
}

// fewChanged is up to how many changed messages of a flags row are written as rows of
// their own: one of those has some 60 octets, a flags row up to 2,000.
const fewChanged = 8

// flagsRow names a flags row.
type flagsRow struct {
	box MailboxID
	key uint32
}

// write writes the messages of a flags row that were changed, or all of them.
func (e *flagsEdit) write(chunks []*chunk, key uint32) {
	row := flagsRow{e.box.ID, key}
	changed := changedFrom(chunks, e.tx.ModSeq(), fewChanged+1)
	if len(changed) <= fewChanged && !e.tx.flagged[row] {
		for _, m := range changed {
			e.tx.batch.Put(e.tx.memory.message(m, e.box))
		}
		return
	}
	if e.tx.flagged == nil {
		e.tx.flagged = map[flagsRow]bool{}
	}
	e.tx.flagged[row] = true
	e.tx.batch.Put(messageKey(rowFlags, e.box.ID, key), appendFlagsRow(nil, chunks, e.box))
}

// changedFrom returns the messages that have at least a mod-sequence, at most so many.
func changedFrom(chunks []*chunk, modseq mail.ModSeq, most int) (changed []*Message) {
	for _, c := range chunks {
		if c.newest < modseq {
			continue
		}
		for i := range c.msgs {
			if c.msgs[i].ModSeq < modseq {
				continue
			}
			if changed = append(changed, &c.msgs[i]); len(changed) == most {
				return changed
			}
		}
	}
	return changed
}

// flagMerger applies one change, once to each set of flags that there is: many
// messages have the same, and most the same as the one before, for which nothing
// is looked up.
type flagMerger struct {
	change      FlagChange
	known       map[mail.Flags]mail.Flags
	last, after mail.Flags // the flags of the one before, and with the change; once something is known
}

func (f *flagMerger) apply(flags mail.Flags) (mail.Flags, error) {
	if flags == f.last && len(f.known) > 0 {
		return f.after, nil
	}
	out, err := f.merge(flags)
	f.last, f.after = flags, out
	return out, err
}

func (f *flagMerger) merge(flags mail.Flags) (mail.Flags, error) {
	if out, ok := f.known[flags]; ok {
		return out, nil
	}
	out := f.change.Apply(flags)
	f.known[flags] = out
	if f.change.Op == FlagsRemove {
		return out, nil
	}
	return out, checkKeywords(out)
}

func checkKeywords(f mail.Flags) error {
	if strings.Count(f.KeywordText(), " ") >= MessageKeywordsMax {
		return errs.New("store.keywords", errs.Limit, "too many keywords for one message")
	}
	return nil
}
