package imapserver

import (
	"context"
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/store"
)

// searchContext is a search of the selected mailbox whose client is told how
// the results change (RFC 5267 §4.3), until another mailbox is selected. It
// follows the view: an expunged message leaves it at once, also while EXPUNGE
// must be held back (§A.3).
type searchContext struct {
	tag      string
	byUID    bool
	multi    bool // of ESEARCH, whose answers name the mailbox (RFC 7377 §2.1)
	charset  string
	key      *imapwire.SearchKey // without sequence numbers
	criteria []imapwire.SortKey  // nil: the order is that of the mailbox
	items    []plannedItem       // what to tell of new messages (RFC 5465 §7)

	found uidBits
	order []mail.UID // the results as the criteria order them
}

// placed are results at their places in the order, ascending from 0.
type placed struct {
	uids   []mail.UID
	places []int // nil: the order is that of the mailbox
}

// change is what one sync did to the results.
type change struct{ gone, added placed }

// mayUpdate refuses to use the tag of a context again (RFC 5267 §4.3).
func (s *session) mayUpdate(ret searchReturn) error {
	if ret.Update && s.view.context(s.tag) != nil {
		return s.dec.Fail("the tag is that of a search whose updates go on")
	}
	return nil
}

func (v *view) context(tag string) *searchContext {
	for _, c := range v.contexts {
		if c.tag == tag {
			return c
		}
	}
	return nil
}

// keepUpdated makes a context of a search whose results were told, given as
// indexes in their order, or says that it does not (RFC 5267 §4.3.1).
func (s *session) keepUpdated(ret searchReturn, c *searchContext, found []int32) {
	v := s.view
	if !ret.Update {
		return
	}
	if len(v.contexts) == contextsMax {
		s.noUpdate(s.tag, "Too many contexts")
		return
	}
	if c.key.UsesLabels() {
		s.noUpdate(s.tag, "Labels are not followed")
		return
	}
	if s.limited != "" {
		s.noUpdate(s.tag, "Not all messages were searched")
		return
	}
	v.fix(c.key)
	if keySize(c.key) > contextKeyMax {
		s.noUpdate(s.tag, "The search is too large for a context")
		return
	}
	c.tag, c.byUID, c.found = s.tag, s.byUID, uidBits{}
	if ret.UpdateItems != nil {
		p := fetchPlan(ret.UpdateItems, !s.has(uidOnly))
		if c.items = p.items; p.modseq {
			s.enable(condstore)
		}
	}
	for _, i := range found {
		u := v.list.At(int(i)).UID
		c.found.set(u)
		if c.criteria != nil {
			c.order = append(c.order, u)
		}
	}
	v.contexts = append(v.contexts, c)
}

func (s *session) noUpdate(tag, text string) {
	s.line("* NO [NOUPDATE " + string(imapwire.AppendString(nil, tag)) + "] " + text)
}

// endContexts ends those that match, and tells of it if a text is given.
func (s *session) endContexts(match func(c *searchContext) bool, text string) {
	s.view.contexts = slices.DeleteFunc(s.view.contexts, func(c *searchContext) bool {
		if !match(c) {
			return false
		}
		if text != "" {
			s.noUpdate(c.tag, text)
		}
		return true
	})
}

// keySize is about how many octets a search takes in memory.
func keySize(key *imapwire.SearchKey) int {
	n := 160 + len(key.Text) + len(key.Field) + 16*len(key.Set)
	for _, k := range key.Keys {
		n += keySize(k)
	}
	return n
}

// leaveContexts takes expunged messages out of the contexts and tells of it.
// Their numbers are still the view's: REMOVEFROM comes before EXPUNGE (RFC 5267
// §4.3.4).
func (s *session) leaveContexts(gone mail.UIDSet) {
	for _, c := range s.view.contexts {
		var out []mail.UID
		for _, m := range s.view.list.Select(gone) {
			if c.found.has(m.UID) {
				out = append(out, m.UID)
			}
		}
		s.tellContext(c, change{gone: c.remove(out)})
	}
}

// revise looks again at messages that are new or not as they were. Contexts
// that cannot be kept up end.
func (s *session) revise(ctx context.Context, looked mail.UIDSet) map[*searchContext]change {
	if len(looked) == 0 || len(s.view.contexts) == 0 {
		return nil
	}
	changes := map[*searchContext]change{}
	failed := map[*searchContext]bool{}
	for _, c := range s.view.contexts {
		ch, err := c.revise(ctx, s.query(), looked)
		if err != nil {
			s.opts.Log.Warn("a search could not be kept up to date", "session", s.conn.ID(), "account", s.user.Name, "error", err)
			failed[c] = true
		}
		changes[c] = ch
	}
	s.endContexts(func(c *searchContext) bool { return failed[c] }, "The results cannot be kept up to date")
	return changes
}

