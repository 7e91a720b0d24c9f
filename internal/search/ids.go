package search

import (
	"slices"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// compileID compares a message's ids (RFC 8474 §6).
func (q *Query) compileID(k *imapwire.SearchKey) test {
	ids := store.ObjectIDs{Account: q.Account, User: q.User}
	switch k.Op {
	case imapwire.SearchEmailID:
		id, ok := ids.ParseMessage(k.Text)
		return rowTest(func(m *store.Message) bool { return ok && m.ID == id })
	case imapwire.SearchLabel:
		return rowTest(func(m *store.Message) bool {
			_, ok := slices.BinarySearch(k.IDs, uint64(m.ID))
			return ok && q.User == q.Account // whose labels they are
		})
	}
	id, ok := ids.ParseThread(k.Text)
	return test{cost: costSummary, match: func(c *cursor, _ int, m *store.Message) (bool, error) {
		s, err := c.summary(m)
		return ok && s != nil && store.ThreadOf(m, s) == id, err
	}}
}
