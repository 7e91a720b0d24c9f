package search

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// TestOrders: what was kept of earlier sorts of a mailbox gives the same as
// sorting it anew, whatever came and went, and so does THREAD.
func TestOrders(t *testing.T) {
	s, a := openAccount(t)
	x, rng := &Index{}, rand.New(rand.NewPCG(5, 6))
	criteria := [][]imapwire.SortKey{
		{{Field: imapwire.SortSubject}},
		{{Field: imapwire.SortDate, Reverse: true}},
		{{Field: imapwire.SortDate}},
		{{Field: imapwire.SortFrom}, {Field: imapwire.SortSize, Reverse: true}},
	}
	more := sortable(400)
	appendTo(t, s, a, more[:100])
	more = more[100:]
	for len(more) > 0 {
		n := min(len(more), []int{0, 1, 3, addedMax + 1}[rng.IntN(4)])
		list := appendTo(t, s, a, more[:n])
		more = more[n:]
		if rng.IntN(3) == 0 {
			list = expunge(t, a, list, rng)
		}
		var found []int32
		part := 1 + rng.IntN(5)
		for i := range list.Len() {
			if part == 1 || rng.IntN(part) == 0 {
				found = append(found, int32(i))
			}
		}
		by := criteria[rng.IntN(len(criteria))]
		kept, anew := &Query{Store: s, List: list, Index: x}, &Query{Store: s, List: list}
		want, err := anew.Sort(t.Context(), found, by)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // what is kept is not changed by who asks for some of it
			got, err := kept.Sort(t.Context(), found, by)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%d of %d, %v:\n%v\nwant\n%v", len(found), list.Len(), by, got, want)
			}
		}
		algorithm := Threading(rng.IntN(3))
		threads, err := kept.Thread(t.Context(), found, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		if want, err := anew.Thread(t.Context(), found, algorithm); err != nil || !slices.Equal(threads, want) {
			t.Fatalf("threads: %v\nwant\n%v, %v", threads, want, err)
		}
	}
	if len(x.keeper.kept) < len(criteria) {
		t.Errorf("%d orders are kept", len(x.keeper.kept))
	}
}

// TestOrdersOfConstants: what may change under a UID is sorted by anew each time.
func TestOrdersOfConstants(t *testing.T) {
	s, a := openAccount(t)
	list := appendTo(t, s, a, sortable(10))
	x := &Index{}
	q := &Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID()}
	for _, f := range []imapwire.SortField{imapwire.SortAnnotation, imapwire.SortSubject} {
		if _, err := q.Sort(t.Context(), all(10), []imapwire.SortKey{{Field: f}}); err != nil {
			t.Fatal(err)
		}
		if kept := len(x.keeper.kept) > 0; kept != (f == imapwire.SortSubject) {
			t.Errorf("field %d: kept %v", f, kept)
		}
	}
}

// TestOrderAsKept: an order that is kept is told from where it is kept, and its list
// is compared with another one no more than once.
func TestOrderAsKept(t *testing.T) {
	s, a := openAccount(t)
	list := appendTo(t, s, a, sortable(10))
	x, by := &Index{}, []imapwire.SortKey{{Field: imapwire.SortSubject}}
	q := &Query{Store: s, List: list, Index: x}
	sorted, err := q.Sort(t.Context(), all(10), by)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.SetFlags(list.Mailbox(), mail.NewUIDSet(1), store.FlagChange{Op: store.FlagsAdd, Flags: mail.Flags{System: mail.Seen}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, q.List, err = a.Messages(t.Context(), list.Mailbox()); err != nil || q.List == list {
		t.Fatal("the list is the same", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := q.Sort(ended, all(10), by); err == nil { // lists are compared
		t.Error("nothing was done after the end of the context")
	}
	for _, ctx := range []context.Context{t.Context(), ended} { // and then no more
		again, err := q.Sort(ctx, all(10), by)
		if err != nil || &again[0] != &sorted[0] {
			t.Fatalf("it was not told as it is kept, %v", err)
		}
	}
}

func expunge(t *testing.T, a *store.Account, list *store.MessageList, rng *rand.Rand) *store.MessageList {
	t.Helper()
	var gone mail.UIDSet
	for _, m := range list.Range(0, list.Len()) {
		if rng.IntN(20) == 0 {
			gone = gone.Append(m.UID)
		}
	}
	if _, err := a.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Expunge(list.Mailbox(), gone)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, list, err := a.Messages(t.Context(), list.Mailbox())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOrdersBounded: what was asked for last is kept, and no more than fits.
func TestOrdersBounded(t *testing.T) {
	const max = 16 << 20
	c := keeper{max: max}
	key := func(n int) keptKey { return keptKey{1, store.MailboxID(n), "s"} }
	one := func(octets int) *order { return &order{by: make([]int32, octets/4)} }
	for n := range 40 {
		c.put(key(n), one(1<<20))
		if c.get(key(0)) == nil { // so that it is used
			t.Fatalf("the first one went at the %dth", n)
		}
	}
	if c.octets > max || len(c.kept) < 15 || c.get(key(39)) == nil || c.get(key(1)) != nil {
		t.Errorf("%d octets in %d orders", c.octets, len(c.kept))
	}
	c.put(key(0), one(2<<20)) // in its place
	if c.octets > max || c.get(key(0)).octets() < 2<<20 {
		t.Errorf("%d octets", c.octets)
	}
	if c.put(key(50), one(max)); c.get(key(50)) != nil || c.octets > max {
		t.Error("one that is too large is kept")
	}
	other := keptKey{account: 2}
	c.put(other, one(1000))
	if c.forget(1); len(c.kept) != 1 || c.get(other) == nil || c.octets != one(1000).octets() {
		t.Errorf("%d octets in %d orders after one account was forgotten", c.octets, len(c.kept))
	}
}

// TestFieldsBounded: what messages are sorted by is kept up to the limit, and let
// go of when memory is short.
func TestFieldsBounded(t *testing.T) {
	const max = 100_000
	c := fieldCache{max: max}
	f := &fields{subject: strings.Repeat("x", 100)}
	for id := range engine.BlobID(5000) {
		c.put(id, f)
		if octets := (len(c.young) + len(c.old)) * (250 + len(f.subject)); octets > max || c.get(id) != f {
			t.Fatalf("%d octets are kept after %d messages", octets, id+1)
		}
	}
	s, _ := open(t)
	x := newIndex(t, s, vfs.NewMem())
	x.fields.put(1, f)
	if x.Spare(); x.fields.get(1) != nil {
		t.Fatal("they are kept though memory is short")
	}
}
