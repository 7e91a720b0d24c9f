package search

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

var textCriteria = map[imapwire.SortField]textKey{
	imapwire.SortFrom: keyFrom, imapwire.SortTo: keyTo, imapwire.SortCc: keyCc,
	imapwire.SortDisplayFrom: keyDisplayFrom, imapwire.SortDisplayTo: keyDisplayTo,
}

// Sort orders messages of the list, given by ascending indexes, as SORT does
// (RFC 5256 §3, RFC 5957 §4). What is equal stays in the order of the mailbox.
func (q *Query) Sort(ctx context.Context, found []int, criteria []imapwire.SortKey) ([]int, error) {
	s := q.newSorter(criteria)
	all, err := s.items(ctx, found)
	if err != nil {
		return nil, err
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return s.compare(&all[x], &all[y]) })
	for i, n := range order {
		order[i] = all[n].index
	}
	return order, nil
}

// Insert puts messages of the list, given by ascending indexes, into an order
// that Sort made of other messages by the same criteria, given by UID. It
// returns the order with them, in the memory of the old one where there is room,
// and their places in it, ascending from 0. The few messages of the order that
// are compared are read again.
func (q *Query) Insert(ctx context.Context, order []mail.UID, added []int, criteria []imapwire.SortKey) (all []mail.UID, places []int, err error) {
	if added, err = q.Sort(ctx, added, criteria); err != nil {
		return nil, nil, err
	}
	s, c := q.newSorter(criteria), &cursor{ctx: ctx, q: q}
	before := make([]int, len(added)) // how many of the order
	from := 0
	for n, i := range added {
		if before[n], err = s.place(c, order, from, i); err != nil {
			return nil, nil, err
		}
		from = before[n]
		places = append(places, from+n)
	}
	end := len(order)
	all = slices.Grow(order, len(added))[:end+len(added)]
	for n := len(added) - 1; n >= 0; n-- {
		copy(all[places[n]+1:], all[before[n]:end])
		all[places[n]] = q.List.At(added[n]).UID
		end = before[n]
	}
	return all, places, nil
}

// sorter compares messages by criteria.
type sorter struct {
	q         *Query
	criteria  []imapwire.SortKey
	comparers []func(a, b *item) int
	reads     bool // fields, not only what is in the list
}

func (q *Query) newSorter(criteria []imapwire.SortKey) *sorter {
	s := &sorter{q: q, criteria: criteria}
	for _, c := range criteria {
		s.comparers = append(s.comparers, comparer(c.Field))
		s.reads = s.reads || c.Field != imapwire.SortArrival && c.Field != imapwire.SortSize
	}
	return s
}

// compare compares messages, at last by their place in the mailbox.
func (s *sorter) compare(a, b *item) int {
	for i, c := range s.criteria {
		if n := s.comparers[i](a, b); n != 0 {
			if c.Reverse {
				return -n
			}
			return n
		}
	}
	return a.index - b.index
}

// items reads fields only where a criterion needs them.
func (s *sorter) items(ctx context.Context, found []int) ([]item, error) {
	if s.reads {
		return s.q.read(&cursor{ctx: ctx, q: s.q}, found)
	}
	out := make([]item, len(found))
	for n, i := range found {
		out[n] = item{index: i, m: s.q.List.At(i)}
	}
	return out, nil
}

// item is items for one message.
func (s *sorter) item(c *cursor, i int) (item, error) {
	if s.reads {
		return s.q.readItem(c, i)
	}
	return item{index: i, m: s.q.List.At(i)}, nil
}

// place returns the index in an order, not below from, at which the i-th message
// of the list belongs.
func (s *sorter) place(c *cursor, order []mail.UID, from, i int) (n int, err error) {
	new, err := s.item(c, i)
	if err != nil {
		return 0, err
	}
	n = sort.Search(len(order)-from, func(n int) bool {
		at, _ := s.q.List.Find(order[from+n])
		old, e := s.item(c, at)
		if e != nil {
			err = e
			return true
		}
		return s.compare(&old, &new) > 0
	})
	return from + n, err
}

func comparer(f imapwire.SortField) func(a, b *item) int {
	switch f {
	case imapwire.SortArrival:
		return func(a, b *item) int { return cmp.Compare(a.m.InternalDate, b.m.InternalDate) }
	case imapwire.SortDate:
		return func(a, b *item) int { return cmp.Compare(a.sent, b.sent) }
	case imapwire.SortSize:
		return func(a, b *item) int { return cmp.Compare(a.m.Size, b.m.Size) }
	case imapwire.SortSubject:
		return func(a, b *item) int { return strings.Compare(a.subject, b.subject) }
	}
	k := textCriteria[f]
	return func(a, b *item) int { return strings.Compare(a.texts[k], b.texts[k]) }
}
