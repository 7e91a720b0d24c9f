package search

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

var textCriteria = map[imapwire.SortField]textKey{
	imapwire.SortFrom: keyFrom, imapwire.SortTo: keyTo, imapwire.SortCc: keyCc,
	imapwire.SortDisplayFrom: keyDisplayFrom, imapwire.SortDisplayTo: keyDisplayTo,
}

// Sort orders messages of a list, given by ascending indexes, as SORT does (RFC
// 5256 §3, RFC 5957 §4). What is equal stays in the order of the mailbox.
func Sort(ctx context.Context, st *store.Store, list *store.MessageList, found []int, criteria []imapwire.SortKey) ([]int, error) {
	var w wants
	for _, c := range criteria {
		switch c.Field {
		case imapwire.SortDate:
			w.sent = true
		case imapwire.SortSubject:
			w.subject = true
		default:
			if k, ok := textCriteria[c.Field]; ok {
				w.texts[k] = true
			}
		}
	}
	all, err := readFields(ctx, st, list, found, w)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b fields) int {
		for _, c := range criteria {
			n := compare(&a, &b, c.Field)
			if c.Reverse {
				n = -n
			}
			if n != 0 {
				return n
			}
		}
		return 0
	})
	sorted := make([]int, len(all))
	for i := range all {
		sorted[i] = all[i].index
	}
	return sorted, nil
}

func compare(a, b *fields, f imapwire.SortField) int {
	switch f {
	case imapwire.SortArrival:
		return cmp.Compare(a.m.InternalDate, b.m.InternalDate)
	case imapwire.SortDate:
		return cmp.Compare(a.sent, b.sent)
	case imapwire.SortSize:
		return cmp.Compare(a.m.Size, b.m.Size)
	case imapwire.SortSubject:
		return strings.Compare(a.subject, b.subject)
	}
	k := textCriteria[f]
	return strings.Compare(a.texts[k], b.texts[k])
}