// revise finds out which of some messages of q's list match now, and changes
// the results.
func (c *searchContext) revise(ctx context.Context, q *search.Query, looked mail.UIDSet) (ch change, err error) {
	ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
	defer cancel()
	q.Key, q.Charset, q.Only = c.key, c.charset, looked
	hits, err := search.Run(ctx, q)
	if err != nil {
		return ch, err
	}
	var out []mail.UID
	var in []int32
	for i, m := range q.List.Select(looked) {
		_, matches := slices.BinarySearch(hits, int32(i))
		was := c.found.has(m.UID)
		moves := was && matches && byAnnotation(c.criteria)
		if was && !matches || moves {
			out = append(out, m.UID)
		}
		if !was && matches || moves {
			in = append(in, int32(i))
		}
	}
	ch.gone = c.remove(out)
	ch.added, err = c.add(ctx, q, in)
	return ch, err
}

// remove takes ascending UIDs out of the results. Of an order that costs one
// pass over numbers, which is less than to read what it was made by.
func (c *searchContext) remove(uids []mail.UID) placed {
	out := placed{uids: uids}
	for _, u := range uids {
		c.found.clear(u)
	}
	if c.criteria == nil || len(uids) == 0 {
		return out
	}
	out = placed{places: []int{}}
	first, last := uids[0], uids[len(uids)-1]
	kept, from := 0, 0
	for i, u := range c.order {
		if u < first || u > last {
			continue
		}
		if _, gone := slices.BinarySearch(uids, u); gone {
			out.uids, out.places = append(out.uids, u), append(out.places, i)
			kept += copy(c.order[kept:], c.order[from:i])
			from = i + 1
		}
	}
	kept += copy(c.order[kept:], c.order[from:])
	c.order = c.order[:kept]
	return out
}

// add puts messages of q's list into the results.
func (c *searchContext) add(ctx context.Context, q *search.Query, in []int32) (added placed, err error) {
	for _, i := range in {
		u := q.List.At(int(i)).UID
		added.uids = append(added.uids, u)
		c.found.set(u)
	}
	if c.criteria == nil || len(in) == 0 {
		return added, nil
	}
	if c.order, added.places, err = q.Insert(ctx, c.order, in, c.criteria); err != nil {
		return placed{}, err
	}
	for n, at := range added.places {
		added.uids[n] = c.order[at]
	}
	return added, nil
}

// tellContext sends how the results changed: removals from the last place to
// the first, so that each is named by the place it had, then additions from the
// first to the last, each by the place it has in the end.
func (s *session) tellContext(c *searchContext, ch change) {
	if len(ch.gone.uids) == 0 && len(ch.added.uids) == 0 {
		return
	}
	box, validity := "", uint32(0)
	if c.multi {
		box, validity = s.view.name(s.view.box), s.view.box.UIDValidity
	}
	b := s.searchCorrelator(c.tag, box, validity, c.byUID)
	if len(ch.gone.uids) > 0 {
		runs := ch.gone.runs()
		slices.Reverse(runs)
		b = c.appendRuns(append(b, " REMOVEFROM ("...), s.view.list, runs)
	}
	if len(ch.added.uids) > 0 {
		b = c.appendRuns(append(b, " ADDTO ("...), s.view.list, ch.added.runs())
	}
	s.conn.Write(append(b, "\r\n"...))
}

// run is results that stand behind one another.
type run struct {
	at   int // place of the first from 1; 0: in the order of the mailbox (RFC 5267 §4.3.3)
	uids []mail.UID
}

func (p placed) runs() (runs []run) {
	if p.places == nil {
		return []run{{0, p.uids}}
	}
	for i := 0; i < len(p.places); {
		j := i + 1
		for j < len(p.places) && p.places[j] == p.places[j-1]+1 {
			j++
		}
		runs = append(runs, run{p.places[i] + 1, p.uids[i:j]})
		i = j
	}
	return runs
}

// appendRuns appends pairs of context position and set, and the parenthesis
// that ends them.
func (c *searchContext) appendRuns(b []byte, list *store.MessageList, runs []run) []byte {
	for n, r := range runs {
		if n > 0 {
			b = append(b, ' ')
		}
		numbers := make([]uint32, len(r.uids))
		for i, u := range r.uids {
			numbers[i] = uint32(u)
			if !c.byUID {
				at, _ := list.Find(u)
				numbers[i] = uint32(at + 1)
			}
		}
		b = append(strconv.AppendInt(b, int64(r.at), 10), ' ')
		b = imapwire.AppendNumSet(b, numbers)
	}
	return append(b, ')')
}

// uidBits is a set of UIDs in which one is found, set and cleared at once.
type uidBits map[mail.UID]*[4]uint64

func (s uidBits) has(u mail.UID) bool {
	word := s[u>>8]
	return word != nil && word[u>>6&3]&(1<<(u&63)) != 0
}

func (s uidBits) set(u mail.UID) {
	if s[u>>8] == nil {
		s[u>>8] = new([4]uint64)
	}
	s[u>>8][u>>6&3] |= 1 << (u & 63)
}

func (s uidBits) clear(u mail.UID) {
	if word := s[u>>8]; word != nil {
		if word[u>>6&3] &^= 1 << (u & 63); *word == [4]uint64{} {
			delete(s, u>>8)
		}
	}
}
