package store

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Tx is what an Update's function changes an account with. It is used by that
// function alone. What it changed is in its Snapshot at once.
type Tx struct {
	ctx     context.Context
	a       *Account
	next    *Snapshot
	was     accountRow // before
	batch   engine.Batch
	added   []engine.BlobID // of messages, by Append
	memory  rowMemory       // of rows in batch
	changed bool
	shared  bool                   // an ACL was changed
	dirty   map[MailboxID]*Mailbox // rows to write; also in next.boxes
	ownBox  bool                   // next.boxes is a copy
	ownList bool                   // next.lists is a copy
	spelled map[spelling]mail.Flags
	flagged map[flagsRow]bool // flags rows in batch

	annotations annotationEdits
	beyondQuota bool // the account's limits do not hold for this Update

	// Pace, unless it is nil, is called now and then by changes of many
	// messages and while they are committed, and may wait. Its error ends the
	// Update.
	Pace  func() error
	steps int
}

// step is called for each message of a change.
func (tx *Tx) step() error {
	if tx.steps++; tx.Pace == nil || tx.steps%256 != 0 {
		return nil
	}
	return tx.Pace()
}

func begin(ctx context.Context, a *Account, base *Snapshot) *Tx {
	next := *base
	next.version++
	next.tx = true
	return &Tx{ctx: ctx, a: a, next: &next, was: base.account, dirty: map[MailboxID]*Mailbox{}}
}

// Snapshot shows the account with the changes made so far. It is good until
// the Update's function returns.
func (tx *Tx) Snapshot() *Snapshot {
	tx.ownLists()
	return tx.next
}

// ModSeq is the mod-sequence that this Update's changes get.
func (tx *Tx) ModSeq() mail.ModSeq { return tx.next.ModSeq() }

// finish writes the rows that are written once however often they changed.
func (tx *Tx) finish() {
	for _, id := range slices.Sorted(maps.Keys(tx.dirty)) {
		box := tx.dirty[id]
		tx.a.mu.Lock()
		box.recentFrom = max(box.recentFrom, tx.a.mu.recent[id])
		tx.a.mu.Unlock()
		tx.batch.Put(key8(rowMailbox, uint64(id)), box.encode())
	}
	if tx.next.account != tx.was {
		tx.batch.Put([]byte{rowAccount}, tx.next.account.encode())
	}
	tx.next.endGrowing()
	tx.next.tx, tx.next.unlisted = false, nil
}

func (tx *Tx) ownBoxes() {
	if !tx.ownBox {
		tx.next.boxes, tx.ownBox = slices.Clone(tx.next.boxes), true
	}
}

func (tx *Tx) ownLists() {
	if !tx.ownList {
		tx.ownList = true
		if tx.next.lists = maps.Clone(tx.next.lists); tx.next.lists == nil {
			tx.next.lists = map[MailboxID]*MessageList{}
		}
	}
}

// edit returns a copy of a mailbox that may be changed and will be written.
func (tx *Tx) edit(id MailboxID) (*Mailbox, error) {
	if box := tx.dirty[id]; box != nil {
		return box, nil
	}
	was, err := tx.next.MailboxByID(id)
	if err != nil {
		return nil, err
	}
	tx.ownBoxes()
	box := *was
	box.ModSeq = tx.ModSeq()
	i, _ := tx.next.findName(box.Name)
	tx.next.boxes[i] = &box
	tx.dirty[id] = &box
	tx.changed = true
	return &box, nil
}

// list returns a mailbox's messages, loading them.
func (tx *Tx) list(id MailboxID) (*MessageList, error) {
	tx.ownLists()
	return tx.next.Messages(tx.ctx, id)
}

func (tx *Tx) setList(l *MessageList) { tx.next.lists[l.mailbox] = l }

// grow starts or goes on to append to a mailbox's list, if it is in memory. A
// list for each message would each time cost a copy of what refers to all chunks.
func (tx *Tx) grow(mb MailboxID) *listEdit {
	if g := tx.next.growing; g != nil && g.mailbox == mb {
		return g
	}
	tx.next.growing = tx.editLoaded(mb)
	return tx.next.growing
}

// keywords returns flags with each keyword in the mailbox's spelling, which
// the first use sets. Errors: Invalid, Limit.
func (tx *Tx) keywords(box *Mailbox, f mail.Flags) (mail.Flags, error) {
	if f.KeywordText() == "" {
		return mail.NewFlags(f.System), nil
	}
	of := spelling{box.ID, f}
	if spelled, ok := tx.spelled[of]; ok {
		return spelled, nil
	}
	names := f.Keywords()
	for i, k := range names {
		if !mail.ValidKeyword(k) {
			return f, errs.New("store.keywords", errs.Invalid, "a keyword is not an atom or too long")
		}
		at := slices.IndexFunc(box.Keywords, func(have string) bool { return strings.EqualFold(have, k) })
		if at < 0 {
			if len(box.Keywords) >= KeywordsMax {
				return f, errs.New("store.keywords", errs.Limit, "the mailbox has too many different keywords")
			}
			at = len(box.Keywords)
			box.Keywords = append(slices.Clip(box.Keywords), k)
		}
		names[i] = box.Keywords[at]
	}
	if tx.spelled == nil {
		tx.spelled = map[spelling]mail.Flags{}
	}
	tx.spelled[of] = mail.NewFlags(f.System, names...)
	return tx.spelled[of], nil
}

// spelling is flags that are to be spelled as a mailbox does.
type spelling struct {
	mailbox MailboxID
	flags   mail.Flags
}
