package search

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

func newIndex(t testing.TB, s *store.Store, fsys vfs.FS) *Index {
	x := NewIndex(t.Context(), s, fsys, "search", IndexOptions{Min: 1 << 30})
	t.Cleanup(x.Close)
	return x
}

// indexAll does the background work now.
func indexAll(t testing.TB, x *Index, list *store.MessageList) {
	t.Helper()
	if err := x.index(t.Context(), job{accountOf(t, x.store), list}); err != nil {
		t.Fatal(err)
	}
}

// randomMessages are made of few words, so that they have much in common, with
// folded fields and encoded words.
func randomMessages(rng *rand.Rand, n int) (all []testMessage) {
	words := []string{"alpha", "beta", "ΓΆΜΜΑ", "delta-1", "größe", "日本語", "ab", "a", "=?utf-8?q?caf=C3=A9?=", "x@y.example"}
	text := func(n int, sep ...string) string {
		var b strings.Builder
		for range 1 + rng.IntN(n) {
			b.WriteString(words[rng.IntN(len(words))] + sep[rng.IntN(len(sep))])
		}
		return b.String()
	}
	for range n {
		all = append(all, testMessage{text: "From: " + text(3, " ", "\r\n ") + "\r\nSubject: " + text(8, " ", "\r\n\t", "  ") +
			"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text(30, " ", "\r\n", ", "), date: "2026-02-10T10:00:00Z"})
	}
	return all
}

// needle is a part of a message.
func needle(rng *rand.Rand, m string) string {
	runes := []rune(m)
	from := rng.IntN(len(runes))
	return string(runes[from:min(len(runes), from+1+rng.IntN(12))])
}

// TestIndexAgrees: with the index, with half of an index and without one a
// search finds the same.
func TestIndexAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	all := randomMessages(rng, 300)
	s, list := openWith(t, all)
	whole, half := newIndex(t, s, vfs.NewMem()), newIndex(t, s, vfs.NewMem())
	indexAll(t, whole, list)
	indexAll(t, half, partOf(t, s, list))
	keys := []string{"BODY", "TEXT", "SUBJECT", "FROM", "NOT TEXT", "NOT SUBJECT", "SUBJECT delta TEXT", "10:200 BODY", "OR SUBJECT delta BODY",
		"OR 10:20 TEXT", "NOT OR FROM alpha TEXT", "OR (BODY größe FROM alpha) TEXT", "(NOT BODY beta) TEXT"}
	for range 600 {
		text := needle(rng, all[rng.IntN(len(all))].text)
		key := keys[rng.IntN(len(keys))]
		program := fmt.Sprintf("%s {%d+}\r\n%s", key, len(text), text)
		want, err := runLiteral(t, s, list, nil, key, text)
		if err != nil {
			t.Fatal(err)
		}
		for name, x := range map[string]*Index{"the index": whole, "half of it": half} {
			if got, err := runLiteral(t, s, list, x, key, text); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q with %s: %v, %v, without: %v", program, name, got, err, want)
			}
		}
	}
	if a := whole.account(accountOf(t, s)); a == nil || a.len() != len(all) {
		t.Fatal("the index is gone")
	}
}

// TestMaybe: what the index knows of a key is put together from what it knows of its parts,
// and only messages that can match are looked at.
func TestMaybe(t *testing.T) {
	at := func(numbers ...int) []uint64 {
		bitmap := make([]uint64, 2)
		for _, n := range numbers {
			bitmap[n/64] |= 1 << (n % 64)
		}
		return bitmap
	}
	for _, c := range []struct {
		op   imapwire.SearchOp
		a, b []uint64
		want []uint64
	}{
		{imapwire.SearchAnd, nil, nil, nil},
		{imapwire.SearchAnd, at(1, 2), nil, at(1, 2)},
		{imapwire.SearchAnd, nil, at(1, 2), at(1, 2)},
		{imapwire.SearchAnd, at(1, 2, 70), at(2, 70, 71), at(2, 70)},
		{imapwire.SearchOr, nil, at(1), nil},
		{imapwire.SearchOr, at(1), nil, nil},
		{imapwire.SearchOr, at(1, 70), at(2), at(1, 2, 70)},
		{imapwire.SearchNot, at(1), at(1), nil},
	} {
		parts := []test{{maybe: slices.Clone(c.a)}, {maybe: slices.Clone(c.b)}}
		if got := maybeOf(c.op, parts); !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v of %x and %x: %x, want %x", c.op, c.a, c.b, got, c.want)
		}
		if !slices.Equal(parts[0].maybe, c.a) || !slices.Equal(parts[1].maybe, c.b) {
			t.Errorf("%v of %x and %x changed them", c.op, c.a, c.b)
		}
	}
	s, list := openWith(t, randomMessages(rand.New(rand.NewPCG(3, 4)), 100))
	q := &Query{Store: s, List: list, Key: &imapwire.SearchKey{Op: imapwire.SearchBody}}
	found, err := q.run(t.Context(), test{cost: costBody, maybe: at(3, 64, 99), match: func(_ *cursor, i int, m *store.Message) (bool, error) {
		if m != list.At(i) || i != 3 && i != 64 && i != 99 {
			t.Errorf("message %d was looked at", i)
		}
		return i != 64, nil
	}})
	if err != nil || !slices.Equal(found, []int32{3, 99}) || q.Looked() != 100 {
		t.Errorf("found %v, looked at %d: %v", found, q.Looked(), err)
	}
}

