package store

import (
	"context"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Opening is the list of a mailbox that may still be read from the engine. What a
// client wants to know first is in the Mailbox, and of 100,000 messages the list
// takes 50 ms.
//
// The account's write lock is held until the list is there: it is that of the
// Mailbox.
type Opening struct {
	box     *Mailbox
	version engine.Version
	space   engine.Space
	done    chan struct{} // closed when list or err is there
	list    *MessageList
	err     error
}

// openAtOnce is how many messages are read before Open returns: 2 ms.
const openAtOnce = 4096

// Open is Messages for who can do something meanwhile: it does not wait for the
// list of a large mailbox. ctx is that of the reading, too. Errors: NotFound,
// Corrupt.
func (a *Account) Open(ctx context.Context, id MailboxID) (*Mailbox, *Opening, error) {
	v, err := a.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	if v.lists[id] == nil {
		return a.openUnlisted(ctx, id)
	}
	box, err := v.MailboxByID(id)
	if err != nil {
		return nil, nil, err
	}
	o := &Opening{version: v.version, done: make(chan struct{}), list: v.lists[id]}
	close(o.done)
	return box, o, nil
}

// openUnlisted is Open when the list was not in memory.
func (a *Account) openUnlisted(ctx context.Context, id MailboxID) (*Mailbox, *Opening, error) {
	a.write.Lock()
	v := a.state.Load()
	box, err := v.MailboxByID(id)
	if err != nil {
		a.write.Unlock()
		return nil, nil, err
	}
	o := &Opening{box: box, version: v.version, space: a.space, done: make(chan struct{}), list: v.lists[id]}
	later := o.list == nil && box.Messages > openAtOnce
	read := func() {
		defer a.write.Unlock()
		defer close(o.done)
		if later {
			// It has a goroutine of its own, and a damaged index may make its library panic.
			defer errs.Recover("store.Open", "the mailbox cannot be read", &o.err)
		}
		if o.list == nil { // or somebody read it meanwhile
			o.list, o.err = a.readListLocked(ctx, box)
		}
		if later && o.err == nil && o.list.Len() != int(box.Messages) { // who opened it was told otherwise
			o.err = errs.New("store.Open", errs.Corrupt, "the mailbox does not have as many messages as it says: see angarium check")
		}
	}
	if later {
		a.s.wg.Go(read)
		return box, o, nil
	}
	read()
	return box, o, o.err
}

// ModSeq returns the account's mod-sequence at which the list is true.
func (o *Opening) ModSeq() mail.ModSeq { return mail.ModSeq(o.version) }

// Ready reports whether Wait would not have to wait.
func (o *Opening) Ready() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// Wait returns the list. Errors: Corrupt, and those of Open's ctx.
func (o *Opening) Wait() (*MessageList, error) {
	<-o.done
	return o.list, o.err
}

// CountFrom returns how many messages have this UID or a larger one. It waits for
// the list only if these are many, but not all. Errors: those of Wait.
func (o *Opening) CountFrom(u mail.UID) (int, error) {
	if !o.Ready() {
		if n, known, err := o.countRows(u); known || err != nil {
			return n, err
		}
	}
	l, err := o.Wait()
	if err != nil {
		return 0, err
	}
	i, _ := l.Find(u)
	return l.Len() - i, nil
}

// countRows is CountFrom without the list, and reports whether it knows.
func (o *Opening) countRows(u mail.UID) (n int, known bool, err error) {
	snap, err := o.space.Snapshot()
	if err != nil {
		return 0, false, errs.Wrap("store.Open", err)
	}
	defer snap.Close()
	if snap.Version() != o.version {
		return 0, false, nil // the list is there by now
	}
	before, err := countRows(snap, o.box.ID, 0, u, 1)
	switch {
	case err != nil:
		return 0, false, err
	case before == 0:
		return int(o.box.Messages), true, nil
	}
	n, err = countRows(snap, o.box.ID, u, o.box.UIDNext, openAtOnce+1)
	return n, n <= openAtOnce, err
}
