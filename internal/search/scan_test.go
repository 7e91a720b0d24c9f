package search

import (
	"fmt"
	"testing"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// TestScanAllocates sees that a search of header fields allocates no more for many
// messages than for few, though there is room for none of them in the cache.
func TestScanAllocates(t *testing.T) {
	allocates := func(messages int) float64 {
		s, a := openAccountWith(t, store.Options{SummaryCacheOctets: 1})
		var all []testMessage
		for i := range messages {
			all = append(all, testMessage{fmt.Sprintf("From: a@b\r\nSubject: subject %d\r\nReferences: <a@b>\r\n\r\ntext\r\n", i), mail.Flags{}, "2026-02-10T10:00:00Z"})
		}
		list := appendTo(t, s, a, all)
		return testing.AllocsPerRun(3, func() {
			if found, err := run(t, s, list, `SUBJECT "subject 77"`); err != nil || len(found) == 0 {
				t.Fatal(found, err)
			}
		})
	}
	few, many := allocates(200), allocates(2000)
	if more := (many - few) / 1800; more > 0.1 {
		t.Fatalf("%.0f allocations for 200 messages, %.0f for 2000: %.2f for each", few, many, more)
	}
}
