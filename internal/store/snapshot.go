package store

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

type publishedState = atomic.Pointer[Snapshot]

// Snapshot is an account at one point in time: immutable.
type Snapshot struct {
	acct      *Account
	version   engine.Version
	account   accountRow
	boxes     []*Mailbox // by name
	subs      []string   // sorted
	notes     []Note     // by mailbox and entry
	keys      map[MailboxID]AccessKey
	pushes    []Push
	lists     map[MailboxID]*MessageList
	annotated bool // false: no message has annotations
	tx        bool // belongs to a Tx, whose goroutine holds the write lock

	// Of a Tx: the edit of a list that Append goes on with, which is made a list
	// when somebody asks for it, and messages of mailboxes whose lists are not in
	// memory.
	growing  *listEdit
	unlisted map[MailboxID][]Message
}

// Mailbox is one mailbox at one point in time: immutable.
type Mailbox struct {
	ID          MailboxID
	Name        string // canonical (mail.CanonicalMailbox)
	UIDValidity uint32
	UIDNext     mail.UID
	ModSeq      mail.ModSeq // of its last change of any kind
	Messages    uint32
	Unseen      uint32
	Deleted     uint32 // with \Deleted
	Size        Octets
	SpecialUse  mail.SpecialUse
	Keywords    []string // in order of first use, in their first spelling
	NoSelect    bool     // only a name above others (RFC 3501 §6.3.4)
	Created     time.Time

	recentFrom mail.UID
	acl        ACL // nil: the owner has all rights
}

// ModSeq returns the account's mod-sequence.
func (v *Snapshot) ModSeq() mail.ModSeq { return mail.ModSeq(v.version) }

// Usage returns what the account holds.
func (v *Snapshot) Usage() (messages int64, octets Octets) {
	return int64(v.account.messages), int64(v.account.octets)
}

// Mailboxes yields the mailboxes by name.
func (v *Snapshot) Mailboxes() iter.Seq[*Mailbox] { return slices.Values(v.boxes) }

func (v *Snapshot) findName(name string) (int, bool) {
	return sort.Find(len(v.boxes), func(i int) int { return strings.Compare(name, v.boxes[i].Name) })
}

// ErrNoMailbox is the one answer about a mailbox that is not there, or that the user
// may not know of.
var ErrNoMailbox = errs.New("store.Mailbox", errs.NotFound, "no such mailbox")

// Mailbox finds a mailbox by its name, which need not be canonical. Errors:
// NotFound.
func (v *Snapshot) Mailbox(name string) (*Mailbox, error) {
	canonical, err := mail.CanonicalMailbox(name)
	if err == nil {
		if i, ok := v.findName(canonical); ok {
			return v.boxes[i], nil
		}
	}
	return nil, ErrNoMailbox
}

// MailboxByID finds a mailbox by its id. Errors: NotFound.
func (v *Snapshot) MailboxByID(id MailboxID) (*Mailbox, error) {
	for _, b := range v.boxes {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, ErrNoMailbox
}

// HasChildren reports whether there are mailboxes below a name.
func (v *Snapshot) HasChildren(name string) bool {
	prefix := name + string(mail.Separator)
	i, _ := v.findName(prefix)
	return i < len(v.boxes) && strings.HasPrefix(v.boxes[i].Name, prefix)
}

// Subscribed yields the subscribed names, which need not exist (RFC 3501
// §6.3.6).
func (v *Snapshot) Subscribed() iter.Seq[string] { return slices.Values(v.subs) }

// IsSubscribed reports whether a canonical name is subscribed.
func (v *Snapshot) IsSubscribed(name string) bool {
	_, ok := slices.BinarySearch(v.subs, name)
	return ok
}

// SubscribedBelow reports whether a subscribed name begins with a prefix.
func (v *Snapshot) SubscribedBelow(prefix string) bool {
	i, _ := slices.BinarySearch(v.subs, prefix)
	return i < len(v.subs) && strings.HasPrefix(v.subs[i], prefix)
}

// Messages returns a mailbox's messages: as of this snapshot when they are in
// memory; otherwise they are read, as of now. The list tells its mod-sequence.
// Errors: NotFound, Corrupt.
func (v *Snapshot) Messages(ctx context.Context, id MailboxID) (*MessageList, error) {
	if v.tx {
		v.endGrowing()
	}
	if l := v.lists[id]; l != nil {
		return l, nil
	}
	box, err := v.MailboxByID(id)
	if err != nil {
		return nil, err
	}
	if v.tx {
		return v.loadList(ctx, box)
	}
	a := v.acct
	a.write.Lock()
	defer a.write.Unlock()
	now := a.state.Load()
	if l := now.lists[id]; l != nil {
		return l, nil
	}
	if box, err = now.MailboxByID(id); err != nil {
		return nil, err
	}
	return a.readListLocked(ctx, box)
}

// readListLocked reads a mailbox's list and keeps it. The write lock is held.
func (a *Account) readListLocked(ctx context.Context, box *Mailbox) (*MessageList, error) {
	now := a.state.Load()
	next := *now
	next.lists = maps.Clone(now.lists)
	l, err := next.loadList(ctx, box)
	if err != nil {
		return nil, err
	}
	a.s.addLoaded(int64(l.Len()))
	a.state.Store(&next)
	return l, nil
}

// endGrowing makes the list of what Append added.
func (v *Snapshot) endGrowing() {
	if edit := v.growing; edit != nil {
		v.growing = nil
		v.lists[edit.mailbox] = edit.list(v.ModSeq())
	}
}

// loadList reads a mailbox's messages from the engine into v.
func (v *Snapshot) loadList(ctx context.Context, box *Mailbox) (*MessageList, error) {
	snap, err := v.acct.space.Snapshot()
	if err != nil {
		return nil, errs.Wrap("store.Messages", err)
	}
	defer snap.Close()
	if v.tx && snap.Version()+1 != v.version || !v.tx && snap.Version() != v.version {
		return nil, errs.New("store.Messages", errs.Conflict, "")
	}
	l, err := readList(ctx, snap, box, v.ModSeq())
	if err != nil {
		return nil, err
	}
	if added := v.unlisted[box.ID]; len(added) > 0 {
		edit := editList(l)
		for i := range added {
			edit.add(added[i])
		}
		l = edit.list(v.ModSeq())
		delete(v.unlisted, box.ID)
	}
	if v.lists == nil {
		v.lists = map[MailboxID]*MessageList{}
	}
	v.lists[box.ID] = l
	return l, nil
}

// Messages returns a mailbox and its messages at one point in time. Errors:
// NotFound, Corrupt.
func (a *Account) Messages(ctx context.Context, id MailboxID) (*Mailbox, *MessageList, error) {
	for {
		v, err := a.Snapshot()
		if err != nil {
			return nil, nil, err
		}
		l, err := v.Messages(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if l.ModSeq() <= v.ModSeq() {
			box, err := v.MailboxByID(id)
			return box, l, err
		} // read from disk after somebody's commit: look again
	}
}
