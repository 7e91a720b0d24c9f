package search

import (
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
)

// TestPanic: where a message makes a search panic, that comes to who asked, and the
// turns are given back.
func TestPanic(t *testing.T) {
	s, list := open(t)
	turns := fair.New(time.Now)
	q := &Query{Store: s, List: list, Key: parsed(t, "OR TEXT nothing RECENT"), Work: turns.NewWork(), Recent: func(mail.UID) bool { panic("poison") }}
	for range 3 * turns.Slots() {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "poison") {
					t.Errorf("recovered %q", text)
				}
			}()
			Run(t.Context(), q)
		}()
	}
	q.Recent = func(mail.UID) bool { return true }
	if found, err := Run(t.Context(), q); err != nil || len(found) != list.Len() {
		t.Errorf("afterwards: %v, %v", found, err)
	}
}

// TestIndexPanic: what makes the index panic ends nothing but its own indexing.
func TestIndexPanic(t *testing.T) {
	s, list := open(t)
	fault := &vfs.Fault{FS: vfs.NewMem()}
	failed := make(chan error)
	poison := true
	fault.Fail = func(op vfs.Op, _ int64) error {
		if op == vfs.OpCreate && poison {
			panic("poison")
		}
		return nil
	}
	x := NewIndex(t.Context(), s, fault, "idx", IndexOptions{Min: 1, Failed: func(err error) { failed <- err }})
	defer x.Close()
	account := accountOf(t, s)
	x.candidates(account, list, []byte("nothing"))
	if err := <-failed; errs.KindOf(err) != errs.Internal || !strings.Contains(err.Error(), "poison") {
		t.Errorf("it failed with %v", err)
	}
	poison = false
	for x.candidates(account, list, []byte("nothing")) == nil {
		time.Sleep(time.Millisecond) // the index is made in the background
	}
}
