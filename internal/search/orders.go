package search

import (
	"context"
	"weak"

	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

const addedMax = 64 // new messages that are put into an order one by one

// order is how all messages of a mailbox were arranged by SORT or THREAD.
type order struct {
	uids []mail.UID                      // ascending
	by   []int32                         // of SORT the indexes in uids, in order; else Threads
	list weak.Pointer[store.MessageList] // of which it was made
}

func (o *order) octets() int { return 100 + 4*cap(o.uids) + 4*cap(o.by) }

// sortedBy names criteria in a keptKey.
func sortedBy(criteria []imapwire.SortKey) string {
	by := []byte{'s'}
	for _, c := range criteria {
		reverse := byte(0)
		if c.Reverse {
			reverse = 1
		}
		by = append(by, byte(c.Field), reverse)
	}
	return string(by)
}

// newOrder is one of all messages of a list.
func newOrder(l *store.MessageList, by []int32) *order {
	o := &order{uids: make([]mail.UID, 0, l.Len()), by: by, list: weak.Make(l)}
	for _, m := range l.Range(0, l.Len()) {
		o.uids = append(o.uids, m.UID)
	}
	return o
}

// kept returns the order that is kept for a key over the list's messages, nil if
// there is none, and the indexes of those that it does not have. Neither may be
// changed.
func (q *Query) kept(ctx context.Context, key keptKey) (sorted, added []int32, err error) {
	o, _ := q.Index.keeper.get(key).(*order)
	if o == nil {
		return nil, nil, nil
	}
	same, err := q.isOf(ctx, key, o)
	if err != nil || same {
		return o.by, nil, err // its indexes are those of the list
	}
	turn, err := q.turn(ctx, q.List.Len())
	defer q.end(turn)
	if err != nil {
		return nil, nil, err
	}
	at := make([]int32, len(o.uids)) // index in the list, from 1
	k := 0
	for i, m := range q.List.Range(0, q.List.Len()) {
		if err := pauseAt(ctx, turn, i); err != nil {
			return nil, nil, err
		}
		for k < len(o.uids) && o.uids[k] < m.UID {
			k++
		}
		if k < len(o.uids) && o.uids[k] == m.UID {
			at[k] = int32(i) + 1
		} else {
			added = append(added, int32(i))
		}
	}
	sorted = make([]int32, 0, q.List.Len())
	for n, k := range o.by {
		if err := pauseAt(ctx, turn, n); err != nil {
			return nil, nil, err
		}
		if at[k] > 0 {
			sorted = append(sorted, at[k]-1)
		}
	}
	return sorted, added, nil
}

// isOf reports whether the order that is kept for a key is of just the messages of
// the list.
func (q *Query) isOf(ctx context.Context, key keptKey, o *order) (bool, error) {
	if o.list.Value() == q.List {
		return true, nil
	}
	if len(o.uids) != q.List.Len() {
		return false, nil
	}
	turn, err := q.turn(ctx, q.List.Len())
	defer q.end(turn)
	if err != nil {
		return false, err
	}
	for i, m := range q.List.Range(0, q.List.Len()) {
		if err := pauseAt(ctx, turn, i); err != nil {
			return false, err
		}
		if o.uids[i] != m.UID {
			return false, nil
		}
	}
	q.Index.keeper.put(key, &order{uids: o.uids, by: o.by, list: weak.Make(q.List)}) // which is not gone through again
	return true, nil
}

// pauseAt makes the pauses of a turn that goes through the numbers of messages.
func pauseAt(ctx context.Context, turn *fair.Turn, i int) error {
	if i%rowsLen != 0 {
		return nil
	}
	return turn.Pause(ctx)
}

// subset returns those of sorted that are among found, which ascend, in the
// order of sorted.
func subset(sorted, found []int32) []int32 {
	if len(found) == len(sorted) {
		return sorted
	}
	in := make([]bool, len(sorted))
	for _, i := range found {
		in[i] = true
	}
	some := make([]int32, 0, len(found))
	for _, i := range sorted {
		if in[i] {
			some = append(some, i)
		}
	}
	return some
}
