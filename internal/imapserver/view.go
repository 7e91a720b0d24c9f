package imapserver

import (
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// view is what the client believes of the selected mailbox: the i-th message
// of list has sequence number i+1.
type view struct {
	*tree
	rights   mail.Rights // as far as the client was told of them
	stop     func()      // of the watch; nil for the user's own mailboxes
	box      *store.Mailbox
	opening  *store.Opening // nil once there is a list
	list     *store.MessageList
	synced   mail.ModSeq     // of the account when sync looked last
	complete mail.ModSeq     // of the mailbox: everything until then was told
	key      store.AccessKey // as far as the client was told of it
	examined bool            // with EXAMINE: nothing is changed, whatever the rights
	recent   mail.UIDSet     // \Recent for this session (RFC 3501 §2.3.2)
	echo     mail.UIDSet     // whose flags the next sync tells, changed or not
	touched  mail.UIDSet     // whose mod-sequence it tells (RFC 7162 §3.1.3)
	silent   silentStore
	saved    mail.UIDSet // what SEARCH with SAVE found (RFC 5182)
	contexts []*searchContext
	// relabelled are the messages whose labels the next sync tells.
	relabelled mail.UIDSet
	batched    []batchRequest // what UIDBATCHES was answered
	annotate   bool           // SELECT asked to be told of annotations (RFC 5257 §4.2)
	annotated  mail.ModSeq    // of the session's own last STORE ANNOTATION
}

// silentStore is the session's own STORE .SILENT, which sync does not tell.
type silentStore struct {
	modseq mail.ModSeq
	change store.FlagChange
}

// tells reports whether a message's flags are other than the client expects
// after its own silent STORE.
func (st *silentStore) tells(old mail.Flags, m *store.Message) bool {
	if m.ModSeq != st.modseq {
		return true
	}
	return !st.change.Apply(old).Equal(m.Flags)
}

// resolve returns the UIDs of the messages that a set names. UIDs that do not
// exist are passed over (RFC 3501 §6.4.8).
func (v *view) resolve(set imapwire.NumSet, byUID bool) (mail.UIDSet, error) {
	uids, err := v.ranges(set, byUID)
	return v.list.Existing(uids), err
}

// ranges is resolve, but some of the UIDs may not exist. Sequence numbers that
// do not are an error (RFC 3501 §9 seq-number).
func (v *view) ranges(set imapwire.NumSet, byUID bool) (uids mail.UIDSet, err error) {
	if byUID || set.IsSaved() {
		return v.uidRanges(set), nil
	}
	n := uint32(v.list.Len())
	for _, r := range set {
		if r.First > n || r.Last > n || n == 0 {
			return nil, &imapwire.SyntaxError{Text: "there is no message with this number"}
		}
	}
	for _, r := range set.Resolve(n) {
		uids = uids.AppendRange(v.uidRange(r))
	}
	return uids, nil
}

// uidRange returns the UIDs of a range of sequence numbers that exist. No message
// comes between two later, so that a range stays one.
func (v *view) uidRange(r imapwire.NumRange) mail.UIDRange {
	return mail.UIDRange{First: v.list.At(int(r.First) - 1).UID, Last: v.list.At(int(r.Last) - 1).UID}
}

// uidRanges returns a set of UIDs with "*" replaced by the largest.
func (v *view) uidRanges(set imapwire.NumSet) mail.UIDSet {
	if set.IsSaved() {
		return v.saved
	}
	var largest uint32
	if n := v.list.Len(); n > 0 {
		largest = uint32(v.list.At(n - 1).UID)
	}
	ranges := set.Resolve(largest)
	uids := make(mail.UIDSet, 0, len(ranges))
	for _, r := range ranges {
		uids = uids.AppendRange(mail.UIDRange{First: mail.UID(r.First), Last: mail.UID(r.Last)})
	}
	return uids
}

// named returns the UIDs that a search key with a set stands for.
func (v *view) named(key *imapwire.SearchKey) mail.UIDSet {
	k := imapwire.SearchKey{Op: key.Op, Set: key.Set}
	v.fix(&k)
	return v.uidRanges(k.Set)
}

// fix replaces sequence numbers and "$" by the UIDs that they mean now (RFC
// 5267 §4.3).
func (v *view) fix(key *imapwire.SearchKey) {
	for _, k := range key.Keys {
		v.fix(k)
	}
	var fixed imapwire.NumSet
	switch {
	case key.Op != imapwire.SearchSeq && key.Op != imapwire.SearchUID:
		return
	case key.Set.IsSaved():
		for _, r := range v.saved {
			fixed = append(fixed, imapwire.NumRange{First: uint32(r.First), Last: uint32(r.Last)})
		}
	case key.Op == imapwire.SearchUID:
		return // "*" goes on to mean the last message
	default:
		n := uint32(v.list.Len())
		for _, r := range key.Set.Resolve(n) {
			if r.First > n {
				break
			}
			u := v.uidRange(imapwire.NumRange{First: r.First, Last: min(r.Last, n)})
			fixed = append(fixed, imapwire.NumRange{First: uint32(u.First), Last: uint32(u.Last)})
		}
	}
	key.Op, key.Set = imapwire.SearchUID, fixed
}

// setText returns messages as a set of UIDs or sequence numbers.
func (v *view) setText(uids mail.UIDSet, byUID bool) string {
	if byUID {
		return string(uids.AppendText(nil))
	}
	var numbers []uint32
	for i := range v.list.Select(uids) {
		numbers = append(numbers, uint32(i+1))
	}
	return string(imapwire.AppendNumSet(nil, numbers))
}

// isRecent reports whether a message is \Recent for this session.
func (v *view) isRecent(u mail.UID) bool { return v.recent.Contains(u) }

// recentCount returns how many messages are.
func (v *view) recentCount() (int, error) {
	switch {
	case len(v.recent) == 0:
		return 0, nil
	case v.opening != nil: // one range, up to the end
		return v.opening.CountFrom(v.recent[0].First)
	}
	return v.list.Existing(v.recent).Len(), nil
}

// settle waits for the list of a mailbox that was just selected.
func (v *view) settle() error {
	if v.opening == nil {
		return nil
	}
	list, err := v.opening.Wait()
	if err != nil {
		return err
	}
	v.list, v.opening = list, nil
	return nil
}

// len returns the number of messages.
func (v *view) len() int {
	if v.opening != nil {
		return int(v.box.Messages)
	}
	return v.list.Len()
}

// claim makes the mailbox's new messages recent for this session; one that may
// not write takes them from nobody.
func (v *view) claim(from mail.UID, box *store.Mailbox) {
	if v.readOnly() {
		from = max(from, v.acct.RecentFrom(box))
	} else {
		from = max(from, v.acct.ClaimRecent(box))
	}
	if from < box.UIDNext {
		v.recent = v.recent.AppendRange(mail.UIDRange{First: from, Last: box.UIDNext - 1})
	}
}

// writeRights are those of which a mailbox that is not read-only needs one (RFC
// 4314 §5.2, RFC 5257 §3.4): all flags are shared by those who see the mailbox.
const writeRights = mail.RightInsert | mail.RightExpunge | mail.RightSeen | mail.RightWrite | mail.RightDeleted | mail.RightAnnotate

// readOnly reports what the client is told. Rights may have come since: what a
// command may change is decided by those that there are then.
func (v *view) readOnly() bool { return v.examined || v.rights&writeRights == 0 }

// numbers yields the sequence numbers of UIDs in descending order.
func (v *view) numbers(uids mail.UIDSet, yield func(n int)) {
	for i := len(uids) - 1; i >= 0; i-- {
		for u := uids[i].Last; u >= uids[i].First; u-- {
			if n, ok := v.list.Find(u); ok {
				yield(n + 1)
			}
		}
	}
}
