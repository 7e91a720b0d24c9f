package search

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
)

var textCriteria = map[imapwire.SortField]textKey{
	imapwire.SortFrom: keyFrom, imapwire.SortTo: keyTo, imapwire.SortCc: keyCc,
	imapwire.SortDisplayFrom: keyDisplayFrom, imapwire.SortDisplayTo: keyDisplayTo,
}

// Sort orders messages of the list, given by ascending indexes, as SORT does
// (RFC 5256 §3, RFC 5957 §4). What is equal stays in the order of the mailbox.
func (q *Query) Sort(ctx context.Context, found []int, criteria []imapwire.SortKey) ([]int, error) {
	all, err := q.sortItems(ctx, found, criteria)
	if err != nil {
		return nil, err
	}
	comparers := make([]func(a, b *item) int, len(criteria))
	for i, c := range criteria {
		comparers[i] = comparer(c.Field)
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		a, b := &all[x], &all[y]
		for i, c := range criteria {
			if n := comparers[i](a, b); n != 0 {
				if c.Reverse {
					return -n
				}
				return n
			}
		}
		return x - y
	})
	for i, n := range order {
		order[i] = all[n].index
	}
	return order, nil
}

// sortItems reads fields only where a criterion needs them.
func (q *Query) sortItems(ctx context.Context, found []int, criteria []imapwire.SortKey) ([]item, error) {
	for _, c := range criteria {
		if c.Field != imapwire.SortArrival && c.Field != imapwire.SortSize {
			return q.read(&cursor{ctx: ctx, q: q}, found)
		}
	}
	out := make([]item, len(found))
	for n, i := range found {
		out[n] = item{index: i, m: q.List.At(i)}
	}
	return out, nil
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
