package store

import (
	"context"
	"math"

	"github.com/angarium/angarium/internal/errs"
)

// Resource is what a quota can limit of an account (RFC 9208 §5).
type Resource uint8

const (
	// Storage is the octets of all messages in mailboxes. Expunged messages
	// that are kept for undelete do not count.
	Storage Resource = iota
	MessageCount

	resources
)

// Resources are all that there are.
var Resources = [...]Resource{Storage, MessageCount}

// String returns the resource's name in IMAP.
func (r Resource) String() string { return [resources]string{"STORAGE", "MESSAGE"}[r] }

// Amounts holds a number for each resource, of octets or messages.
type Amounts [resources]int64

// NoLimit is the limit that nothing exceeds.
const NoLimit = math.MaxInt64

// Quota is the limits of an account. They are kept as rows have them: 0 says
// nothing, 1 is no limit, and from 2 on the limit and 2.
type Quota [resources]uint64

// Set limits a resource to n octets or messages; negative: it is not limited.
func (q *Quota) Set(r Resource, n int64) {
	if n < 0 {
		q[r] = 1
	} else {
		q[r] = uint64(n) + 2
	}
}

// Clear says nothing of a resource: what holds for all accounts does for it.
func (q *Quota) Clear(r Resource) { q[r] = 0 }

// Says reports whether anything is said of a resource.
func (q Quota) Says(r Resource) bool { return q[r] != 0 }

// Limit returns the most that is allowed, NoLimit where nothing is said too.
func (q Quota) Limit(r Resource) int64 {
	if q[r] < 2 {
		return NoLimit
	}
	return int64(min(q[r]-2, NoLimit))
}

// SetDefaultQuota replaces the limits of accounts of which nothing else is said,
// for all changes from now on.
func (s *Store) SetDefaultQuota(q Quota) { s.quota.Store(&q) }

// QuotaOf returns the limits that hold for an account.
func (s *Store) QuotaOf(info AccountInfo) Quota {
	q := info.Quota
	if d := s.quota.Load(); d != nil {
		for _, r := range Resources {
			if !q.Says(r) {
				q[r] = d[r]
			}
		}
	}
	return q
}

// Quota returns the limits that hold for the account. It costs no I/O.
func (a *Account) Quota() Quota { return a.s.QuotaOf(a.s.registry.byID(a.id)) }

// EditQuota changes the limits that an account has of its own, also for sessions
// that are open. It may hold more than they allow: nothing is removed. change
// may run again. Errors: NotFound.
func (s *Store) EditQuota(ctx context.Context, name string, change func(*Quota)) error {
	return s.edit(ctx, name, func(a *AccountInfo) { change(&a.Quota) })
}

// Held returns how much the account holds of each resource.
func (v *Snapshot) Held() Amounts {
	return Amounts{Storage: int64(v.account.octets), MessageCount: int64(v.account.messages)}
}

// checkQuota returns an error of kind OverQuota if an Update as a whole makes the
// account hold more than it may: MOVE and REPLACE take away what they add. In an
// account that holds too much already, everything is allowed that adds nothing.
// The commit is refused if base is not the newest state any more, so that no
// other session's messages are overlooked.
func (tx *Tx) checkQuota(base *Snapshot) error {
	if tx.beyondQuota {
		return nil
	}
	q := tx.a.Quota()
	was, now := base.Held(), tx.next.Held()
	for _, r := range Resources {
		if now[r] > was[r] && now[r] > q.Limit(r) {
			return errs.New("store.quota", errs.OverQuota, "the account is full: its limit of "+r.String()+" is reached; nothing was added")
		}
	}
	return nil
}
