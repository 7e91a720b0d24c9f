package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
)

// TestDiffMailboxes: one that was changed, made, renamed or deleted, and no other,
// also when the account was read anew, which shares nothing.
func TestDiffMailboxes(t *testing.T) {
	e := mem.New()
	s := openStore(t, e)
	a := account(t, s, "a@b")
	make := func(names ...string) {
		update(t, a, func(tx *Tx) error {
			for _, name := range names {
				if _, err := tx.CreateMailbox(name, CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	make("a", "b", "c", "p/q")
	update(t, a, func(tx *Tx) error { return tx.Subscribe("a") })
	old := must(a.Snapshot())
	if c := DiffMailboxes(old, old); len(c) > 0 || len(DiffSubscribed(old, old)) > 0 {
		t.Errorf("nothing happened: %v", c)
	}
	deliver(t, s, a, "c", "x", mail.Flags{})
	update(t, a, func(tx *Tx) error { return tx.RenameMailbox(boxOf(t, a, "a").ID, "z") })
	update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(boxOf(t, a, "b").ID) })
	make("d", "b")
	update(t, a, func(tx *Tx) error { return tx.RenameMailbox(boxOf(t, a, "p").ID, "a") }) // in the place of another
	update(t, a, func(tx *Tx) error {
		if err := tx.Unsubscribe("a"); err != nil {
			return err
		}
		return tx.Subscribe("z")
	})
	const want = "p>a p/q>a/q >b c>c >d a>z b>"
	for when, now := range map[string]*Snapshot{"as it is": must(a.Snapshot()), "read anew": must(account(t, openStore(t, e), "a@b").Snapshot())} {
		var got []string
		for _, c := range DiffMailboxes(old, now) {
			text := ">"
			if c.Old != nil {
				text = c.Old.Name + text
			}
			if c.New != nil {
				text += c.New.Name
			}
			if c.Old == nil || c.New == nil || c.Old.ModSeq != c.New.ModSeq {
				got = append(got, text)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
		if names := DiffSubscribed(old, now); !slices.Equal(names, []string{"a", "z"}) {
			t.Errorf("%s: subscriptions %q", when, names)
		}
	}
}
