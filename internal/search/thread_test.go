package search

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/store"
)

// threadOf arranges messages given as "id ref ref" with subjects and dates in
// order.
func threadOf(all []fields) string {
	for i := range all {
		all[i].index, all[i].m = i, &store.Message{}
		if all[i].sent == 0 {
			all[i].sent = int64(i + 1)
		}
	}
	g := newGraph(all)
	for i := range all {
		g.link(i)
	}
	roots := g.roots()
	for _, r := range roots {
		sortSiblings(r.Children)
	}
	sortSiblings(roots)
	roots = mergeSubjects(roots)
	sortSiblings(roots)
	return string(AppendThreads(nil, roots, func(i int) uint32 { return uint32(i + 1) }))
}

// RFC 5256 §3 REFERENCES, by its steps.
func TestReferences(t *testing.T) {
	for _, c := range []struct {
		what string
		all  []fields
		want string
	}{
		{"a chain", []fields{{id: "a"}, {id: "b", refs: []string{"a"}}, {id: "c", refs: []string{"a", "b"}}}, "(1 2 3)"},
		{"a reply before its message", []fields{{id: "b", refs: []string{"a"}}, {id: "a"}}, "(2 1)"},
		{"two replies", []fields{{id: "a"}, {id: "b", refs: []string{"a"}}, {id: "c", refs: []string{"a"}}}, "(1 (2)(3))"},
		{"a parent that is missing", []fields{{id: "b", refs: []string{"a"}}, {id: "c", refs: []string{"a"}}}, "((1)(2))"},
		{"a missing one between", []fields{{id: "a"}, {id: "c", refs: []string{"a", "b"}}}, "(1 2)"},
		{"a missing one above one child", []fields{{id: "b", refs: []string{"a"}}}, "(1)"},
		{"missing ones in a row", []fields{{id: "d", refs: []string{"a", "b"}}, {id: "e", refs: []string{"a", "c"}}}, "((1)(2))"},
		{"a loop", []fields{{id: "a", refs: []string{"b"}}, {id: "b", refs: []string{"a"}}}, "(2 1)"},
		{"its own reference", []fields{{id: "a", refs: []string{"a"}}}, "(1)"},
		{"one id twice", []fields{{id: "a"}, {id: "a"}, {id: "b", refs: []string{"a"}}}, "(1 3)(2)"},
		{"no ids", []fields{{}, {}}, "(1)(2)"},
		{"a truncated field is set right", []fields{{id: "c", refs: []string{"a", "b"}}, {id: "b"}, {id: "a"}}, "(2 1)(3)"},
		{"siblings by date", []fields{{id: "a"}, {id: "b", refs: []string{"a"}, sent: 9}, {id: "c", refs: []string{"a"}, sent: 5}}, "(1 (3)(2))"},
		{"threads by date", []fields{{id: "a", sent: 9}, {id: "b", sent: 5}}, "(2)(1)"},
		{"a subject and its reply", []fields{{subject: "S"}, {subject: "S", reply: true}}, "(1 2)"},
		{"a reply and its subject", []fields{{subject: "S", reply: true}, {subject: "S"}}, "(2 1)"},
		{"one subject twice", []fields{{subject: "S"}, {subject: "S"}, {subject: "S"}}, "((1)(2)(3))"},
		{"no subject", []fields{{}, {reply: true}}, "(1)(2)"},
		{"a subject and a thread without its head", []fields{{subject: "S"}, {subject: "S", id: "b", refs: []string{"a"}}, {subject: "S", id: "c", refs: []string{"a"}}}, "((1)(2)(3))"},
		{"two threads without heads", []fields{{subject: "S", refs: []string{"a"}}, {subject: "S", refs: []string{"a"}}, {subject: "S", refs: []string{"b"}}, {subject: "S", refs: []string{"b"}}}, "((1)(2)(3)(4))"},
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
		all := make([]fields, rng.IntN(40))
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
		all := make([]fields, n)
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
