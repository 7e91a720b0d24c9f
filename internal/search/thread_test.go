package search

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/store"
)

type testFields struct {
	id, subject string
	refs        []string
	reply       bool
	sent        int64
}

// threadOf arranges messages, whose dates are in order where they have none. The
// answer is made of the smallest parts.
func threadOf(messages []testFields) string {
	threads := flatten(threadItems(itemsOf(messages)))
	var b []byte
	for n := range threads {
		b = threads.Append(b, n, n+1, func(i int32) uint32 { return uint32(i + 1) })
	}
	return string(b)
}

func itemsOf(messages []testFields) []item {
	all := make([]item, len(messages))
	for i, m := range messages {
		f := &fields{subject: m.subject, reply: m.reply}
		if m.id != "" {
			f.id = hashID(m.id)
		}
		for _, r := range m.refs {
			f.refs = append(f.refs, hashID(r))
		}
		all[i] = item{index: i, m: &store.Message{}, fields: f, sent: m.sent}
		if m.sent == 0 {
			all[i].sent = int64(i + 1)
		}
	}
	return all
}

func threadItems(all []item) []*node {
	g := newGraph(all)
	for i := range all {
		g.link(i)
	}
	roots := g.roots()
	for _, r := range roots {
		sortSiblings(r.children)
	}
	sortSiblings(roots)
	roots = mergeSubjects(roots)
	sortSiblings(roots)
	return roots
}

// RFC 5256 §3 REFERENCES, by its steps.
func TestReferences(t *testing.T) {
	for _, c := range []struct {
		what string
		all  []testFields
		want string
	}{
		{"a chain", []testFields{{id: "a"}, {id: "b", refs: []string{"a"}}, {id: "c", refs: []string{"a", "b"}}}, "(1 2 3)"},
		{"a reply before its message", []testFields{{id: "b", refs: []string{"a"}}, {id: "a"}}, "(2 1)"},
		{"two replies", []testFields{{id: "a"}, {id: "b", refs: []string{"a"}}, {id: "c", refs: []string{"a"}}}, "(1 (2)(3))"},
		{"a parent that is missing", []testFields{{id: "b", refs: []string{"a"}}, {id: "c", refs: []string{"a"}}}, "((1)(2))"},
		{"a missing one between", []testFields{{id: "a"}, {id: "c", refs: []string{"a", "b"}}}, "(1 2)"},
		{"a missing one above one child", []testFields{{id: "b", refs: []string{"a"}}}, "(1)"},
		{"missing ones in a row", []testFields{{id: "d", refs: []string{"a", "b"}}, {id: "e", refs: []string{"a", "c"}}}, "((1)(2))"},
		{"a loop", []testFields{{id: "a", refs: []string{"b"}}, {id: "b", refs: []string{"a"}}}, "(2 1)"},
		{"its own reference", []testFields{{id: "a", refs: []string{"a"}}}, "(1)"},
		{"one id twice", []testFields{{id: "a"}, {id: "a"}, {id: "b", refs: []string{"a"}}}, "(1 3)(2)"},
		{"no ids", []testFields{{}, {}}, "(1)(2)"},
		{"a truncated field is set right", []testFields{{id: "c", refs: []string{"a", "b"}}, {id: "b"}, {id: "a"}}, "(2 1)(3)"},
		{"siblings by date", []testFields{{id: "a"}, {id: "b", refs: []string{"a"}, sent: 9}, {id: "c", refs: []string{"a"}, sent: 5}}, "(1 (3)(2))"},
		{"threads by date", []testFields{{id: "a", sent: 9}, {id: "b", sent: 5}}, "(2)(1)"},
		{"a subject and its reply", []testFields{{subject: "S"}, {subject: "S", reply: true}}, "(1 2)"},
		{"a reply and its subject", []testFields{{subject: "S", reply: true}, {subject: "S"}}, "(2 1)"},
		{"one subject twice", []testFields{{subject: "S"}, {subject: "S"}, {subject: "S"}}, "((1)(2)(3))"},
		{"no subject", []testFields{{}, {reply: true}}, "(1)(2)"},
		{"a subject and a thread without its head", []testFields{{subject: "S"}, {subject: "S", id: "b", refs: []string{"a"}}, {subject: "S", id: "c", refs: []string{"a"}}}, "((1)(2)(3))"},
		{"two threads without heads", []testFields{{subject: "S", refs: []string{"a"}}, {subject: "S", refs: []string{"a"}}, {subject: "S", refs: []string{"b"}}, {subject: "S", refs: []string{"b"}}}, "((1)(2)(3)(4))"},
	} {
		if got := threadOf(c.all); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

// Whatever the references, each message is there once.
func TestThreadKeepsAll(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		all := make([]testFields, rng.IntN(40))
		name := func() string { return string(rune('a' + rng.IntN(20))) }
		for i := range all {
			all[i].id, all[i].subject, all[i].reply = name(), []string{"", "S", "T"}[rng.IntN(3)], rng.IntN(2) == 0
			for range rng.IntN(4) {
				all[i].refs = append(all[i].refs, name())
			}
		}
		seen := map[byte]int{}
		n, digits := 0, 0
		text := threadOf(all)
		for i := range text {
			if c := text[i]; c >= '0' && c <= '9' {
				digits = digits*10 + int(c-'0')
			} else if digits > 0 {
				seen[byte(digits)]++
				n++
				digits = 0
			}
		}
		if len(seen) != len(all) || n != len(all) {
			t.Fatalf("seed %d: %d messages, %d in %s", seed, len(all), n, text)
		}
	}
}

// Long chains and wide threads take linear time (reliability paper, A20).
func TestThreadShapes(t *testing.T) {
	cost := func(n int, shape func(i int) []string) time.Duration {
		all := make([]testFields, n)
		for i := range all {
			all[i].id, all[i].refs = string(rune(0x1000+i)), shape(i)
		}
		begun := time.Now()
		threadOf(all)
		return time.Since(begun)
	}
	id := func(i int) string { return string(rune(0x1000 + i)) }
	for name, shape := range map[string]func(i int) []string{
		"chain":     func(i int) []string { return []string{id(i - 1)} },
		"backwards": func(i int) []string { return []string{id(i + 1)} },
		"star":      func(int) []string { return []string{"@"} },
	} {
		if d := cost(40000, shape); d > 5*time.Second {
			t.Errorf("%s: 40,000 messages took %v", name, d)
		}
	}
}
