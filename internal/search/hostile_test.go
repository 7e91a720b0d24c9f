package search

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/doubling"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
)

// TestA21: chains, loops and crowds of references take n log n.
func TestA21(t *testing.T) {
	for name, shape := range doubling.Threads {
		doubling.Check(t, name, 4000, func(n int) func() {
			all := make([]testFields, n)
			for i := range all {
				m := shape(i, n)
				all[i] = testFields{id: m.ID, refs: m.Refs, subject: m.Subject, reply: m.Reply}
			}
			items := itemsOf(all)
			return func() { threadItems(items) }
		})
	}
}

// parsed returns the search program of a command line.
func parsed(t testing.TB, program string) *imapwire.SearchKey {
	t.Helper()
	key, ok := imapwire.ParseSearch(program)
	if !ok {
		t.Fatalf("%.100q is no search", program)
	}
	return key
}

// TestA22: a search with very many keys ends when its time is over, soon after.
func TestA22(t *testing.T) {
	s, list := open(t)
	for name, word := range map[string]string{
		"text":        "TEXT nothing ",
		"body":        "NOT BODY nothing ",
		"headers":     "NOT HEADER X-None nothing ",
		"sets":        "UID 1:* ",
		"words":       "UNKEYWORD none ",
		"annotations": "NOT ANNOTATION /*%*%x value \"nothing\" ",
	} {
		key := parsed(t, strings.Repeat(word, imapwire.SearchKeysMax/2-1)+"ALL")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		took := doubling.Time(func() {
			if _, err := Run(ctx, &Query{Store: s, List: list, Key: key, Recent: func(mail.UID) bool { return false }}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if took > 2*time.Second {
			t.Errorf("%s: %v after the end", name, took)
		}
	}
}

// TestA22Memory: what the index says of one text has a bit for each message,
// and it is asked for few texts of a search.
func TestA22Memory(t *testing.T) {
	s, list := open(t)
	x := NewIndex(t.Context(), s, vfs.NewMem(), "idx", IndexOptions{Min: 1})
	defer x.Close()
	account := accountOf(t, s)
	for x.candidates(account, list, []byte("nothing")) == nil {
		time.Sleep(time.Millisecond) // the index is made in the background
	}
	q := &Query{Store: s, List: list, Index: x, Account: account, User: account, Recent: func(mail.UID) bool { return false }}
	for i := range 10 * askedMax {
		if got := q.maybe(fmt.Appendf(nil, "needle%d", i)); (got != nil) != (i < askedMax) {
			t.Fatalf("text %d: asked %v", i, got != nil)
		}
	}
	q = &Query{Store: s, List: list, Index: x, Account: account, User: account, Recent: q.Recent}
	q.Key = parsed(t, strings.Repeat("NOT BODY nothing ", 2*askedMax)+"ALL")
	if found, err := Run(t.Context(), q); err != nil || len(found) != list.Len() {
		t.Errorf("%v %v", found, err)
	}
}

// TestA22Nesting: keys within keys end at a depth, with an error.
func TestA22Nesting(t *testing.T) {
	for name, text := range map[string]string{
		"not":         strings.Repeat("NOT ", 100_000) + "ALL",
		"or":          strings.Repeat("OR ", 30_000) + strings.Repeat("ALL ", 30_001),
		"parentheses": strings.Repeat("(", 100_000) + "ALL" + strings.Repeat(")", 100_000),
		"keys":        strings.TrimSpace(strings.Repeat("ALL ", 200_000)),
	} {
		if _, ok := imapwire.ParseSearch(text); ok {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestA22Needle: a needle as long as a literal may be is looked for in linear
// time, in a text that nearly holds it.
func TestA22Needle(t *testing.T) {
	doubling.Check(t, "needle", 16<<10, func(n int) func() {
		c := (&Query{}).newCursor(t.Context(), nil)
		needle := []byte(strings.Repeat("a", n) + "b")
		text := strings.Repeat(strings.Repeat("a", n)+"c", 8)
		return func() { c.contains(text, needle) }
	})
}
