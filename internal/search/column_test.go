package search

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// odd are messages that have no subject, an empty one, no header, and more than one subject.
var odd = []testMessage{
	{text: "From: ab\r\n\r\nx", date: "2026-02-10T10:00:00Z"},
	{text: "Subject:\r\nX-Other: ab\r\n\r\nx", date: "2026-02-10T10:00:00Z"},
	{text: "\r\nab", date: "2026-02-10T10:00:00Z"},
	{text: "Subject: ab\r\nFrom: a\r\nSubject: beta a\r\n\r\nx", date: "2026-02-10T10:00:00Z"},
}

// TestColumns: what earlier searches saw gives the same as looking anew, whatever came
// and went, also for a session that still has an older list, and for several at once.
func TestColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	s, a := openAccount(t)
	x := newIndex(t, s, vfs.NewMem())
	rest := randomMessages(rng, 1200)
	for i := range rest {
		if rng.IntN(30) == 0 {
			rest[i] = odd[rng.IntN(len(odd))]
		}
	}
	keys := []string{"SUBJECT", "FROM", "HEADER X-Other", "HEADER Date", "NOT SUBJECT", "SUBJECT b UID 2:200 FROM", "OR SUBJECT zz SUBJECT", "UNSEEN SUBJECT"}
	var lists []*store.MessageList
	for len(rest) > 0 {
		n := min(len(rest), []int{0, 1, 3, 3, addedMax + 1, 200}[rng.IntN(6)])
		list := appendTo(t, s, a, rest[:n])
		rest = rest[n:]
		for range rng.IntN(8) {
			list = expunge(t, a, list, rng)
		}
		lists = append(lists, list)
		var wg sync.WaitGroup
		for range 3 {
			list := lists[max(0, len(lists)-1-rng.IntN(5))]
			var only mail.UIDSet
			if rng.IntN(4) == 0 {
				only = mail.UIDSet{}.Append(1 + mail.UID(rng.IntN(50))).Append(100 + mail.UID(rng.IntN(200)))
			}
			key, text := keys[rng.IntN(len(keys))], []string{"", "a", "ab", "be", "ta alpha", "ü", "b@"}[rng.IntN(7)]
			wg.Go(func() {
				_, k := decoderOf(key, text).SearchProgram()
				search := func(x *Index) ([]int32, error) {
					return Run(t.Context(), &Query{Store: s, List: list, Key: k, Only: only, Index: x, Account: a.ID(), User: a.ID()})
				}
				want, err := search(nil)
				if err != nil {
					t.Error(err)
				}
				if got, err := search(x); err != nil || !slices.Equal(got, want) {
					t.Errorf("%s %q in %d messages, only %v: %v, %v, without columns: %v", key, text, list.Len(), only, got, err, want)
				}
			})
		}
		wg.Wait()
	}
}

// TestColumnBeforeIndex: while the index knows few of the messages, what searches see is
// kept; when it rules out most of them, only the others are looked at.
func TestColumnBeforeIndex(t *testing.T) {
	for _, c := range []struct {
		indexed, more int
		kept          bool
	}{{100, addedMax + 100, true}, {addedMax + 200, 100, false}} {
		rng := rand.New(rand.NewPCG(15, 16))
		s, a := openAccount(t)
		x := newIndex(t, s, vfs.NewMem())
		indexAll(t, x, appendTo(t, s, a, randomMessages(rng, c.indexed)))
		list := appendTo(t, s, a, randomMessages(rng, c.more))
		for range 2 {
			if got, err := runWith(t, s, list, x, "SUBJECT nowhere"); err != nil || len(got) > 0 {
				t.Fatal(got, err)
			}
		}
		q := &Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID()}
		if got := q.newFieldTest("Subject", []byte("nowhere")).column != nil; got != c.kept {
			t.Errorf("%d messages are in the index and %d are not: it is kept is %v", c.indexed, c.more, got)
		}
	}
}

// TestColumnIsUsed: a search that looked at all messages lets the next ones read only
// those that it could not keep, and messages that came since go into the same memory.
func TestColumnIsUsed(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	s, a := openAccount(t)
	x := newIndex(t, s, vfs.NewMem())
	list := appendTo(t, s, a, randomMessages(rng, addedMax))
	look := func(program string) {
		t.Helper()
		if _, err := runWith(t, s, list, x, program); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, missing, cost int) *column {
		t.Helper()
		q := &Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID()}
		test := q.newFieldTest("Subject", []byte("a"))
		if got := q.compileField("Subject", []byte("a")); test.missing() != missing || got.cost != cost {
			t.Errorf("%s: %d messages to be read, cost %d, expected %d and %d", when, test.missing(), got.cost, missing, cost)
		}
		return test.column
	}
	expect("few, and none was looked at", addedMax, costSummary)
	list = appendTo(t, s, a, append(randomMessages(rng, 200), odd...))
	lacks := 1 // the one with two subjects
	look("UID 100:* SUBJECT a")
	expect("some were looked at", list.Len(), costSummary)
	look("FROM a")
	expect("another field was looked at", list.Len(), costSummary)
	look("SUBJECT a")
	first := expect("all were looked at", lacks, costRow)
	list = appendTo(t, s, a, randomMessages(rng, 3))
	expect("three came", lacks+3, costRow)
	look("SUBJECT a")
	second := expect("they were looked at", lacks, costRow)
	look("SUBJECT a")
	if expect("nothing came", lacks, costRow) != second {
		t.Error("another column, of the same messages")
	}
	list = appendTo(t, s, a, randomMessages(rng, 2))
	look("SUBJECT a")
	if third := expect("two more", lacks, costRow); len(third.uids) != len(first.uids)+5 {
		t.Errorf("%d messages in the column", len(third.uids))
	} else if &third.uids[0] != &second.uids[0] {
		t.Error("the column was copied for two messages")
	}
	list = appendTo(t, s, a, randomMessages(rng, addedMax))
	expect("many came", lacks+addedMax, costSummary)
	look("SUBJECT a")
	expect("they were looked at", lacks, costRow)
	x.Spare()
	expect("memory was short", list.Len(), costSummary)
	look("SUBJECT a")
	x.Forget(a.ID())
	expect("the account was forgotten", list.Len(), costSummary)
}

