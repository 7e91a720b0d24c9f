package search

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sort"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

// Sort orders messages of the list, given by ascending indexes, as SORT does
// (RFC 5256 §3, RFC 5957 §4). What is equal stays in the order of the mailbox.
// With an Index, how the whole mailbox was sorted is kept for the next time,
// unless it is by what may change: what is returned must not be changed.
func (q *Query) Sort(ctx context.Context, found []int32, criteria []imapwire.SortKey) ([]int32, error) {
	s := q.newSorter(criteria)
	if q.Index == nil || s.scores || s.annotated || len(found) < q.List.Len()/4 {
		return s.sort(ctx, found)
	}
	key := keptKey{q.Account, q.List.Mailbox(), sortedBy(criteria)}
	sorted, added, err := q.kept(ctx, key)
	switch {
	case err != nil:
		return nil, errs.Wrap("search.Sort", err)
	case sorted != nil && len(added) == 0:
		return subset(sorted, found), nil
	case sorted != nil && len(added) <= addedMax:
		sorted, err = s.insert(ctx, sorted, added)
	case len(found) < q.List.Len():
		return s.sort(ctx, found)
	default:
		sorted, err = s.sort(ctx, found)
	}
	if err != nil {
		return nil, err
	}
	q.Index.keeper.put(key, newOrder(q.List, sorted))
	return subset(sorted, found), nil
}

// insert puts messages into an order of others.
func (s *sorter) insert(ctx context.Context, sorted, added []int32) ([]int32, error) {
	added, err := s.sort(ctx, added)
	if err != nil {
		return nil, err
	}
	c, from := s.q.newCursor(ctx, nil), 0
	defer c.close()
	all := make([]int32, 0, len(sorted)+len(added))
	for _, i := range added {
		rest := sorted[from:]
		n, err := s.place(c, len(rest), func(n int) int { return int(rest[n]) }, int(i))
		if err != nil {
			return nil, err
		}
		all = append(append(all, rest[:n]...), i)
		from += n
	}
	return append(all, sorted[from:]...), nil
}

// sort orders messages, given by ascending indexes.
func (s *sorter) sort(ctx context.Context, found []int32) ([]int32, error) {
	q := s.q
	all, err := s.items(ctx, found)
	if err != nil {
		return nil, err
	}
	turn, err := q.turn(ctx, len(all))
	defer q.end(turn)
	order := make([]ranked, len(all))
	for i := range all {
		order[i] = s.rank(&all[i], int32(i))
	}
	compared := 0
	slices.SortFunc(order, func(x, y ranked) int {
		if compared++; err == nil && compared%1024 == 0 {
			err = turn.Pause(ctx)
		}
		switch {
		case err != nil:
			return 0 // to come to an end
		case x.first != y.first:
			return cmp.Compare(x.first, y.first)
		case x.whole && y.whole && x.second != y.second:
			return cmp.Compare(x.second, y.second)
		}
		return s.compare(&all[x.n], &all[y.n])
	})
	if err != nil {
		return nil, errs.Wrap("search.Sort", err)
	}
	indexes := make([]int32, len(order))
	for i := range order {
		indexes[i] = int32(all[order[i].n].index)
	}
	return indexes, nil
}

// ranked is a message that is sorted: most comparisons need no more than this,
// which lies beside its neighbours in memory.
type ranked struct {
	first, second uint64 // what rank returns for the first two criteria
	n             int32
	whole         bool // first is all that there is of its criterion
}

func (s *sorter) rank(x *item, n int32) ranked {
	r := ranked{n: n}
	r.first, r.whole = s.rankBy(x, 0)
	if len(s.criteria) > 1 {
		r.second, _ = s.rankBy(x, 1)
	}
	return r
}

// rankBy returns a number in the order of a criterion, and whether two that are
// whole and equal say that the criterion is: of a text it has seven octets and
// how long the text is, up to eight.
func (s *sorter) rankBy(x *item, n int) (r uint64, whole bool) {
	c := s.criteria[n]
	const signed = 1 << 63
	whole = true
	switch c.Field {
	case imapwire.SortArrival:
		r = uint64(x.m.InternalDate) ^ signed
	case imapwire.SortDate:
		r = uint64(x.sent) ^ signed
	case imapwire.SortSize:
		r = uint64(x.m.Size)
	case imapwire.SortRelevancy: // the highest first (RFC 6203 §6)
		r = ^uint64(x.score)
	default:
		var octets [8]byte
		text := x.text(c.Field, n)
		copy(octets[:7], text)
		octets[7] = byte(min(len(text), 8))
		r, whole = binary.BigEndian.Uint64(octets[:]), len(text) < 8
	}
	if c.Reverse {
		r = ^r
	}
	return r, whole
}

// text returns what a message is sorted by for the n-th criterion, where that is a
// text.
func (x *item) text(f imapwire.SortField, n int) string {
	switch f {
	case imapwire.SortAnnotation:
		return x.annotations[n]
	case imapwire.SortFrom:
		return x.texts[keyFrom]
	case imapwire.SortTo:
		return x.texts[keyTo]
	case imapwire.SortCc:
		return x.texts[keyCc]
	case imapwire.SortDisplayFrom:
		return x.texts[keyDisplayFrom]
	case imapwire.SortDisplayTo:
		return x.texts[keyDisplayTo]
	}
	return x.subject
}

