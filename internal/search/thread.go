package search

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
)

// Threading is an algorithm of THREAD.
type Threading uint8

const (
	OrderedSubject Threading = iota // RFC 5256 §3
	References                      // likewise
	// Refs is References without subjects, and with the threads in the order
	// of their newest messages (draft-ietf-morg-inthread §5).
	Refs
)

// Threads is how messages are arranged, as the THREAD response tells it (RFC
// 5256 §4): indexes in the list, and parentheses.
type Threads []int32

// What is no index in Threads.
const (
	threadOpens  = -1
	threadCloses = -2
)

// node is a message in a thread, or, with index below zero, a place whose
// message is not there.
type node struct {
	index    int // in the list
	children []*node

	f *item
}

// Thread arranges messages of the list, given by ascending indexes. With an
// Index, how the whole mailbox is arranged is kept until there are others in it.
func (q *Query) Thread(ctx context.Context, found []int32, t Threading) (Threads, error) {
	whole := q.Index != nil && len(found) == q.List.Len()
	key := keptKey{q.Account, q.List.Mailbox(), string([]byte{'t', byte(t)})}
	if whole {
		if o, ok := q.Index.keeper.get(key).(*order); ok {
			if same, err := q.isOf(ctx, key, o); err != nil || same {
				return o.by, errs.Wrap("search.Thread", err)
			}
		}
	}
	roots, err := q.thread(ctx, found, t)
	if err != nil {
		return nil, err
	}
	threads := flatten(roots)
	if whole {
		q.Index.keeper.put(key, newOrder(q.List, threads))
	}
	return threads, nil
}

// thread returns the roots of the threads.
func (q *Query) thread(ctx context.Context, found []int32, t Threading) ([]*node, error) {
	all, err := q.read(ctx, found)
	if err != nil {
		return nil, err
	}
	turn, err := q.turn(ctx, len(all))
	defer q.end(turn)
	if err != nil {
		return nil, errs.Wrap("search.Thread", err)
	}
	if t == OrderedSubject {
		return orderedSubject(all), nil
	}
	g := newGraph(all)
	for i := range all {
		if i%1024 == 0 {
			if err := turn.Pause(ctx); err != nil {
				return nil, errs.Wrap("search.Thread", err)
			}
		}
		g.link(i)
	}
	roots := g.roots()
	if err := turn.Pause(ctx); err != nil {
		return nil, errs.Wrap("search.Thread", err)
	}
	if t == Refs {
		sortSiblings(roots)
		newest := make(map[*node]int64, len(roots))
		for _, r := range roots {
			newest[r] = r.newest()
		}
		slices.SortStableFunc(roots, func(a, b *node) int { return cmp.Compare(newest[a], newest[b]) })
		return roots, nil
	}
	for _, r := range roots {
		slices.SortFunc(r.children, byDate)
	}
	slices.SortFunc(roots, byDate)
	roots = mergeSubjects(roots)
	sortSiblings(roots)
	return roots, nil
}

func orderedSubject(all []item) (roots []*node) {
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.sent, b.sent), cmp.Compare(a.index, b.index))
	})
	for i := range all {
		n := &node{index: all[i].index, f: &all[i]}
		if i > 0 && all[i].subject == all[i-1].subject {
			first := roots[len(roots)-1]
			first.children = append(first.children, n)
			continue
		}
		roots = append(roots, n)
	}
	slices.SortFunc(roots, byDate)
	return roots
}

// byDate compares by sent date, then by place in the mailbox.
func byDate(a, b *node) int {
	x, y := a.first(), b.first()
	return cmp.Or(cmp.Compare(x.f.sent, y.f.sent), cmp.Compare(x.index, y.index))
}

// first is the node, or the first child of one without a message.
func (n *node) first() *node {
	if n.index < 0 {
		return n.children[0]
	}
	return n
}

// walk calls fn for the nodes below some, parents first.
func walk(roots []*node, fn func(n *node)) {
	for stack := slices.Clone(roots); len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], n.children...)
		fn(n)
	}
}

func (n *node) newest() (sent int64) {
	sent = n.first().f.sent
	walk([]*node{n}, func(n *node) {
		if n.index >= 0 {
			sent = max(sent, n.f.sent)
		}
	})
	return sent
}

// sortSiblings is step 6 of REFERENCES.
func sortSiblings(roots []*node) {
	walk(roots, func(n *node) { slices.SortFunc(n.children, byDate) })
	slices.SortFunc(roots, byDate)
}

// graph is the links of REFERENCES, step 1: nodes by number, first those of
// the messages, then those whose messages are not there.
type graph struct {
	all     []item
	ids     map[uint64]int32 // by hash
	parents []int32          // -1: none
	tops    []int32          // a node further up in the same tree; itself at the top
}

func newGraph(all []item) *graph {
	g := &graph{all: all, ids: make(map[uint64]int32, len(all)), parents: make([]int32, len(all)), tops: make([]int32, len(all))}
	for i := range all {
		g.parents[i], g.tops[i] = -1, int32(i)
		if id := all[i].id; id != 0 {
			if _, taken := g.ids[id]; !taken {
				g.ids[id] = int32(i)
			}
		}
	}
	return g
}

