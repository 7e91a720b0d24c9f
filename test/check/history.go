package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// interval is when something was asked for and when the answer was there, in
// nanoseconds; end 0: there was none, so that the outcome is unknown.
type interval struct{ begin, end int64 }

func (i interval) known() bool             { return i.end != 0 }
func (i interval) before(begin int64) bool { return i.end != 0 && i.end < begin }

// instance is one message in one mailbox: how it came and how it went.
type instance struct {
	token, box    string
	uid           uint32 // as APPENDUID or COPYUID told, or a FETCH; 0: not known
	arrive, leave interval
	copied        bool // from another mailbox, with its flags
}

// write is one change of a flag by the one session that may change it.
type write struct {
	interval
	value bool
}

// read is what a session was told of a flag after a NOOP.
type read struct {
	interval
	value   bool
	session int
}

// register is one keyword of one message.
type register struct {
	box     string
	uid     uint32
	keyword string
}

// told is a number that a server said of a mailbox.
type told struct {
	interval
	box      string
	uidNext  uint32
	messages int // -1: not said
}

// violation is a broken invariant, by its number in the reliability paper 5.5.
type violation struct {
	number int
	text   string
}

func (v violation) String() string { return fmt.Sprintf("invariant %d: %s", v.number, v.text) }

// history is what all sessions did and saw. It is safe for concurrent use.
type history struct {
	mu         sync.Mutex
	operations int
	instances  []*instance
	uids       map[string]map[uint32]string // box, UID: token
	recent     map[string]map[uint32]int    // box, UID: session
	writes     map[register][]write
	reads      map[register][]read
	told       []told
	vanished   map[string]map[uint32]bool
	versions   map[version]string // flags
	watches    []*watched
	conditions []condition
	grants     []granted // in order
	attempts   []attempt
	posts      map[string]bool // tokens of what is put where rights change
	violations []violation
}

func newHistory() *history {
	return &history{uids: map[string]map[uint32]string{}, recent: map[string]map[uint32]int{},
		vanished: map[string]map[uint32]bool{}, posts: map[string]bool{}, versions: map[version]string{}, writes: map[register][]write{}, reads: map[register][]read{}}
}

func now() int64 { return time.Now().UnixNano() }

func (h *history) violate(number int, format string, a ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.violateLocked(number, format, a...)
}

func (h *history) violateLocked(number int, format string, a ...any) {
	h.violations = append(h.violations, violation{number, fmt.Sprintf(format, a...)})
}

func (h *history) count() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations++
}

// arriving notes that a message was sent.
func (h *history) arriving(token, box string) *instance {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := &instance{token: token, box: box, arrive: interval{begin: now()}}
	h.instances = append(h.instances, i)
	return i
}

// change changes an instance.
func (h *history) change(i *instance, fn func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fn()
}

// sawUID notes that a UID names a message: for ever the same one.
func (h *history) sawUID(box string, uid uint32, token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.uids[box] == nil {
		h.uids[box] = map[uint32]string{}
	}
	if was, ok := h.uids[box][uid]; ok && was != token {
		h.violateLocked(1, "%s, UID %d named %s and names %s", box, uid, was, token)
	}
	h.uids[box][uid] = token
}

// sawRecent notes that a session was told \Recent: no other may be.
func (h *history) sawRecent(box string, uid uint32, session int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.recent[box] == nil {
		h.recent[box] = map[uint32]int{}
	}
	if was, ok := h.recent[box][uid]; ok && was != session {
		h.violateLocked(24, "%s, UID %d is \\Recent in session %d and in session %d", box, uid, was, session)
	}
	h.recent[box][uid] = session
}

func (h *history) wrote(r register, w write) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes[r] = append(h.writes[r], w)
}

func (h *history) sawFlag(r register, x read) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads[r] = append(h.reads[r], x)
}

func (h *history) wasTold(t told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, t)
}

// judge looks for what only the whole history shows.
func (h *history) judge() {
	h.mu.Lock()
	defer h.mu.Unlock()
	byBox := map[string][]*instance{}
	for _, i := range h.instances {
		byBox[i.box] = append(byBox[i.box], i)
	}
	for box, all := range byBox {
		h.judgeOrder(box, all)
	}
	h.judgeTold(byBox)
	h.judgeWatches(byBox)
	h.judgeConditions()
	h.judgeRights()
	h.judgeFlags()
}

// judgeOrder: UIDs ascend in real time (RFC 3501 §2.3.1.1).
func (h *history) judgeOrder(box string, all []*instance) {
	var known []*instance
	for _, i := range all {
		if i.uid != 0 && i.arrive.known() {
			known = append(known, i)
		}
	}
	byEnd := slices.Clone(known)
	slices.SortFunc(known, func(a, b *instance) int { return cmp.Compare(a.arrive.begin, b.arrive.begin) })
	slices.SortFunc(byEnd, func(a, b *instance) int { return cmp.Compare(a.arrive.end, b.arrive.end) })
	next, highest := 0, (*instance)(nil)
	for _, i := range known {
		for ; next < len(byEnd) && byEnd[next].arrive.before(i.arrive.begin); next++ {
			if highest == nil || byEnd[next].uid > highest.uid {
				highest = byEnd[next]
			}
		}
		if highest != nil && highest.uid >= i.uid {
			h.violateLocked(1, "%s: %s got UID %d, and %s, sent after that was answered, got UID %d", box, highest.token, highest.uid, i.token, i.uid)
		}
	}
}

