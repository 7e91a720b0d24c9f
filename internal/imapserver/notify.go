package imapserver

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// events is a set of the events of RFC 5465 §5.
type events uint8

const (
	messageNew events = 1 << iota
	messageExpunge
	flagChange
	mailboxName
	subscriptionChange
	mailboxMetadata
	serverMetadata
	annotationChange

	messageEvents = messageNew | messageExpunge | flagChange | annotationChange
)

var eventNames = map[string]events{
	"MESSAGENEW": messageNew, "MESSAGEEXPUNGE": messageExpunge, "FLAGCHANGE": flagChange, "MAILBOXNAME": mailboxName,
	"SUBSCRIPTIONCHANGE": subscriptionChange, "MAILBOXMETADATACHANGE": mailboxMetadata, "SERVERMETADATACHANGE": serverMetadata,
	"ANNOTATIONCHANGE": annotationChange,
}

// badEvent refuses events that are not known, and tells which are (RFC 5465 §3.1).
func (s *session) badEvent() error {
	known := "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange"
	if s.offers(capAnnotate) {
		known += " AnnotationChange"
	}
	return &refusal{"BADEVENT (" + known + ")", "an event of this kind is not known"}
}

// notify is what a client asked to be told at any time.
type notify struct {
	selected eventGroup // of SELECTED or SELECTED-DELAYED
	delayed  bool       // SELECTED-DELAYED
	groups   []eventGroup
	status   bool  // tell how things are at first
	last     sight // until when events of the user's own mailboxes were told
	others   map[store.AccountID]*otherTree
	bad      bool // an event is not known
	// annotations tells that AnnotationChange is among the events.
	annotations bool
	names       int // that the groups have, one for each that has none
}

// otherTree is another account of whose mailboxes events are told.
type otherTree struct {
	last sight
	stop func() // of the watch
}

// eventGroup is events of some mailboxes.
type eventGroup struct {
	filter string   // in upper case
	names  []string // sorted
	events events
	fetch  *plan // what to tell of new messages
}

// parseNotify is NOTIFY (RFC 5465 §3.1).
func parseNotify(s *session, d *imapwire.Decoder) request {
	d.Space()
	switch d.Word() {
	case "NONE":
		return func(_ context.Context, s *session) error {
			return s.begin(&notify{})
		}
	case "SET":
	default:
		d.Fail("expected SET or NONE")
	}
	n := &notify{}
	d.Space()
	if d.TakeWord("STATUS") {
		n.status = true
		d.Space()
	}
	for ok := true; ok && d.Err() == nil; ok = d.Take(' ') {
		n.parseGroup(d)
	}
	return func(ctx context.Context, s *session) error {
		switch {
		case n.bad, n.annotations && !s.offers(capAnnotate):
			return s.badEvent()
		case n.names > notifyNamesMax:
			return &refusal{"NOTIFICATIONOVERFLOW", "too many mailboxes in one NOTIFY; what was asked for before stays"} // RFC 5465 §3.1
		}
		if err := s.begin(n); err != nil {
			return err
		}
		s.watchOthers(ctx)
		if n.status {
			return s.tellAllStatus(ctx, n)
		}
		return nil
	}
}

// begin has events told from now on.
func (s *session) begin(n *notify) (err error) {
	s.forgetEvents()
	s.changed = true // RFC 5465 §3.1: what was held back is told now
	n.last, err = s.own.look()
	n.others = map[store.AccountID]*otherTree{}
	s.notify = n
	return err
}

// forgetEvents ends what NOTIFY asked for.
func (s *session) forgetEvents() {
	if s.notify == nil {
		return
	}
	for _, w := range s.notify.others {
		w.stop()
	}
	s.notify = nil
}

