package applepush

import (
	"container/heap"
	"slices"
	"time"

	"github.com/angarium/angarium/internal/store"
)

// target is whom a push goes to.
type target struct {
	account           store.AccountID
	device, accountID string
}

// entry is a device that waits to be told, or rests after it was.
type entry struct {
	target
	acct  *store.Account
	fresh []store.MailboxID // with new messages; none: it rests
	due   time.Time
	tries int
	at    int // in the heap; -1 while a push is under way
}

// dueHeap has the entry that is due first at its head.
type dueHeap []*entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *dueHeap) Push(x any) {
	e := x.(*entry)
	e.at = len(*h)
	*h = append(*h, e)
}
func (h *dueHeap) Pop() any {
	all := *h
	e := all[len(all)-1]
	all[len(all)-1] = nil
	*h, e.at = all[:len(all)-1], -1
	return e
}

// queue is what waits. Its owner locks it.
type queue struct {
	entries map[target]*entry
	due     dueHeap
}

// add notes that there is something new for a target, at a time if nothing
// waits for it yet, and reports whether there was room (invariant 4).
func (q *queue) add(t target, a *store.Account, fresh []store.MailboxID, at time.Time, max int) bool {
	e := q.entries[t]
	if e == nil {
		if len(q.entries) >= max {
			return false
		}
		e = &entry{target: t, acct: a, due: at}
		q.entries[t] = e
		heap.Push(&q.due, e)
	}
	e.merge(fresh)
	return true
}

func (e *entry) merge(fresh []store.MailboxID) {
	e.fresh = append(e.fresh, fresh...)
	slices.Sort(e.fresh)
	e.fresh = slices.Compact(e.fresh)
}

// again puts an entry back that was taken, for a time.
func (q *queue) again(e *entry, at time.Time) {
	e.due = at
	heap.Push(&q.due, e)
}

// take returns the entry that is due, nil for none, with what is new for it.
// Those that rested and have nothing new are forgotten.
func (q *queue) take(now time.Time) (e *entry, fresh []store.MailboxID) {
	for len(q.due) > 0 && !q.due[0].due.After(now) {
		e := heap.Pop(&q.due).(*entry)
		if len(e.fresh) == 0 {
			delete(q.entries, e.target)
			continue
		}
		fresh, e.fresh = e.fresh, nil
		return e, fresh
	}
	return nil, nil
}

// forget lets go of an entry that was taken.
func (q *queue) forget(e *entry) { delete(q.entries, e.target) }