// Insert puts messages of the list, given by ascending indexes, into an order
// that Sort made of other messages by the same criteria, given by UID. It
// returns the order with them, in the memory of the old one where there is room,
// and their places in it, ascending from 0. The few messages of the order that
// are compared are read again.
func (q *Query) Insert(ctx context.Context, order []mail.UID, added []int32, criteria []imapwire.SortKey) (all []mail.UID, places []int, err error) {
	if added, err = q.Sort(ctx, added, criteria); err != nil {
		return nil, nil, err
	}
	s, c := q.newSorter(criteria), q.newCursor(ctx, nil)
	defer c.close()
	before := make([]int, len(added)) // how many of the order
	from := 0
	for n, i := range added {
		at := func(n int) int {
			at, _ := q.List.Find(order[from+n])
			return at
		}
		less, err := s.place(c, len(order)-from, at, int(i))
		if err != nil {
			return nil, nil, err
		}
		from += less
		before[n] = from
		places = append(places, from+n)
	}
	end := len(order)
	all = slices.Grow(order, len(added))[:end+len(added)]
	for n := len(added) - 1; n >= 0; n-- {
		copy(all[places[n]+1:], all[before[n]:end])
		all[places[n]] = q.List.At(int(added[n])).UID
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
	scores    bool // how relevant messages are
	annotated bool // by their annotations
}

func (q *Query) newSorter(criteria []imapwire.SortKey) *sorter {
	s := &sorter{q: q, criteria: criteria}
	for n, c := range criteria {
		s.comparers = append(s.comparers, comparer(c.Field, n))
		switch c.Field {
		case imapwire.SortArrival, imapwire.SortSize:
		case imapwire.SortRelevancy:
			s.scores = true
		case imapwire.SortAnnotation:
			s.annotated = true
		default:
			s.reads = true
		}
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

// items reads fields, and finds out scores, only where a criterion needs them.
func (s *sorter) items(ctx context.Context, found []int32) (out []item, err error) {
	if s.reads {
		if out, err = s.q.read(ctx, found); err != nil {
			return nil, err
		}
	} else {
		out = make([]item, len(found))
		for n, i := range found {
			out[n] = item{index: int(i), m: s.q.List.At(int(i))}
		}
	}
	if s.scores {
		scores, err := s.q.Scores(ctx, found)
		if err != nil {
			return nil, err
		}
		for n := range out {
			out[n].score = scores[n]
		}
	}
	if s.annotated {
		err = s.q.inBlocks(ctx, len(out), func(c *cursor, from, to int) error {
			for n := from; n < to; n++ {
				if err := s.annotate(c, &out[n]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return out, err
}

// annotate reads the annotations that a message is sorted by.
func (s *sorter) annotate(c *cursor, it *item) (err error) {
	it.annotations = make([]string, len(s.criteria))
	for n, k := range s.criteria {
		if k.Field != imapwire.SortAnnotation {
			continue
		}
		if it.annotations[n], err = c.annotation(it.m, k); err != nil {
			return err
		}
	}
	return nil
}

// item is items for one message.
func (s *sorter) item(c *cursor, i int) (it item, err error) {
	it = item{index: i, m: s.q.List.At(i)}
	if s.reads {
		if it, err = s.q.readItem(c, i); err != nil {
			return item{}, err
		}
	}
	if s.scores {
		scores, err := s.q.Scores(c.ctx, []int32{int32(i)})
		if err != nil {
			return item{}, err
		}
		it.score = scores[0]
	}
	if s.annotated {
		err = s.annotate(c, &it)
	}
	return it, err
}

// place returns how many of the n messages that at gives the indexes of, and
// which are in order, come before the i-th of the list.
func (s *sorter) place(c *cursor, n int, at func(n int) int, i int) (int, error) {
	new, err := s.item(c, i)
	if err != nil {
		return 0, err
	}
	n = sort.Search(n, func(n int) bool {
		old, e := s.item(c, at(n))
		if e != nil {
			err = e
			return true
		}
		return s.compare(&old, &new) > 0
	})
	return n, err
}

func comparer(f imapwire.SortField, n int) func(a, b *item) int {
	switch f {
	case imapwire.SortArrival:
		return func(a, b *item) int { return cmp.Compare(a.m.InternalDate, b.m.InternalDate) }
	case imapwire.SortDate:
		return func(a, b *item) int { return cmp.Compare(a.sent, b.sent) }
	case imapwire.SortSize:
		return func(a, b *item) int { return cmp.Compare(a.m.Size, b.m.Size) }
	case imapwire.SortRelevancy: // the highest first (RFC 6203 §6)
		return func(a, b *item) int { return cmp.Compare(b.score, a.score) }
	}
	return func(a, b *item) int { return strings.Compare(a.text(f, n), b.text(f, n)) }
}
