package store

import (
	"context"
	"fmt"
	"iter"

	"github.com/angarium/angarium/internal/mail"
)

// Finding is a broken invariant of an account.
type Finding struct {
	Account AccountID
	Mailbox string
	UID     mail.UID // 0: of the mailbox
	What    string
}

func (f Finding) String() string {
	return fmt.Sprintf("account %d, mailbox %q, UID %d: %s", f.Account, f.Mailbox, f.UID, f.What)
}

// Check reads an account from the engine and yields what is broken in it.
func (s *Store) Check(ctx context.Context, id AccountID) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
		a, err := s.Account(ctx, id)
		if err != nil {
			yield(Finding{id, "", 0, err.Error()})
			return
		}
		a.write.Lock()
		defer a.write.Unlock()
		snap, err := a.space.Snapshot()
		if err != nil {
			yield(Finding{id, "", 0, err.Error()})
			return
		}
		defer snap.Close()
		v, err := readState(a, snap)
		if err != nil {
			yield(Finding{id, "", 0, err.Error()})
			return
		}
		total := accountRow{}
		for _, box := range v.boxes {
			l, err := readList(ctx, snap, box, v.ModSeq())
			if err != nil {
				yield(Finding{id, box.Name, 0, err.Error()})
				return
			}
			total.messages += uint64(box.Messages)
			total.octets += uint64(box.Size)
			for f := range checkMailbox(v, box, l) {
				if f.Account = id; !yield(f) {
					return
				}
			}
			if have := a.state.Load().lists[box.ID]; have != nil {
				if d := Diff(have, l); len(d.Added)+len(d.Gone)+len(d.Changed) > 0 && !yield(Finding{id, box.Name, 0, fmt.Sprintf("memory and rows differ: %+v", d)}) {
					return
				}
			}
		}
		if total.messages != v.account.messages || total.octets != v.account.octets {
			yield(Finding{id, "", 0, "the account's usage is not the sum of its mailboxes"})
		}
	}
}

func checkMailbox(v *Snapshot, box *Mailbox, l *MessageList) iter.Seq[Finding] {
	return func(yield func(Finding) bool) {
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
			if last = m.UID; what != "" && !yield(Finding{0, box.Name, m.UID, what}) {
				return
			}
		}
		if want.Messages != box.Messages || want.Size != box.Size || want.Unseen != box.Unseen || want.Deleted != box.Deleted {
			yield(Finding{0, box.Name, 0, fmt.Sprintf("counted %d messages, %d octets, %d unseen, %d deleted; the row says %d, %d, %d, %d",
				want.Messages, want.Size, want.Unseen, want.Deleted, box.Messages, box.Size, box.Unseen, box.Deleted)})
		}
	}
}
