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

// Node is a message in a thread, or, with Index below zero, a place whose
// message is not there.
type Node struct {
	Index    int // in the list
	Children []*Node

	f *item
}

// Thread arranges messages of the list, given by ascending indexes.
func (q *Query) Thread(ctx context.Context, found []int, t Threading) ([]*Node, error) {
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
		newest := make(map[*Node]int64, len(roots))
		for _, r := range roots {
			newest[r] = r.newest()
		}
		slices.SortStableFunc(roots, func(a, b *Node) int { return cmp.Compare(newest[a], newest[b]) })
		return roots, nil
	}
	for _, r := range roots {
		slices.SortFunc(r.Children, byDate)
	}
	slices.SortFunc(roots, byDate)
	roots = mergeSubjects(roots)
	sortSiblings(roots)
	return roots, nil
}

func orderedSubject(all []item) (roots []*Node) {
	slices.SortFunc(all, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.sent, b.sent), cmp.Compare(a.index, b.index))
	})
	for i := range all {
		n := &Node{Index: all[i].index, f: &all[i]}
		if i > 0 && all[i].subject == all[i-1].subject {
			first := roots[len(roots)-1]
			first.Children = append(first.Children, n)
			continue
		}
		roots = append(roots, n)
	}
	slices.SortFunc(roots, byDate)
	return roots
}

// byDate compares by sent date, then by place in the mailbox.
func byDate(a, b *Node) int {
	x, y := a.first(), b.first()
	return cmp.Or(cmp.Compare(x.f.sent, y.f.sent), cmp.Compare(x.Index, y.Index))
}

// first is the node, or the first child of one without a message.
func (n *Node) first() *Node {
	if n.Index < 0 {
		return n.Children[0]
	}
	return n
}

// walk calls fn for the nodes below some, parents first.
func walk(roots []*Node, fn func(n *Node)) {
	for stack := slices.Clone(roots); len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], n.Children...)
		fn(n)
	}
}

func (n *Node) newest() (sent int64) {
	sent = n.first().f.sent
	walk([]*Node{n}, func(n *Node) {
		if n.Index >= 0 {
			sent = max(sent, n.f.sent)
		}
	})
	return sent
}

// sortSiblings is step 6 of REFERENCES.
func sortSiblings(roots []*Node) {
	walk(roots, func(n *Node) { slices.SortFunc(n.Children, byDate) })
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
func (g *graph) roots() (roots []*Node) {
	nodes := make([]*Node, len(g.parents))
	real := make([]Node, len(g.all))
	for i := range g.all {
		real[i] = Node{Index: g.all[i].index, f: &g.all[i]}
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
			nodes[p] = &Node{Index: -1}
			tops = append(tops, p)
		}
		nodes[p].Children = append(nodes[p].Children, nodes[i])
	}
	for _, p := range tops {
		if n := nodes[p]; len(n.Children) == 1 {
			roots = append(roots, n.Children[0])
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
func mergeSubjects(roots []*Node) []*Node {
	table := map[string]*Node{}
	for _, n := range roots {
		subject := n.first().f.subject
		if subject == "" {
			continue
		}
		have := table[subject]
		if have == nil || have.Index >= 0 && (n.Index < 0 || have.f.reply && !n.f.reply) {
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
func mergeThread(have, n *Node) {
	switch {
	case have.Index < 0 && n.Index < 0:
		have.Children = append(have.Children, n.Children...)
	case have.Index < 0, n.Index >= 0 && n.f.reply && !have.f.reply:
		have.Children = append(have.Children, n)
	default:
		one := *have
		*have = Node{Index: -1, Children: []*Node{&one, n}}
	}
}

// AppendThreads appends threads in the form of the THREAD response (RFC 5256
// §4), with the number of each message.
func AppendThreads(b []byte, roots []*Node, number func(index int) uint32) []byte {
	// What is still to be written, last first: a node, or nil for ")".
	var stack []*Node
	push := func(siblings []*Node) {
		for _, n := range slices.Backward(siblings) {
			stack = append(stack, nil, n)
		}
	}
	push(roots)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		if stack = stack[:len(stack)-1]; n == nil {
			b = append(b, ')')
			continue
		}
		b = append(b, '(')
		for first := true; ; first = false {
			if n.Index >= 0 {
				if !first {
					b = append(b, ' ')
				}
				b = strconv.AppendUint(b, uint64(number(n.Index)), 10)
			}
			if len(n.Children) != 1 {
				break
			}
			n = n.Children[0]
		}
		if len(n.Children) > 1 {
			if n.Index >= 0 {
				b = append(b, ' ')
			}
			push(n.Children)
		}
	}
	return b
}