// TestColumnLacks: what cannot be read today may be tomorrow.
func TestColumnLacks(t *testing.T) {
	var seen column
	q := &Query{Index: &Index{}}
	c := &cursor{}
	test := &fieldTest{q: q, name: "Subject", needle: []byte("a")}
	test.see(c, &seen, &store.Message{UID: 1}, []byte("Subject: b\r\n"))
	test.see(c, &seen, &store.Message{UID: 2}, nil)
	test.see(c, &seen, &store.Message{UID: 4}, []byte("Subject: c\r\nsubject: a\r\n"))
	test.see(c, &seen, &store.Message{UID: 6}, []byte("Subject: A\r\n"))
	for uid, want := range map[mail.UID]string{1: "b", 6: "a"} {
		if value, ok := seen.value(0, uid); !ok || string(value) != want {
			t.Errorf("message %d: %q, %t", uid, value, ok)
		}
	}
	if len(seen.uids) != 2 || seen.lacks != 2 || seen.last != 6 {
		t.Errorf("%v, without %d, up to %d", seen.uids, seen.lacks, seen.last)
	}
}

// TestColumnMadeAnew: a column is made anew when most of its messages are gone.
func TestColumnMadeAnew(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	s, a := openAccount(t)
	x := newIndex(t, s, vfs.NewMem())
	list := appendTo(t, s, a, randomMessages(rng, 3*addedMax))
	q := func() *fieldTest {
		return (&Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID()}).newFieldTest("Subject", []byte("a"))
	}
	if _, err := runWith(t, s, list, x, "SUBJECT a"); err != nil {
		t.Fatal(err)
	}
	for list.Len() > addedMax/2 {
		if q().column == nil && list.Len() > addedMax {
			t.Fatalf("%d of %d messages are there, and no column", list.Len(), 3*addedMax)
		}
		list = expunge(t, a, list, rng)
	}
	if q().column != nil {
		t.Errorf("a column of %d messages, of which %d are there", 3*addedMax, list.Len())
	}
}

// TestColumnsBounded: what is seen takes no more memory than may be kept.
func TestColumnsBounded(t *testing.T) {
	const limit = 20_000
	s, a := openAccount(t)
	x := newIndex(t, s, vfs.NewMem())
	x.keeper.max = limit
	var all []testMessage
	for i := range 400 {
		all = append(all, testMessage{text: fmt.Sprintf("Subject: %s%d\r\nFrom: a\r\n\r\nx", strings.Repeat("ab", 200), i), date: "2026-02-10T10:00:00Z"})
	}
	list := appendTo(t, s, a, all)
	q := &Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID(), Key: parsed(t, "SUBJECT 399")}
	found, err := Run(t.Context(), q)
	if err != nil || !slices.Equal(found, []int32{399}) {
		t.Fatalf("found %v, %v", found, err)
	}
	octets := 0
	for i := range q.watched.seen {
		octets += len(q.watched.seen[i].text)
	}
	if octets > 2*limit {
		t.Errorf("%d octets were seen, %d may be kept", octets, limit)
	}
	if x.keeper.octets > 0 {
		t.Errorf("%d octets are kept", x.keeper.octets)
	}
	q = &Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID()}
	one, two := q.newFieldTest("Subject", []byte("a")), q.newFieldTest("From", []byte("a"))
	one.watch()
	if two.watch(); one.seen == nil || two.seen != nil {
		t.Error("not one key of a search is watched")
	}
	q = &Query{Store: s, List: list, Index: x, Account: a.ID(), User: a.ID(), Only: mail.NewUIDSet(1, 2)}
	one = q.newFieldTest("Subject", []byte("a"))
	if one.watch(); one.seen != nil {
		t.Error("a search in a few messages is watched, whose searchers share blocks")
	}
	if _, err := runWith(t, s, list, x, "FROM a"); err != nil || x.keeper.octets == 0 || x.keeper.octets > limit {
		t.Errorf("%d octets of a short field are kept, %v", x.keeper.octets, err)
	}
}

// BenchmarkColumn: a text of two letters, which the index cannot answer, in the
// subjects of 5,000 messages that a search has looked through before.
func BenchmarkColumn(b *testing.B) {
	s, list := openWith(b, randomMessages(rand.New(rand.NewPCG(9, 9)), 5000))
	x := newIndex(b, s, vfs.NewMem())
	for b.Loop() {
		if _, err := runLiteral(b, s, list, x, "SUBJECT", "zz"); err != nil {
			b.Fatal(err)
		}
	}
}
