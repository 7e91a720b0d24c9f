package imapserver

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// errMailboxGone ends a session whose mailbox somebody deleted, which could not
// be told otherwise in IMAP4rev1 (RFC 2180 §3.3), or whose user may not read it any
// more (RFC 4314 §5.1.1), and is not to learn which of both.
var errMailboxGone = &byeError{"[UNAVAILABLE] The selected mailbox was deleted"}

// sync brings the view up to date and tells the client what happened. Without
// expunges, messages that went stay in the view.
func (s *session) sync(ctx context.Context, expunges bool) error {
	v := s.view
	t := teller{echo: v.echo, touched: v.touched, silent: v.silent}
	relabelled := v.relabelled
	v.echo, v.touched, v.relabelled, v.silent = nil, nil, nil, silentStore{}
	now, err := v.acct.Snapshot()
	if err != nil {
		return s.syncError(err)
	}
	if now.ModSeq() == v.synced && len(t.echo) == 0 && len(t.touched) == 0 && len(relabelled) == 0 {
		return nil
	}
	if err := v.settle(); err != nil {
		return s.syncError(err)
	}
	t.old = v.list
	box, list, err := v.acct.Messages(ctx, v.box.ID)
	if err != nil {
		return s.syncError(err)
	}
	rights, before, access := v.tree.rights(box), v.rights, v.accessCode()
	if v.rights = rights; rights&mail.RightRead == 0 {
		return errMailboxGone
	}
	changes := store.Diff(v.list, list)
	s.leaveContexts(changes.Gone)
	v.synced = max(list.ModSeq(), now.ModSeq())
	heldBack := len(changes.Gone) > 0 && !expunges
	switch {
	case heldBack:
		list = v.list.With(list, changes.Gone)
		v.synced = 0 // look again
	case len(changes.Gone) > 0:
		s.tellGone(changes.Gone)
	}
	oldBox := v.box
	v.list, v.box = list, box
	quiet := s.notify != nil && s.notify.selected.events&flagChange == 0
	deaf := v.annotate && !s.tellsAnnotations() && len(changes.Touched) > 0
	if !heldBack && !deaf && !(quiet && len(changes.Changed) > 0) {
		v.complete = box.ModSeq
	}
	if len(changes.Added) > 0 {
		s.number(list.Len(), "EXISTS")
		if !s.has(rev2) {
			v.claim(oldBox.UIDNext, box)
			s.number(v.list.Existing(v.recent).Len(), "RECENT")
		}
	}
	if len(box.Keywords) != len(oldBox.Keywords) || rights != before { // RFC 4314 §5.1.1
		s.flagNames(v)
	}
	if now := v.accessCode(); now != access { // RFC 3501 §7.1
		s.line("* OK [" + now + "] Rights for the mailbox have changed")
	}
	if t.changed = changes.Changed; quiet {
		t.changed = nil // RFC 5465 §5
	}
	if err := s.lookAtAnnotations(ctx, &t, changes); err != nil {
		return err
	}
	if err := s.tellMessages(ctx, &t, changes); err != nil {
		return err
	}
	if err := s.tellItems(ctx, relabelled, func(mail.UID) *plan { return s.labelPlan() }); err != nil {
		return err
	}
	if s.has(condstore) {
		s.tellComplete(len(changes.Gone) > 0, heldBack && len(changes.Changed) > 0)
	}
	return s.tellKey()
}

// lookAtAnnotations finds out which annotations were changed, if the client wants
// to know.
func (s *session) lookAtAnnotations(ctx context.Context, t *teller, changes store.Changes) (err error) {
	uids := mail.UIDSetOf(slices.Concat(changes.Changed, changes.Touched)...)
	if len(uids) == 0 || !s.tellsAnnotations() {
		return nil
	}
	t.annotations, err = s.changedAnnotations(ctx, uids, func(u mail.UID) mail.ModSeq {
		n, _ := t.old.Find(u)
		return t.old.At(n).ModSeq
	})
	if err != nil {
		return s.syncError(err)
	}
	return nil
}

// tellKey tells that URLs of the mailbox were revoked (RFC 4467 §7, RESETKEY).
func (s *session) tellKey() error {
	if !s.view.mine() {
		return nil
	}
	now, err := s.view.acct.Snapshot() // not older than the list
	if err != nil {
		return s.syncError(err)
	}
	key := now.AccessKey(s.view.box.ID)
	if key.Revokes(s.view.key) {
		s.urlMech("URLs that were authorized are no longer")
	}
	s.view.key = key
	return nil
}

// tellMessages tells of messages that are new or not as they were.
func (s *session) tellMessages(ctx context.Context, t *teller, changes store.Changes) error {
	results := s.revise(ctx, looked(t.old, s.view.list, changes))
	plans := s.plansOfContexts(changes.Added, results)
	if err := s.tellNew(ctx, changes.Added, func(u mail.UID) *plan { return plans[u] }); err != nil {
		return err
	}
	s.tellFlags(t)
	for _, c := range s.view.contexts {
		s.tellContext(c, results[c])
	}
	if n := s.notify; n != nil && n.selected.fetch != nil {
		return s.tellNew(ctx, changes.Added, func(u mail.UID) *plan {
			if plans[u] != nil {
				return nil
			}
			return n.selected.fetch
		})
	}
	return nil
}

// looked returns the messages at which contexts look again: those that are not
// as they were, and the last ones of the mailbox, which "*" means. What went is
// not looked at, also while it stays in the view.
func looked(old, now *store.MessageList, c store.Changes) mail.UIDSet {
	all := slices.Concat(c.Added, c.Changed, c.Touched)
	for _, list := range [...]*store.MessageList{old, now} {
		if n := list.Len(); n > 0 && (len(c.Added) > 0 || len(c.Gone) > 0) {
			last := list.At(n - 1).UID
			all = append(all, mail.UIDRange{First: last, Last: last})
		}
	}
	return mail.UIDSetOf(all...).Minus(c.Gone)
}

