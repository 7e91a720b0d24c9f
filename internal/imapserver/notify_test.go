package imapserver

import (
	"fmt"
	"slices"
	"testing"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// watching returns a session that asked to be told of so many mailboxes, and
// two states of its account between which another one changed.
func watching(t testing.TB, mailboxes int) (s *session, before sight) {
	t.Helper()
	srv := newTestServer(t, Options{})
	acct := srv.Account(t, "ada@localhost")
	g := eventGroup{filter: "MAILBOXES", events: messageEvents | mailboxName | subscriptionChange | mailboxMetadata}
	_, err := acct.Update(t.Context(), func(tx *store.Tx) error {
		for i := range mailboxes {
			name := fmt.Sprintf("m%d", i)
			g.names = append(g.names, name)
			box, err := tx.CreateMailbox(name, store.CreateOptions{})
			if err != nil {
				return err
			}
			if err := tx.Subscribe(name); err != nil {
				return err
			}
			if err := tx.SetMetadata(box.ID, "/private/comment", []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(g.names)
	old, err := acct.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	_, err = acct.Update(t.Context(), func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(mail.Inbox)
		if err != nil {
			return err
		}
		return tx.SetSpecialUse(box.ID, mail.UseArchive)
	})
	if err != nil {
		t.Fatal(err)
	}
	own := &tree{acct: acct, owner: "ada@localhost", user: "ada@localhost"}
	return &session{own: own, notify: &notify{groups: []eventGroup{g}}}, sight{own, old}
}

// TestNotifyMany: what a wake costs a session does not depend on how many
// mailboxes there are in which nothing happened.
func TestNotifyMany(t *testing.T) {
	allocations := func(mailboxes int) float64 {
		s, old := watching(t, mailboxes)
		return testing.AllocsPerRun(100, func() {
			s.notify.last = old
			if err := s.tellOthers(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(10), allocations(notifyNamesMax); many > few {
		t.Errorf("%v allocations with 10 mailboxes, %v with %d", few, many, notifyNamesMax)
	}
}

func BenchmarkNotify(b *testing.B) {
	s, old := watching(b, notifyNamesMax)
	b.ReportAllocs()
	for b.Loop() {
		s.notify.last = old
		if err := s.tellOthers(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
