package bench

import (
	"testing"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/search"
)

// BenchmarkScan is a search and a sort of many messages that have no room in the
// store's caches, with nothing indexed.
func BenchmarkScan(b *testing.B) {
	const messages = 20_000
	s := newServer(b)
	s.fill(b, messages)
	s.Store.Spare()
	a := s.account(b)
	now, err := a.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	box, err := now.Mailbox(mail.Inbox)
	if err != nil {
		b.Fatal(err)
	}
	list, err := now.Messages(b.Context(), box.ID)
	if err != nil {
		b.Fatal(err)
	}
	all := make([]int32, messages)
	for i := range all {
		all[i] = int32(i)
	}
	key := &imapwire.SearchKey{Op: imapwire.SearchHeader, Field: "Subject", Text: "subject 77"}
	criteria := []imapwire.SortKey{{Field: imapwire.SortSubject}, {Field: imapwire.SortDate}}
	for _, bench := range []struct {
		name string
		run  func(q *search.Query) ([]int32, error)
	}{
		{"search-subject", func(q *search.Query) ([]int32, error) { return search.Run(b.Context(), q) }},
		{"sort-subject", func(q *search.Query) ([]int32, error) { return q.Sort(b.Context(), all, criteria) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				q := &search.Query{Store: s.Store, List: list, Key: key, Account: a.ID(), User: a.ID()}
				if found, err := bench.run(q); err != nil || len(found) == 0 {
					b.Fatal(found, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages, "ns/message")
		})
	}
}