// plansOfContexts returns what contexts ask to be told of new messages that came
// into their results (RFC 5465 §7), together with what NOTIFY asks for.
func (s *session) plansOfContexts(added mail.UIDSet, results map[*searchContext]change) map[mail.UID]*plan {
	plans := map[mail.UID]*plan{}
	for _, c := range s.view.contexts {
		for _, u := range results[c].added.uids {
			if c.items == nil || !added.Contains(u) {
				continue
			}
			if plans[u] == nil {
				plans[u] = &plan{}
			}
			plans[u].add(c.items)
		}
	}
	if n := s.notify; n != nil && n.selected.fetch != nil {
		for _, p := range plans {
			p.add(n.selected.fetch.items)
		}
	}
	return plans
}

// tellNew tells of new messages that the client did not make itself what was
// asked for (RFC 5465 §5.2).
func (s *session) tellNew(ctx context.Context, added mail.UIDSet, planOf func(u mail.UID) *plan) error {
	if s.changed {
		return nil
	}
	return s.tellItems(ctx, added, planOf)
}

// labelPlan tells labels.
func (s *session) labelPlan() *plan {
	p := fetchPlan([]imapwire.FetchItem{{Name: "X-GM-LABELS"}}, s.byUID && !s.has(uidOnly))
	return &p
}

// tellItems tells data items of messages.
func (s *session) tellItems(ctx context.Context, uids mail.UIDSet, planOf func(u mail.UID) *plan) error {
	f := &fetcher{ctx: ctx, s: s, uids: uids}
	defer f.closeScan()
	for i, m := range s.view.list.Select(uids) {
		p := planOf(m.UID)
		if p == nil {
			continue
		}
		if err := f.message(i, m, *p); err != nil && fatal(err) {
			return err
		}
	}
	return f.flush()
}

// tellGone tells of expunged messages, whose numbers are still the view's.
func (s *session) tellGone(gone mail.UIDSet) {
	if s.enabled&(qresync|uidOnly) != 0 { // RFC 7162 §3.2.10.2, RFC 9586
		s.vanished("* VANISHED ", gone)
		return
	}
	s.view.numbers(gone, func(n int) { s.number(n, "EXPUNGE") })
}

func (s *session) vanished(response string, uids mail.UIDSet) {
	if len(uids) > 0 {
		b := uids.AppendText(append(s.conn.AvailableBuffer(), response...))
		s.conn.Write(append(b, "\r\n"...))
	}
}

// tellComplete tells up to where the client knows everything: in the tagged
// line when expunges were told (RFC 7162 §3.2.7), and untagged when expunges
// that are older than something that was told are held back (§3.2).
func (s *session) tellComplete(gone, ahead bool) {
	switch {
	case ahead:
		s.highestModSeq()
	case gone && s.code == "":
		s.code = "HIGHESTMODSEQ " + strconv.FormatUint(uint64(s.view.complete), 10)
	}
}

func (s *session) syncError(err error) error {
	if errs.Is(err, errs.NotFound) {
		return errMailboxGone
	}
	s.opts.Log.Error("a session cannot see its mailbox any more", "session", s.conn.ID(), "account", s.user.Name, "error", err)
	return &byeError{"[" + kindCodes[errs.KindOf(err)] + "] The mailbox cannot be read now"}
}

// teller is what one sync tells of flags.
type teller struct {
	old           *store.MessageList
	changed, echo mail.UIDSet
	touched       mail.UIDSet
	silent        silentStore
	annotations   map[mail.UID][]string // names of entries that others changed
}

// tellFlags sends the flags of changed messages, but not what a silent STORE
// of this session did, and those of echo in any case; and the names of annotations
// that were changed. Once CONDSTORE is
// enabled it sends UIDs and mod-sequences too, and for a silent STORE these
// alone (RFC 7162 §3.1.3, §3.2.4).
func (s *session) tellFlags(t *teller) {
	told := mail.UIDSetOf(slices.Concat(t.changed, t.echo, t.touched, mail.NewUIDSet(slices.Collect(maps.Keys(t.annotations))...))...)
	if len(told) == 0 {
		return
	}
	v, modseq := s.view, s.has(condstore)
	for i, m := range v.list.Select(told) {
		flags, annotations := t.tells(m), t.annotations[m.UID]
		if !flags && !modseq && annotations == nil {
			continue
		}
		b := s.fetchStart(s.conn.AvailableBuffer(), i, m)
		if !s.has(uidOnly) && (s.byUID || modseq || s.has(rev2)) { // RFC 9051 §7.5.2
			b = append(b, "UID "...)
			b = strconv.AppendUint(b, uint64(m.UID), 10)
			b = append(b, ' ')
		}
		if modseq {
			b = append(appendModSeq(b, m.ModSeq), ' ')
		}
		if flags {
			b = append(b, "FLAGS "...)
			b = append(appendFlags(b, m.Flags, v.isRecent(m.UID)), ' ')
		}
		if annotations != nil {
			b = append(appendAnnotationNames(b, annotations), ' ')
		}
		b[len(b)-1] = ')' // instead of the last space
		s.conn.Write(append(b, "\r\n"...))
	}
}

// tells reports whether a message's flags are to be told.
func (t *teller) tells(m *store.Message) bool {
	if t.echo.Contains(m.UID) {
		return true
	}
	if !t.changed.Contains(m.UID) {
		return false
	}
	n, ok := t.old.Find(m.UID)
	return t.silent.modseq == 0 || !ok || t.silent.tells(t.old.At(n).Flags, m)
}
