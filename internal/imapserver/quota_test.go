package imapserver

import (
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/store"
)

// TestInUnits: STORAGE is in units of 1024 octets (RFC 9208 §5.1), and is not 0
// while there is something.
func TestInUnits(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 1: 1, 1024: 1, 1025: 2, store.NoLimit: 1 << 53} {
		if got := inUnits(store.Storage, n); got != want {
			t.Errorf("%d octets: %d units, want %d", n, got, want)
		}
		if got := inUnits(store.MessageCount, n); got != n {
			t.Errorf("%d messages: %d", n, got)
		}
	}
}

// TestNoQuota: where nothing is limited there is no quota root (RFC 9208
// §4.2.2), and one that an administrator sets is there at once.
func TestNoQuota(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	c.Line()
	step := func(send, want string) {
		t.Helper()
		if send != "" {
			c.Send(t, send+"\r\n")
		}
		if got := c.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", send, got, want)
		}
	}
	for _, told := range []struct{ send, want string }{
		{"a LOGIN ada secret", "a OK"}, {"b GETQUOTAROOT INBOX", "* QUOTAROOT INBOX"}, {"", "b OK"}, {"c GETQUOTA ada@localhost", "c NO [NONEXISTENT]"},
	} {
		step(told.send, told.want)
	}
	err := s.Store.EditQuota(t.Context(), "ada@localhost", func(q *store.Quota) { q.Set(store.Storage, 2048) })
	if err != nil {
		t.Fatal(err)
	}
	step("d GETQUOTA ada@localhost", `* QUOTA "ada@localhost" (STORAGE 0 2)`)
	step("", "d OK")
}