func (n *notify) parseGroup(d *imapwire.Decoder) {
	var g eventGroup
	d.Expect('(')
	g.filter = d.Word()
	d.Space()
	switch g.filter {
	case "SELECTED", "SELECTED-DELAYED", "INBOXES", "PERSONAL", "SUBSCRIBED":
	case "SUBTREE", "MAILBOXES":
		g.parseNames(d)
		d.Space()
	default:
		d.Fail("unknown kind of mailboxes " + g.filter)
	}
	n.names += max(1, len(g.names))
	n.parseEvents(d, &g)
	d.Expect(')')
	if e := g.events & messageEvents; e != 0 && e&messageNew == 0 || e != 0 && e&messageExpunge == 0 {
		d.Fail("MessageNew and MessageExpunge belong together") // RFC 5465 §5
	}
	if g.filter != "SELECTED" && g.filter != "SELECTED-DELAYED" {
		n.groups = append(n.groups, g)
		return
	}
	if n.selected.filter != "" || g.events&^messageEvents != 0 {
		d.Fail("the selected mailbox has one group, of events of messages") // RFC 5465 §6.1
	}
	n.selected, n.delayed = g, g.filter == "SELECTED-DELAYED"
}

func (g *eventGroup) parseNames(d *imapwire.Decoder) {
	add := func() {
		name := d.Mailbox()
		if canonical, err := canonicalName(name); err == nil {
			name = canonical
		}
		g.names = append(g.names, name)
	}
	if d.Peek() == '(' {
		d.List(add)
	} else {
		add()
	}
	slices.Sort(g.names)
}

// parseEvents reads NONE or events, also without the parentheses that older
// clients leave out.
func (n *notify) parseEvents(d *imapwire.Decoder, g *eventGroup) {
	if d.TakeWord("NONE") {
		return
	}
	if d.Take('(') {
		n.parseEvent(d, g)
		for d.Take(' ') {
			n.parseEvent(d, g)
		}
		d.Expect(')')
		return
	}
	n.parseEvent(d, g)
	for d.Take(' ') {
		n.parseEvent(d, g)
	}
}

func (n *notify) parseEvent(d *imapwire.Decoder, g *eventGroup) {
	e := eventNames[d.Word()]
	n.bad = n.bad || e == 0
	n.annotations = n.annotations || e == annotationChange
	g.events |= e
	if e == messageNew && d.PeekText(" (") {
		d.Space()
		p := fetchPlan(d.FetchItems(), true)
		g.fetch = &p
	}
}

// of returns the events that are wanted of a mailbox, those of its messages
// only if it is not selected.
func (n *notify) of(own sight, t *tree, name string) (e events) {
	for i := range n.groups {
		if n.groups[i].covers(own, t, name) {
			e |= n.groups[i].events
		}
	}
	return e
}

func (g *eventGroup) covers(own sight, t *tree, name string) bool {
	switch g.filter {
	case "SUBSCRIBED":
		return own.IsSubscribed(name)
	case "MAILBOXES":
		return g.hasName(name)
	case "SUBTREE":
		for name != "" && !g.hasName(name) {
			name = mail.ParentMailbox(name)
		}
		return name != ""
	}
	return t.mine() // mail may be delivered to any mailbox of one's own
}

// reachesOthers reports whether mailboxes of other users may be among those of the
// group.
func (g *eventGroup) reachesOthers(own sight) bool {
	if g.filter == "SUBSCRIBED" {
		return own.SubscribedBelow(otherUsers)
	}
	i, _ := slices.BinarySearch(g.names, otherUsers)
	return i < len(g.names) && strings.HasPrefix(g.names[i], otherUsers) || g.hasName(strings.TrimSuffix(otherUsers, "/"))
}

func (g *eventGroup) hasName(name string) bool {
	_, ok := slices.BinarySearch(g.names, name)
	return ok
}

