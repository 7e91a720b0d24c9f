package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/imapwire"
)

// sortable makes messages with equal and nearly equal things to sort by.
func sortable(n int) (all []testMessage) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		text := fmt.Sprintf("From: %s@x\r\nSubject: %s %d\r\nDate: %d Nov 2026 10:00:00 +0000\r\n\r\n%s",
			[]string{"ann", "bob", "annabel", "annabela", "annabelle"}[rng.IntN(5)],
			[]string{"Re: weekly report", "weekly report", "weekly", "", "Ünder"}[rng.IntN(5)], rng.IntN(20),
			1+rng.IntN(28), strings.Repeat("x", rng.IntN(40)))
		all = append(all, testMessage{text: text, date: fmt.Sprintf("2026-11-%02dT10:00:00Z", 1+rng.IntN(28))})
	}
	return all
}

var sortFields = []imapwire.SortField{imapwire.SortArrival, imapwire.SortDate, imapwire.SortSize, imapwire.SortSubject,
	imapwire.SortFrom, imapwire.SortTo, imapwire.SortCc, imapwire.SortDisplayFrom, imapwire.SortDisplayTo}

// TestSort: each order is the one that comparing the messages one by one gives
// (RFC 5256 §3: REVERSE is of its criterion alone, equal messages stay in the
// order of the mailbox).
func TestSort(t *testing.T) {
	s, list := openWith(t, sortable(300))
	q := &Query{Store: s, List: list}
	found := make([]int32, list.Len())
	for i := range found {
		found[i] = int32(i)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		var criteria []imapwire.SortKey
		for range 1 + rng.IntN(3) {
			criteria = append(criteria, imapwire.SortKey{Field: sortFields[rng.IntN(len(sortFields))], Reverse: rng.IntN(2) == 0})
		}
		got, err := q.Sort(t.Context(), found, criteria)
		if err != nil {
			t.Fatal(err)
		}
		items, err := q.read(t.Context(), found)
		if err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(found)
		slices.SortFunc(want, func(a, b int32) int { return q.newSorter(criteria).compare(&items[a], &items[b]) })
		if !slices.Equal(got, want) {
			t.Fatalf("%v:\n%v\nwant\n%v", criteria, got, want)
		}
	}
}

func BenchmarkSort(b *testing.B) {
	s, list := openWith(b, sortable(2000))
	x := &Index{}
	q := &Query{Store: s, List: list, Index: x}
	found := make([]int32, list.Len())
	for i := range found {
		found[i] = int32(i)
	}
	for name, criteria := range map[string][]imapwire.SortKey{
		"ReverseDate": {{Field: imapwire.SortDate, Reverse: true}},
		"Subject":     {{Field: imapwire.SortSubject}},
		"FromDate":    {{Field: imapwire.SortFrom}, {Field: imapwire.SortDate}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				x.keeper.drop()
				if _, err := q.Sort(b.Context(), found, criteria); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"Again", func(b *testing.B) {
			for b.Loop() {
				if _, err := q.Sort(b.Context(), found, criteria); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
