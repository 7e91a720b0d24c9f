package imapserver

import (
	"context"
	"slices"
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
	status   bool            // tell how things are at first
	last     *store.Snapshot // until when events were told
	bad      bool            // an event is not known
	// annotations tells that AnnotationChange is among the events.
	annotations bool
	names       int // that the groups have, one for each that has none
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
			s.notify = &notify{}
			return s.notify.begin(s)
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
		s.notify = n
		if err := n.begin(s); err != nil {
			return err
		}
		if n.status {
			return s.tellAllStatus(ctx, n)
		}
		return nil
	}
}

func (n *notify) begin(s *session) (err error) {
	s.changed = true // RFC 5465 §3.1: what was held back is told now
	n.last, err = s.acct.Snapshot()
	return err
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
		if canonical, err := mail.CanonicalMailbox(name); err == nil {
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
func (n *notify) of(v *store.Snapshot, name string) (e events) {
	for i := range n.groups {
		if n.groups[i].covers(v, name) {
			e |= n.groups[i].events
		}
	}
	return e
}

func (g *eventGroup) covers(v *store.Snapshot, name string) bool {
	switch g.filter {
	case "SUBSCRIBED":
		return v.IsSubscribed(name)
	case "MAILBOXES":
		return g.hasName(name)
	case "SUBTREE":
		for name != "" && !g.hasName(name) {
			name = mail.ParentMailbox(name)
		}
		return name != ""
	}
	return true // mail may be delivered to any mailbox of one's own
}

func (g *eventGroup) hasName(name string) bool {
	_, ok := slices.BinarySearch(g.names, name)
	return ok
}

// tellAllStatus tells how the watched mailboxes are (RFC 5465 §3.1).
func (s *session) tellAllStatus(ctx context.Context, n *notify) error {
	for box := range n.last.Mailboxes() {
		e := n.of(n.last, box.Name)
		if box.NoSelect || s.isSelected(box) || e&messageEvents == 0 {
			continue
		}
		items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
		if e&(flagChange|annotationChange) != 0 {
			items = append(items, "HIGHESTMODSEQ")
		}
		if err := s.tellStatus(ctx, n.last, box, items); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) isSelected(box *store.Mailbox) bool {
	return s.view != nil && s.view.box.ID == box.ID
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
	now, err := s.acct.Snapshot()
	if err != nil {
		return err
	}
	old := n.last
	if n.last = now; old == now || len(n.groups) == 0 {
		return nil
	}
	for _, c := range store.DiffMailboxes(old, now) {
		if c.New == nil {
			s.tellDeleted(old, now, c.Old.Name)
		} else if err := s.tellChange(ctx, now, c.Old, c.New); err != nil {
			return err
		}
	}
	for _, name := range store.DiffSubscribed(old, now) { // RFC 5465 §5.5
		if n.of(now, name)&subscriptionChange != 0 || n.of(old, name)&subscriptionChange != 0 {
			s.tellName(now, name, "")
		}
	}
	s.tellNotes(old.AllNotes(), now, func(name string) bool {
		if name == "" {
			return slices.ContainsFunc(n.groups, func(g eventGroup) bool { return g.events&serverMetadata != 0 })
		}
		return n.of(now, name)&mailboxMetadata != 0
	})
	return nil
}

func (s *session) tellDeleted(old, now *store.Snapshot, name string) {
	if s.notify.of(old, name)&mailboxName != 0 {
		s.tellName(now, name, "")
		s.tellParent(now, name)
	}
}

// tellChange tells what happened to one mailbox.
func (s *session) tellChange(ctx context.Context, now *store.Snapshot, before, box *store.Mailbox) error {
	e := s.notify.of(now, box.Name)
	switch {
	case before == nil && e&mailboxName != 0:
		s.tellName(now, box.Name, "")
		s.tellParent(now, box.Name)
	case before != nil && before.Name != box.Name && e&mailboxName != 0 && !movedWithParent(before.Name, box.Name):
		s.tellName(now, box.Name, before.Name)
	}
	if before == nil {
		before = &store.Mailbox{UIDNext: 1, UIDValidity: box.UIDValidity}
		if box.Messages == 0 && box.UIDNext == 1 {
			return nil
		}
	}
	if box.NoSelect || s.isSelected(box) {
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

// movedWithParent reports whether a mailbox only has another name because one
// above it was renamed.
func movedWithParent(before, now string) bool {
	a, b := mail.ParentMailbox(before), mail.ParentMailbox(now)
	return a != b && a != "" && b != "" && before[len(a):] == now[len(b):]
}

// tellName sends LIST for a name as it is now, perhaps with its old one (RFC
// 5465 §5.4).
func (s *session) tellName(v *store.Snapshot, name, old string) {
	box, _ := v.Mailbox(name)
	s.tellMailbox(v, &listed{name: name, box: box, oldName: old}, &listRequest{tellSubscribed: true})
}

// tellParent tells of the mailbox above one that was made or deleted.
func (s *session) tellParent(v *store.Snapshot, name string) {
	if parent := mail.ParentMailbox(name); parent != "" && s.notify.of(v, parent)&mailboxName != 0 {
		s.tellName(v, parent, "")
	}
}

// update is Account.Update. What a client did itself it is not told of (RFC
// 5465 §5), where nobody else did anything in between.
func (s *session) update(ctx context.Context, fn func(tx *store.Tx) error) error {
	begun := time.Now()
	at, err := s.acct.Update(ctx, fn)
	s.commit += time.Since(begun)
	if err != nil {
		return err
	}
	s.changed = true
	if n := s.notify; n != nil && n.last.ModSeq()+1 == at {
		if now, err := s.acct.Snapshot(); err == nil && now.ModSeq() == at {
			n.last = now
		}
	}
	return nil
}