// tellAllStatus tells how the otherTree mailboxes are (RFC 5465 §3.1).
func (s *session) tellAllStatus(ctx context.Context, n *notify) error {
	trees := []sight{n.last}
	for _, w := range n.others {
		trees = append(trees, w.last)
	}
	for _, x := range trees {
		for box := range x.Mailboxes() {
			e := n.of(n.last, x.tree, x.name(box))
			if !s.tellsOf(x.tree, box) || e&messageEvents == 0 {
				continue
			}
			items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
			if e&(flagChange|annotationChange) != 0 {
				items = append(items, "HIGHESTMODSEQ")
			}
			if err := s.tellStatus(ctx, x, box, items); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellsOf reports whether events of a mailbox's messages are told with STATUS.
func (s *session) tellsOf(t *tree, box *store.Mailbox) bool {
	return !box.NoSelect && !s.isSelected(t, box) && t.has(box, mail.RightRead)
}

func (s *session) isSelected(t *tree, box *store.Mailbox) bool {
	return s.view != nil && s.view.acct == t.acct && s.view.box.ID == box.ID
}

// tellEvents tells what happened, outside of commands.
func (s *session) tellEvents(ctx context.Context) error {
	n := s.notify
	s.changed = false // by the last command, whose own sync told of it
	s.byUID = true    // RFC 5465 §5.1: unasked FETCH has the UID
	if s.view != nil && n.selected.events != 0 {
		if err := s.sync(ctx, !n.delayed); err != nil {
			return err
		}
	}
	return s.tellOthers(ctx)
}

// tellOthers tells of mailboxes, but not of the messages in the selected one.
func (s *session) tellOthers(ctx context.Context) error {
	n := s.notify
	now, err := s.own.look()
	if err != nil {
		return err
	}
	old := n.last
	if n.last = now; len(n.groups) == 0 {
		return nil
	}
	if old.Snapshot != now.Snapshot {
		if err := s.tellTree(ctx, old, now); err != nil {
			return err
		}
		for _, name := range store.DiffSubscribed(old.Snapshot, now.Snapshot) { // RFC 5465 §5.5
			if n.of(now, now.tree, name)&subscriptionChange != 0 || n.of(old, old.tree, name)&subscriptionChange != 0 {
				s.tellName(s.listedAs(ctx, name))
			}
		}
	}
	return s.tellOtherUsers(ctx)
}

// tellTree tells what happened in a tree.
func (s *session) tellTree(ctx context.Context, old, now sight) error {
	for _, c := range store.DiffMailboxes(old.Snapshot, now.Snapshot) {
		// What the user may not know of is not there.
		if c.Old != nil && !old.sees(c.Old) {
			c.Old = nil
		}
		if c.New != nil && !now.sees(c.New) {
			c.New = nil
		}
		switch {
		case c.New != nil:
			if err := s.tellChange(ctx, now, c.Old, c.New); err != nil {
				return err
			}
		case c.Old != nil:
			s.tellDeleted(now, now.name(c.Old))
		}
	}
	s.tellNotes(old.AllNotes(), now, func(name string) bool {
		if name == "" {
			return slices.ContainsFunc(s.notify.groups, func(g eventGroup) bool { return g.events&serverMetadata != 0 })
		}
		return s.notify.of(s.notify.last, now.tree, name)&mailboxMetadata != 0
	})
	return nil
}

// watchOthers has the session woken by the accounts of others that the groups
// reach, and looks at them from now on; it returns those that are new.
func (s *session) watchOthers(ctx context.Context) (found []sight) {
	n := s.notify
	gone := maps.Clone(n.others)
	if slices.ContainsFunc(n.groups, func(g eventGroup) bool { return g.reachesOthers(n.last) }) {
		for _, x := range s.others(ctx) {
			if delete(gone, x.ids.Account); n.others[x.ids.Account] == nil {
				stop := x.acct.Watch(s.conn.Wake)
				x, err := x.tree.look() // what came before the watch is no news
				if err != nil {
					stop()
					continue
				}
				n.others[x.ids.Account] = &otherTree{x, stop}
				found = append(found, x)
			}
		}
	}
	for id, w := range gone {
		w.stop()
		delete(n.others, id)
	}
	return found
}

// tellOtherUsers tells of mailboxes of others.
func (s *session) tellOtherUsers(ctx context.Context) error {
	n := s.notify
	before := maps.Clone(n.others)
	for _, x := range s.watchOthers(ctx) {
		if err := s.tellTree(ctx, x.before(), x); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		w := before[id]
		now := w.last.before()
		if n.others[id] != nil {
			var err error
			if now, err = w.last.look(); err != nil {
				continue // it is gone the next time
			}
		}
		old := w.last
		if w.last = now; old.Snapshot != now.Snapshot {
			if err := s.tellTree(ctx, old, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// before is the tree without any mailbox.
func (t *tree) before() sight { return sight{t, &store.Snapshot{}} }

// listedAs returns a name as LIST tells of it now.
func (s *session) listedAs(ctx context.Context, name string) *listed {
	x, rest, err := s.locate(ctx, name)
	if err == nil {
		if box, err := x.box(rest, mail.RightLookup); err == nil {
			return x.listed(box)
		}
	}
	return &listed{name: name, children: s.notify.last.HasChildren(name)}
}

func (s *session) tellDeleted(now sight, name string) {
	if s.notify.of(s.notify.last, now.tree, name)&mailboxName != 0 {
		s.tellName(&listed{name: name, children: now.mine() && now.HasChildren(name)})
		s.tellParent(now, name)
	}
}

// tellChange tells what happened to one mailbox.
func (s *session) tellChange(ctx context.Context, now sight, before, box *store.Mailbox) error {
	name := now.name(box)
	e := s.notify.of(s.notify.last, now.tree, name)
	switch {
	case before == nil && e&mailboxName != 0:
		s.tellName(now.listed(box))
		s.tellParent(now, name)
	case before != nil && before.Name != box.Name && e&mailboxName != 0 && !movedWithParent(before.Name, box.Name):
		l := now.listed(box)
		l.oldName = now.name(before)
		s.tellName(l)
	}
	if before == nil {
		before = &store.Mailbox{UIDNext: 1, UIDValidity: box.UIDValidity}
		if box.Messages == 0 && box.UIDNext == 1 {
			return nil
		}
	}
	if !s.tellsOf(now.tree, box) {
		return nil
	}
	if items := s.changedItems(e, before, box); items != nil {
		return s.tellStatus(ctx, now, box, items)
	}
	return nil
}

// changedItems returns what STATUS tells of a mailbox that is not selected (RFC
// 5465 §5.1 to §5.3).
func (s *session) changedItems(e events, before, box *store.Mailbox) (items []string) {
	added := uint32(box.UIDNext - before.UIDNext)
	switch {
	case e&messageEvents == 0:
		return nil
	case before.UIDValidity != box.UIDValidity:
		items = []string{"UIDVALIDITY", "UIDNEXT", "MESSAGES"}
	case added > 0 || box.Messages < before.Messages+added:
		items = []string{"UIDNEXT", "MESSAGES"}
	case e&flagChange != 0 && before.Unseen != box.Unseen,
		e&(flagChange|annotationChange) != 0 && s.has(condstore) && before.ModSeq != box.ModSeq && before.Name == box.Name:
		items = []string{"UIDVALIDITY", "UNSEEN"}
	default:
		return nil
	}
	if s.has(condstore) {
		items = append(items, "HIGHESTMODSEQ")
	}
	return items
}

// lastOf returns until when events of a tree were told; nil: none are.
func (n *notify) lastOf(t *tree) *sight {
	switch {
	case n == nil:
		return nil
	case t.mine():
		return &n.last
	}
	if w := n.others[t.ids.Account]; w != nil {
		return &w.last
	}
	return nil
}

// movedWithParent reports whether a mailbox only has another name because one
// above it was renamed.
func movedWithParent(before, now string) bool {
	a, b := mail.ParentMailbox(before), mail.ParentMailbox(now)
	return a != b && a != "" && b != "" && before[len(a):] == now[len(b):]
}

// tellName sends LIST for a name as it is now, perhaps with its old one (RFC
// 5465 §5.4).
func (s *session) tellName(l *listed) {
	l.subscribed = s.notify.last.IsSubscribed(l.name)
	s.tellMailbox(l, &listRequest{tellSubscribed: true})
}

// tellParent tells of the mailbox above one that was made or deleted.
func (s *session) tellParent(x sight, name string) {
	parent := mail.ParentMailbox(name)
	above, err := x.Mailbox(strings.TrimPrefix(parent, x.prefix))
	if err == nil && x.sees(above) && s.notify.of(s.notify.last, x.tree, parent)&mailboxName != 0 {
		s.tellName(x.listed(above))
	}
}

// update changes the user's own account.
func (s *session) update(ctx context.Context, fn func(tx *store.Tx) error) error {
	return s.change(ctx, s.own, fn)
}

// change is Account.Update. What a client did itself it is not told of (RFC
// 5465 §5), where nobody else did anything in between.
func (s *session) change(ctx context.Context, t *tree, fn func(tx *store.Tx) error) error {
	begun := time.Now()
	at, err := t.acct.Update(ctx, fn)
	s.commit += time.Since(begun)
	if err != nil {
		return err
	}
	s.changed = true
	if last := s.notify.lastOf(t); last != nil && last.ModSeq()+1 == at {
		if now, err := t.look(); err == nil && now.ModSeq() == at {
			*last = now
		}
	}
	return nil
}