// partOf is what was there before some messages came and went.
func partOf(t *testing.T, s *store.Store, list *store.MessageList) *store.MessageList {
	a, err := s.Account(t.Context(), accountOf(t, s))
	if err != nil {
		t.Fatal(err)
	}
	var part *store.MessageList
	if _, err := a.Update(t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Expunge(list.Mailbox(), mail.NewUIDSet(2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233)); err != nil {
			return err
		}
		part, err = tx.Snapshot().Messages(t.Context(), list.Mailbox())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return part
}

func runLiteral(t testing.TB, s *store.Store, list *store.MessageList, x *Index, key, text string) ([]int32, error) {
	d := decoderOf(key, text)
	charset, k := d.SearchProgram()
	if err := d.Err(); err != nil {
		t.Fatal(err)
	}
	return Run(context.Background(), &Query{Store: s, List: list, Key: k, Charset: charset, Index: x, Account: accountOf(t, s), User: accountOf(t, s)})
}

// TestDamagedIndex: whatever octet of the index is wrong, nothing is missed.
func TestDamagedIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	all := randomMessages(rng, 40)
	s, list := openWith(t, all)
	disk := vfs.NewMem()
	indexAll(t, newIndex(t, s, disk), list)
	name := newIndex(t, s, disk).name(accountOf(t, s))
	f, err := disk.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	octets := make([]byte, size)
	f.ReadAt(octets, 0)
	for range 300 {
		bad := slices.Clone(octets)
		switch at := rng.IntN(len(bad)); rng.IntN(3) {
		case 0:
			bad[at] ^= 1 << rng.IntN(8)
		case 1:
			clear(bad[at:])
		default:
			bad = bad[:at]
		}
		damaged := vfs.NewMem()
		g, err := damaged.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		g.WriteAt(bad, 0)
		x := newIndex(t, s, damaged)
		for range 5 {
			text := needle(rng, all[rng.IntN(len(all))].text)
			want, _ := runLiteral(t, s, list, nil, "TEXT", text)
			if got, err := runLiteral(t, s, list, x, "TEXT", text); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q: %v, %v, want %v", text, got, err, want)
			}
		}
	}
}

// TestIndexLife: the index is found again after a start, is made anew when most
// of it is of messages that are gone, and goes with its account.
func TestIndexLife(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	s, list := openWith(t, randomMessages(rng, 30))
	disk := vfs.NewMem()
	id := accountOf(t, s)
	indexAll(t, newIndex(t, s, disk), list)
	x := newIndex(t, s, disk)
	a := x.account(id)
	if a == nil || a.len() != 30 || len(a.blocks) != 1 {
		t.Fatalf("after a start: %+v", a)
	}
	a.runs = append(a.runs, make([]doc, 5*blockDocs)) // as if of messages that are gone
	indexAll(t, x, list)
	if a := x.account(id); a.len() != 30 {
		t.Fatalf("%d messages, 30 expected", a.len())
	}
	x.Forget(id)
	if x.account(id) != nil {
		t.Fatal("the index was forgotten and is there")
	}
	indexAll(t, x, list)
	other := x.name(id + 1)
	if _, err := disk.Create(other); err != nil {
		t.Fatal(err)
	}
	x.RemoveGone(t.Context())
	if names, _ := disk.List("search"); len(names) != 1 {
		t.Fatalf("files %v", names)
	}
}

func BenchmarkIndexed(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 9))
	s, list := openWith(b, randomMessages(rng, 5000))
	x := newIndex(b, s, vfs.NewMem())
	indexAll(b, x, list)
	for b.Loop() {
		if _, err := runLiteral(b, s, list, x, "TEXT", "not there at all"); err != nil {
			b.Fatal(err)
		}
	}
}
