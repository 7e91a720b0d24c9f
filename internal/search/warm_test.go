package search

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/internal/warm"
)

var warmCriteria = [][]imapwire.SortKey{
	{{Field: imapwire.SortSubject}},
	{{Field: imapwire.SortDate, Reverse: true}, {Field: imapwire.SortFrom}},
}

// arranged returns how a query sorts and threads all messages.
func arranged(t *testing.T, q *Query) (orders [][]int32) {
	t.Helper()
	for _, by := range warmCriteria {
		sorted, err := q.Sort(t.Context(), all(q.List.Len()), by)
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, sorted)
	}
	for _, by := range []Threading{OrderedSubject, References, Refs} {
		threads, err := q.Thread(t.Context(), all(q.List.Len()), by)
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, threads)
	}
	return orders
}

// TestWarmKept: how a mailbox was arranged, and what a search saw, outlives a stop and
// fits what came since.
func TestWarmKept(t *testing.T) {
	e, fsys := mem.New(), vfs.NewMem()
	var note []byte
	start := func() (*store.Store, *Index) {
		t.Helper()
		folder := warm.NewFolder(fsys, "warm", note, func(err error) { t.Error(err) })
		note = folder.Note()
		s, err := store.Open(t.Context(), e, store.Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		return s, NewIndex(t.Context(), s, fsys, "idx", IndexOptions{Warm: folder})
	}
	stop := func(s *store.Store, x *Index) {
		t.Helper()
		x.Close()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s, x := start()
	info, err := s.CreateAccount(t.Context(), "a@b", "x")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), info.ID)
	if err != nil {
		t.Fatal(err)
	}
	more := sortable(100)
	list := appendTo(t, s, a, more[:90])
	want := arranged(t, &Query{Store: s, List: list, Account: a.ID(), Index: x})
	_, subject := decoderOf("SUBJECT", "zq").SearchProgram()
	if _, err := Run(t.Context(), &Query{Store: s, List: list, Key: subject, Account: a.ID(), Index: x}); err != nil {
		t.Fatal(err)
	}
	stop(s, x)

	s, x = start()
	x.Close() // which waits for what is loaded
	if n := len(x.keeper.kept); n != len(want)+1 {
		t.Errorf("%d orders and columns outlived the stop, not %d", n, len(want)+1)
	}
	if a, err = s.Account(t.Context(), info.ID); err != nil {
		t.Fatal(err)
	}
	_, list, err = a.Messages(t.Context(), list.Mailbox())
	if err != nil {
		t.Fatal(err)
	}
	q := &Query{Store: s, List: list, Account: a.ID(), Index: x}
	q.Index.fields.drop()
	if got := arranged(t, q); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("arranged as %v\nwas %v", got, want)
	}
	for key, k := range x.keeper.kept {
		if o, ok := k.keepable.(*order); ok && o.list.Value() != list {
			t.Errorf("%q was made anew", key.what)
		}
	}
	if test := q.newFieldTest("SUBJECT", []byte("zq")); test.column == nil || test.missing() > test.column.lacks {
		t.Error("the column of subjects is not used")
	}
	q.List = appendTo(t, s, a, more[90:])
	if got, want := arranged(t, q), arranged(t, &Query{Store: s, List: q.List, Account: a.ID()}); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("with more messages %v\nanew %v", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWarmBlocks: what was used last comes last, and stays where there is too little
// room for all.
func TestWarmBlocks(t *testing.T) {
	c := &keeper{}
	for box := range store.MailboxID(9) {
		c.put(keptKey{16, box, "t\x00"}, &order{})
	}
	c.get(keptKey{16, 3, "t\x00"})
	var last keptKey
	n := 0
	for b := range warmBlocks(c) {
		last, _ = decodeKept(b)
		n++
	}
	if n != 9 || last.mailbox != 3 {
		t.Errorf("%d blocks, the last of mailbox %d", n, last.mailbox)
	}
}

// TestKeptVersion: orders and columns are kept over a restart, for a newer server too.
func TestKeptVersion(t *testing.T) {
	const seen = "1 314b8f59ee2421eb"
	s, list := openWith(t, sortable(300))
	h := sha256.New()
	q := &Query{Store: s, List: list}
	fmt.Fprint(h, arranged(t, q))
	for f := imapwire.SortArrival; f < imapwire.SortRelevancy; f++ {
		sorted, err := q.Sort(t.Context(), all(list.Len()), []imapwire.SortKey{{Field: f}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(h, f, sorted)
	}
	x := newIndex(t, s, vfs.NewMem())
	_, k := decoderOf("SUBJECT", "zq").SearchProgram()
	if _, err := Run(t.Context(), &Query{Store: s, List: list, Key: k, Index: x}); err != nil {
		t.Fatal(err)
	}
	for _, k := range x.keeper.kept {
		fmt.Fprintf(h, "%q", k.keepable.(*column).text)
	}
	if got := fmt.Sprintf("%d %x", keptVersion, h.Sum(nil)[:8]); got != seen {
		t.Errorf("the version and the orders are %s, and were %s: if they have changed, raise keptVersion", got, seen)
	}
}

// FuzzKept: what is read can be used, and is written as it was.
func FuzzKept(f *testing.F) {
	seed := func(what string, v keepable) {
		b := appendKept(nil, keptKey{16, 1, what}, v)
		for n := range len(b) + 1 {
			f.Add(b[:n])
		}
	}
	for _, by := range [][]int32{{2, 0, 1}, {threadOpens, 0, 1, threadCloses, 2}} {
		for _, what := range []string{"s\x01\x00", "t\x00"} {
			seed(what, &order{uids: []mail.UID{1, 5, 7}, by: by})
		}
	}
	c := &column{text: []byte("onetwo"), uids: []mail.UID{1, 5, 7}, ends: []uint32{3, 3, 6}, last: 8, lacks: 1}
	seed("hsubject", c)
	seed("hsubject", &column{last: 8, lacks: 8})
	f.Add(make([]byte, 20))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, v := decodeKept(b)
		if v == nil {
			return
		}
		if again := appendKept(nil, key, v); !bytes.HasPrefix(b, again) || len(b)-len(again) > 3 {
			t.Errorf("%q\nis %q", b, again)
		}
		if c, ok := v.(*column); ok {
			for i, u := range c.uids {
				if _, ok := c.value(i, u); !ok {
					t.Errorf("%d has no value", u)
				}
			}
		}
	})
}

// TestColumnAgain: a column is read as it was written.
func TestColumnAgain(t *testing.T) {
	c := &column{text: []byte("onetwo"), uids: []mail.UID{1, 5, 7}, ends: []uint32{3, 3, 6}, last: 8, lacks: 2}
	key := keptKey{16, 1, "h" + strings.Repeat("name", 100)}
	again, v := decodeKept(appendKept(nil, key, c))
	got, ok := v.(*column)
	if !ok || again != key || !bytes.Equal(got.text, c.text) || !slices.Equal(got.uids, c.uids) || !slices.Equal(got.ends, c.ends) || got.last != c.last || got.lacks != c.lacks {
		t.Errorf("%+v", v)
	}
}

// TestColumnIsWhole: what is no column is not taken for one.
func TestColumnIsWhole(t *testing.T) {
	for _, c := range []struct {
		text string
		uids []mail.UID
		ends []uint32
		last mail.UID
		want bool
	}{
		{"onetwo", []mail.UID{1, 5}, []uint32{3, 6}, 5, true},
		{"", nil, nil, 9, true},
		{"one", nil, nil, 9, false},
		{"onetwo", []mail.UID{5, 1}, []uint32{3, 6}, 5, false},
		{"onetwo", []mail.UID{1, 5}, []uint32{7, 6}, 5, false},
		{"onetwo", []mail.UID{1, 5}, []uint32{3, 5}, 5, false},
		{"onetwo", []mail.UID{1, 5}, []uint32{3, 7}, 5, false},
		{"onetwo", []mail.UID{1, 5}, []uint32{3, 6}, 4, false},
	} {
		if got := (&column{text: []byte(c.text), uids: c.uids, ends: c.ends, last: c.last}).isWhole(); got != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
}

// TestOrderIsWhole: what is no order is not taken for one.
func TestOrderIsWhole(t *testing.T) {
	for _, c := range []struct {
		uids    []mail.UID
		by      []int32
		threads bool
		want    bool
	}{
		{[]mail.UID{1, 5}, []int32{1, 0}, false, true},
		{nil, nil, false, true},
		{[]mail.UID{5, 1}, []int32{1, 0}, false, false},
		{[]mail.UID{0, 1}, []int32{1, 0}, false, false},
		{[]mail.UID{1, 5}, []int32{1, 1}, false, false},
		{[]mail.UID{1, 5}, []int32{1}, false, false},
		{[]mail.UID{1, 5}, []int32{1, 2}, false, false},
		{[]mail.UID{1, 5}, []int32{1, 0, threadOpens, threadCloses}, false, false},
		{[]mail.UID{1, 5}, []int32{threadOpens, 1, 0, threadCloses}, true, true},
		{[]mail.UID{1, 5}, []int32{threadOpens, 1, 0}, true, false},
		{[]mail.UID{1, 5}, []int32{threadCloses, threadOpens, 1, 0}, true, false},
		{[]mail.UID{1, 5}, []int32{-3, 1, 0}, true, false},
	} {
		if got := (&order{uids: c.uids, by: c.by}).isWhole(c.threads); got != c.want {
			t.Errorf("%v %v: %v", c.uids, c.by, got)
		}
	}
}