func (g *graph) node(id uint64) int32 {
	n, ok := g.ids[id]
	if !ok {
		n = int32(len(g.parents))
		g.ids[id] = n
		g.parents, g.tops = append(g.parents, -1), append(g.tops, n)
	}
	return n
}

// link makes the links of one message. What the references say of the parent
// of a message that is still to come is passed over: that message's own
// references will say it, or that there is none. So no link is ever undone.
func (g *graph) link(i int) {
	last := int32(-1)
	for _, id := range g.all[i].refs {
		n := g.node(id)
		if toCome := int(n) >= i && int(n) < len(g.all); last >= 0 && g.parents[n] < 0 && !toCome {
			g.adopt(last, n)
		}
		last = n
	}
	if last >= 0 {
		g.adopt(last, int32(i))
	}
}

// adopt makes one node the parent of another that has none, unless that would
// make a loop.
func (g *graph) adopt(parent, child int32) {
	top := g.top(parent)
	if top == child {
		return
	}
	g.parents[child], g.tops[child] = parent, top
}

// top returns the node at the top of a node's tree. It shortens the way there
// for the next time, so that long chains cost no more than short ones.
func (g *graph) top(n int32) int32 {
	for g.tops[n] != n {
		g.tops[n] = g.tops[g.tops[n]]
		n = g.tops[n]
	}
	return n
}

// roots builds the trees without the nodes whose messages are not there, but
// for those at the top with several children (step 3).
func (g *graph) roots() (roots []*node) {
	nodes := make([]*node, len(g.parents))
	real := make([]node, len(g.all))
	for i := range g.all {
		real[i] = node{index: g.all[i].index, f: &g.all[i]}
		nodes[i] = &real[i]
	}
	above := g.aboveDummies()
	var tops []int32
	for i := range g.all {
		p := above[i]
		if p < 0 {
			roots = append(roots, nodes[i])
			continue
		}
		if nodes[p] == nil {
			nodes[p] = &node{index: -1}
			tops = append(tops, p)
		}
		nodes[p].children = append(nodes[p].children, nodes[i])
	}
	for _, p := range tops {
		if n := nodes[p]; len(n.children) == 1 {
			roots = append(roots, n.children[0])
		} else {
			roots = append(roots, n)
		}
	}
	return roots
}

// aboveDummies returns for each node the nearest one above it that has a
// message, else the highest, -1 for none.
func (g *graph) aboveDummies() []int32 {
	above := slices.Clone(g.parents)
	real := int32(len(g.all))
	var path []int32
	for i := range above {
		path = path[:0]
		p := above[i]
		for p >= real && above[p] >= 0 {
			path = append(path, p)
			p = above[p]
		}
		above[i] = p
		for _, q := range path {
			above[q] = p
		}
	}
	return above
}

// mergeSubjects is step 5 of REFERENCES: threads of one subject become one.
func mergeSubjects(roots []*node) []*node {
	table := map[string]*node{}
	for _, n := range roots {
		subject := n.first().f.subject
		if subject == "" {
			continue
		}
		have := table[subject]
		if have == nil || have.index >= 0 && (n.index < 0 || have.f.reply && !n.f.reply) {
			table[subject] = n
		}
	}
	merged := roots[:0:0]
	for _, n := range roots {
		have := table[n.first().f.subject]
		if n.first().f.subject == "" || have == n || have == nil {
			merged = append(merged, n)
			continue
		}
		mergeThread(have, n)
	}
	return merged
}

// mergeThread puts a thread to another of the same subject. The other one
// stays the node that it is, so that it keeps its place.
func mergeThread(have, n *node) {
	switch {
	case have.index < 0 && n.index < 0:
		have.children = append(have.children, n.children...)
	case have.index < 0, n.index >= 0 && n.f.reply && !have.f.reply:
		have.children = append(have.children, n)
	default:
		one := *have
		*have = node{index: -1, children: []*node{&one, n}}
	}
}

// flatten turns trees into what the response tells of them.
func flatten(roots []*node) (t Threads) {
	// What is still to come, last first: a node, or nil for ")".
	var stack []*node
	push := func(siblings []*node) {
		for _, n := range slices.Backward(siblings) {
			stack = append(stack, nil, n)
		}
	}
	push(roots)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		if stack = stack[:len(stack)-1]; n == nil {
			t = append(t, threadCloses)
			continue
		}
		t = append(t, threadOpens)
		for {
			if n.index >= 0 {
				t = append(t, int32(n.index))
			}
			if len(n.children) != 1 {
				break
			}
			n = n.children[0]
		}
		if len(n.children) > 1 {
			push(n.children)
		}
	}
	return t
}

// Append appends a part of the threads, what is from one place to before another,
// as it stands in the response, with the number of each message.
func (t Threads) Append(b []byte, from, to int, number func(index int32) uint32) []byte {
	for n, x := range t[from:to] {
		if n += from; n > 0 && x != threadCloses && t[n-1] >= 0 {
			b = append(b, ' ')
		}
		switch x {
		case threadOpens:
			b = append(b, '(')
		case threadCloses:
			b = append(b, ')')
		default:
			b = strconv.AppendUint(b, uint64(number(x)), 10)
		}
	}
	return b
}
