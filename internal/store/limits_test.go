package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// TestMessageKeywordLimit: one message has so many keywords at most, whether
// they come at once or one by one.
func TestMessageKeywordLimit(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	for i, n := range []int{MessageKeywordsMax - 1, 1, 1} {
		k := make([]string, n)
		for j := range k {
			k[j] = fmt.Sprintf("k%d-%d", i, j)
		}
		_, err := a.Update(ctx, func(tx *Tx) error {
			_, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(0, k...)})
			return err
		})
		if i < 2 && err != nil || i == 2 && !errs.Is(err, errs.Limit) {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestKeywordLimit(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	set := func(n int) error {
		k := make([]string, n)
		for i := range k {
			k[i] = fmt.Sprintf("k%d", i)
		}
		_, err := a.Update(ctx, func(tx *Tx) error {
			for part := range slices.Chunk(k, MessageKeywordsMax) {
				if _, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Flags: mail.NewFlags(0, part...)}); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	}
	_, err := a.Update(ctx, func(tx *Tx) error {
		_, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Flags: mail.NewFlags(0, "bad(keyword")})
		return err
	})
	if !errs.Is(err, errs.Invalid) {
		t.Fatalf("a keyword that is no atom: %v", err)
	}
	for _, n := range []int{KeywordsMax - 1, KeywordsMax} {
		if err := set(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := set(KeywordsMax + 1); !errs.Is(err, errs.Limit) {
		t.Fatalf("one keyword too many: %v", err)
	}
}

func TestMailboxLimit(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	v, _ := a.Snapshot()
	have := len(v.boxes)
	update(t, a, func(tx *Tx) error {
		for i := have; i < MailboxesMax; i++ {
			if _, err := tx.CreateMailbox(fmt.Sprintf("m%d", i), CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := a.Update(ctx, func(tx *Tx) error { _, err := tx.CreateMailbox("over", CreateOptions{}); return err })
	if !errs.Is(err, errs.Limit) {
		t.Fatalf("one mailbox too many: %v", err)
	}
}