// judgeTold: UIDNEXT never goes back and is never given to what was there
// before; STATUS counts what may have been there.
func (h *history) judgeTold(byBox map[string][]*instance) {
	slices.SortFunc(h.told, func(a, b told) int { return cmp.Compare(a.begin, b.begin) })
	byEnd := slices.Clone(h.told)
	slices.SortFunc(byEnd, func(a, b told) int { return cmp.Compare(a.end, b.end) })
	highest, next := map[string]uint32{}, 0
	counts := map[string]*counts{}
	for box, all := range byBox {
		counts[box] = newCounts(all)
	}
	for _, t := range h.told {
		for ; next < len(byEnd) && byEnd[next].end < t.begin; next++ {
			highest[byEnd[next].box] = max(highest[byEnd[next].box], byEnd[next].uidNext)
		}
		if t.uidNext != 0 && t.uidNext < highest[t.box] {
			h.violateLocked(2, "%s: UIDNEXT was %d and is %d", t.box, highest[t.box], t.uidNext)
		}
		c := counts[t.box]
		if c == nil {
			c = newCounts(nil)
		}
		if i := c.lowestAfter(t.end); i != nil && i.uid < t.uidNext {
			h.violateLocked(2, "%s: UIDNEXT was %d, and %s, sent later, got UID %d", t.box, t.uidNext, i.token, i.uid)
		}
		surely, possibly := c.between(t.interval)
		if t.messages >= 0 && (t.messages < surely || t.messages > possibly) {
			h.violateLocked(25, "%s: STATUS counts %d messages; %d to %d can be there", t.box, t.messages, surely, possibly)
		}
	}
}

// counts answers how many messages of a mailbox can have been there.
type counts struct {
	began, arrived, leaving, left []int64     // ascending
	known                         []*instance // with a UID, by when they were sent
	lowest                        []*instance // of known from there on, the one with the lowest UID
}

func newCounts(all []*instance) *counts {
	c := &counts{}
	for _, i := range all {
		c.began = append(c.began, i.arrive.begin)
		if i.arrive.known() {
			c.arrived = append(c.arrived, i.arrive.end)
		}
		if i.leave.begin != 0 {
			c.leaving = append(c.leaving, i.leave.begin)
		}
		if i.leave.known() {
			c.left = append(c.left, i.leave.end)
		}
		if i.uid != 0 {
			c.known = append(c.known, i)
		}
	}
	for _, times := range [][]int64{c.began, c.arrived, c.leaving, c.left} {
		slices.Sort(times)
	}
	slices.SortFunc(c.known, func(a, b *instance) int { return cmp.Compare(a.arrive.begin, b.arrive.begin) })
	c.lowest = make([]*instance, len(c.known))
	for i := len(c.known) - 1; i >= 0; i-- {
		if c.lowest[i] = c.known[i]; i+1 < len(c.known) && c.lowest[i+1].uid < c.known[i].uid {
			c.lowest[i] = c.lowest[i+1]
		}
	}
	return c
}

// upTo returns how many of ascending times are not after t.
func upTo(times []int64, t int64) int {
	n, _ := slices.BinarySearch(times, t+1)
	return n
}

// between returns how many messages were there during all of an interval, at
// least, and how many at some time in it, at most. What left in the interval
// may have come in it: then the first number is smaller than need be.
func (c *counts) between(at interval) (surely, possibly int) {
	surely = upTo(c.arrived, at.begin-1) - upTo(c.leaving, at.end)
	return max(0, surely), upTo(c.began, at.end) - upTo(c.left, at.begin-1)
}

// lowestAfter returns the message with the lowest UID of those sent after t.
func (c *counts) lowestAfter(t int64) *instance {
	i, _ := slices.BinarySearchFunc(c.known, t+1, func(x *instance, t int64) int { return cmp.Compare(x.arrive.begin, t) })
	if i == len(c.known) {
		return nil
	}
	return c.lowest[i]
}

// judgeFlags: a read sees the last write that was answered before it, or one
// that was under way.
func (h *history) judgeFlags() {
	copied := map[string]map[uint32]bool{}
	for _, i := range h.instances {
		if i.copied && i.uid != 0 {
			if copied[i.box] == nil {
				copied[i.box] = map[uint32]bool{}
			}
			copied[i.box][i.uid] = true
		}
	}
	for r, reads := range h.reads {
		writes := h.writes[r]
		for _, x := range reads {
			// What a copy began with is known from its first write on.
			current, found := false, copied[r.box][r.uid]
			for _, w := range writes {
				switch {
				case w.before(x.begin):
					current, found = w.value, false
				case w.begin <= x.end && w.value == x.value:
					found = true
				}
			}
			if !found && current != x.value {
				h.violateLocked(20, "%s, UID %d: session %d reads %s %v, the last write before was %v", r.box, r.uid, x.session, r.keyword, x.value, current)
			}
		}
	}
}

// audit compares what a mailbox holds in the end with the history.
func (h *history) audit(box string, found map[string][]uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	mayBe := map[string]bool{}
	for _, i := range h.instances {
		if i.box != box {
			continue
		}
		mayBe[i.token] = true
		uids := found[i.token]
		there := slices.Contains(uids, i.uid)
		switch {
		case len(uids) > 1:
			h.violateLocked(4, "%s is %d times in %s", i.token, len(uids), box)
		case there && i.leave.known():
			h.violateLocked(5, "%s left %s and is there", i.token, box)
		case i.uid != 0 && !there && len(uids) > 0 && i.leave.begin == 0:
			h.violateLocked(3, "%s was told to have UID %d in %s and has %d", i.token, i.uid, box, uids[0])
		case len(uids) == 0 && i.arrive.known() && i.leave.begin == 0:
			h.violateLocked(4, "%s was acknowledged and is not in %s", i.token, box)
		}
	}
	for token := range found {
		if !mayBe[token] {
			h.violateLocked(28, "%s is in %s, where nobody put it", token, box)
		}
	}
}
