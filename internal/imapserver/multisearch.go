package imapserver

import (
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/store"
)

// multiSearch is ESEARCH (RFC 7377 §2): a search of several mailboxes.
type multiSearch struct {
	scopes  []eventGroup // without events
	ret     searchReturn
	charset string
	key     *imapwire.SearchKey

	found []int32 // in the selected mailbox, if that was searched
	done  bool    // it was
}

// parseMultiSearch reads ESEARCH, whose answers name messages by UID.
func parseMultiSearch(s *session, d *imapwire.Decoder) request {
	m := &multiSearch{}
	d.Space()
	if d.TakeWord("IN") {
		d.Space()
		d.Expect('(')
		for ok := true; ok && d.Err() == nil; ok = d.Take(' ') {
			m.parseScope(d)
		}
		d.Expect(')')
		d.Space()
	} else {
		m.scopes = []eventGroup{{filter: "SELECTED"}}
	}
	m.ret = d.SearchReturn("ESEARCH")
	m.ret.All = m.ret.All || !m.ret.Given
	m.charset, m.key = d.SearchProgram()
	needFuzzy(d, m.ret.Relevancy, m.key)
	only := len(m.scopes) == 1 && m.scopes[0].filter == "SELECTED"
	if m.ret.Save && !only {
		d.Fail("SAVE is for the selected mailbox alone") // RFC 7377 §2.2
	}
	return m.run
}

func (m *multiSearch) parseScope(d *imapwire.Decoder) {
	g := eventGroup{filter: d.Word()}
	switch g.filter {
	case "SELECTED", "INBOXES", "PERSONAL", "SUBSCRIBED":
	case "SUBTREE", "SUBTREE-ONE", "MAILBOXES":
		d.Space()
		g.parseNames(d)
	default:
		d.Fail("unknown kind of mailboxes " + g.filter)
	}
	if m.scopes = append(m.scopes, g); len(m.scopes) > patternsMax {
		d.Fail("too many kinds of mailboxes")
	}
}

func (m *multiSearch) run(ctx context.Context, s *session) error {
	s.byUID = true // in the answers
	defer func() { s.byUID = false }()
	selected := slices.ContainsFunc(m.scopes, func(g eventGroup) bool { return g.filter == "SELECTED" })
	if (selected || m.ret.Update) && s.view == nil { // RFC 7377 §2.2
		return s.dec.Fail("no mailbox is selected")
	}
	if err := s.mayUpdate(m.ret); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, searchTimeMax)
	defer cancel()
	if err := s.expand(ctx, m.key, m.charset, 0); err != nil {
		return err
	}
	own, err := s.own.look()
	if err != nil {
		return err
	}
	trees, err := m.trees(ctx, s, own)
	if err != nil {
		return err
	}
	for _, x := range trees {
		for box := range x.Mailboxes() {
			if box.NoSelect || !x.has(box, s.row.named) || !m.covers(s, own, x, box) {
				continue
			}
			if err := m.searchBox(ctx, s, x, box); err != nil {
				return searchError(err)
			}
		}
	}
	switch {
	case m.done:
		s.keepUpdated(m.ret, &searchContext{multi: true, charset: m.charset, key: m.key}, m.found)
	case m.ret.Update:
		s.noUpdate(s.tag, "The selected mailbox is not among those searched")
	}
	return nil
}

// trees returns those that the mailboxes to be searched may be in.
func (m *multiSearch) trees(ctx context.Context, s *session, own sight) ([]sight, error) {
	if slices.ContainsFunc(m.scopes, func(g eventGroup) bool { return g.reachesOthers(own) }) {
		return append([]sight{own}, s.others(ctx)...), nil
	}
	if s.view == nil || s.view.mine() {
		return []sight{own}, nil
	}
	x, err := s.view.look()
	return []sight{own, x}, err
}

// covers reports whether a mailbox is to be searched.
func (m *multiSearch) covers(s *session, own, x sight, box *store.Mailbox) bool {
	name := x.name(box)
	return slices.ContainsFunc(m.scopes, func(g eventGroup) bool {
		switch g.filter {
		case "SELECTED":
			return s.isSelected(x.tree, box)
		case "SUBTREE-ONE":
			return slices.ContainsFunc(g.names, func(top string) bool {
				below, ok := strings.CutPrefix(name, top+string(mail.Separator))
				return name == top || ok && !strings.Contains(below, string(mail.Separator))
			})
		}
		return g.covers(own, x.tree, name)
	})
}

// searchBox searches one mailbox, the selected one as the client sees it.
func (m *multiSearch) searchBox(ctx context.Context, s *session, x sight, box *store.Mailbox) error {
	q := &search.Query{Store: s.srv.store, Recent: func(mail.UID) bool { return false }, Index: s.opts.Texts, Account: x.ids.Account, User: s.user.Account, Work: s.conn.Work()}
	if s.isSelected(x.tree, box) {
		q = s.query()
	} else {
		var err error
		if box, q.List, err = x.acct.Messages(ctx, box.ID); err != nil {
			return err
		}
	}
	q.Key, q.Charset = m.key, m.charset
	found, err := s.search(ctx, q)
	if err != nil {
		return err
	}
	if s.isSelected(x.tree, box) {
		m.found, m.done = found, true
	}
	if m.ret.Save {
		s.view.saved = s.view.uids(savedOf(m.ret, found))
	}
	if len(found) == 0 {
		return nil
	}
	r := searchResult{found: found, list: q.List, box: x.name(box), uidValidity: box.UIDValidity, modseq: m.key.UsesModSeq()}
	if m.ret.Relevancy {
		if r.scores, err = q.Scores(ctx, found); err != nil {
			return err
		}
	}
	s.tellESearch(m.ret, r)
	return nil
}
