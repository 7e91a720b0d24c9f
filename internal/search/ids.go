package search

import (
	"slices"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// compileID compares a message's ids (RFC 8474 §6).
func (q *Query) compileID(k *imapwire.SearchKey) test {
	switch k.Op {
	case imapwire.SearchEmailID:
		return rowTest(func(m *store.Message) bool { return m.ID.String() == k.Text })
	case imapwire.SearchLabel:
		return rowTest(func(m *store.Message) bool {
			_, ok := slices.BinarySearch(k.IDs, uint64(m.ID))
			return ok
		})
	}
	return test{costSummary, func(c *cursor, _ int, m *store.Message) (bool, error) {
		s, err := c.summary(m)
		return s != nil && store.ThreadOf(m, s).String() == k.Text, err
	}}
}
