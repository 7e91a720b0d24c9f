package main

import (
	"cmp"
	"fmt"
	"slices"
)

// rights is a set of letters of RFC 4314 §2.1.
type rights uint32

const standardRights = "lrswipkxtena"

func letters(text string) (r rights) {
	for _, c := range text {
		r |= 1 << (c - 'a')
	}
	return r
}

func (r rights) String() (text string) {
	for c := 'a'; c <= 'z'; c++ {
		if r&letters(string(c)) != 0 {
			text += string(c)
		}
	}
	return text
}

// granted is what the visitors may do from an ACL change on.
type granted struct {
	interval
	rights rights
}

type outcome int

const (
	done    outcome = iota
	refused         // with NO
	ended           // the session was, as one that may not read its mailbox any more
)

// attempt is a command of a visitor for which rights are needed, or what the
// server told unasked: then it is at some time of the second before.
type attempt struct {
	interval
	session int
	text    string
	needs   rights
	outcome outcome
	told    *rights // by MYRIGHTS, which needs one of them only
}

// lacks reports whether there are too few of some rights.
func (a *attempt) lacks(r rights) bool {
	if a.told != nil {
		return a.needs&r == 0
	}
	return a.needs&^r != 0
}

func (h *history) granted(g granted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.grants = append(h.grants, g)
}

func (h *history) attempted(a attempt) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.attempts = append(h.attempts, a)
}

// rightsDuring returns the rights that there can have been at some time in an
// interval, and those that there were all the time. Changes are made one after the
// other; there are none before the first.
func (h *history) rightsDuring(at interval) (some, all rights) {
	i, _ := slices.BinarySearchFunc(h.grants, at.begin, func(g granted, t int64) int { return cmp.Compare(g.end, t) })
	if i > 0 {
		some, all = h.grants[i-1].rights, h.grants[i-1].rights
	}
	for ; i < len(h.grants) && h.grants[i].begin <= at.end; i++ {
		some |= h.grants[i].rights
		all &= h.grants[i].rights
	}
	return some, all
}

// judgeRights is invariant 26: what an ACL change forbids is not done any more by
// commands that start when it is ok, nor told a second later; and what one allows
// is done.
func (h *history) judgeRights() {
	for _, a := range h.attempts {
		some, all := h.rightsDuring(a.interval)
		what := ""
		switch {
		case a.outcome == done && a.lacks(some):
			what = "was done"
		case a.outcome != done && !a.lacks(all):
			what = "was refused"
		case a.outcome == done && a.told != nil && (*a.told&^some != 0 || all&^*a.told != 0):
			what = fmt.Sprintf("told %q", *a.told)
		default:
			continue
		}
		h.violateLocked(26, "session %d: %s needs %q and %s, the rights were %q, all the time %q", a.session, a.text, a.needs, what, some, all)
	}
}

// posted notes that a message may be in the mailbox whose rights change.
func (h *history) posted(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts[token] = true
}

// auditPosts looks for messages in that mailbox that were refused. How often one
// is there is open: visitors copy them to and fro.
func (h *history) auditPosts(found map[string][]uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for token := range found {
		if !h.posts[token] {
			h.violateLocked(26, "%s was refused and is there", token)
		}
	}
}
