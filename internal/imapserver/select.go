package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

// parseSelect is SELECT (RFC 3501 §6.3.1).
func parseSelect(s *session, d *imapwire.Decoder) request { return selectRequest(s, d, false) }

// parseExamine is EXAMINE (RFC 3501 §6.3.2).
func parseExamine(s *session, d *imapwire.Decoder) request { return selectRequest(s, d, true) }

func selectRequest(s *session, d *imapwire.Decoder, examined bool) request {
	d.Space()
	name := d.Mailbox()
	var p selectParameters
	if d.Take(' ') {
		p.parse(s, d)
	}
	return func(ctx context.Context, s *session) error {
		if s.view != nil { // RFC 7162 §3.2.11, RFC 9051 §6.3.2
			s.line("* OK [CLOSED] The mailbox selected before is closed")
		}
		s.unselect(ctx) // also when this fails
		s.enable(p.enable)
		v, err := s.open(ctx, name, examined)
		if err != nil {
			return err
		}
		v.annotate = p.annotate
		s.view, s.state = v, selected
		if err := s.tellOpened(ctx, v, p.known); err != nil {
			s.unselect(ctx)
			return err
		}
		s.code = v.accessCode()
		return nil
	}
}

// tellOpened tells about the mailbox that was selected, and what the client does
// not know of it yet.
func (s *session) tellOpened(ctx context.Context, v *view, k *known) error {
	if err := s.tellSelected(v); err != nil || k == nil {
		return err
	}
	if err := v.settle(); err != nil {
		return err
	}
	return s.resync(ctx, k)
}

func (s *session) open(ctx context.Context, name string, examined bool) (*view, error) {
	x, box, err := s.mailbox(ctx, name)
	if err != nil {
		return nil, err
	}
	if box.NoSelect {
		return nil, errs.New("imapserver.select", errs.Invalid, "this is only a name above other mailboxes")
	}
	v := &view{tree: x.tree, rights: x.rights(box), examined: examined, key: x.AccessKey(box.ID)}
	if v.box, v.opening, err = v.acct.Open(ctx, box.ID); err != nil {
		return nil, err
	}
	v.synced, v.complete = v.opening.ModSeq(), v.box.ModSeq
	if v.opening.Ready() {
		if err := v.settle(); err != nil {
			return nil, err
		}
	}
	if !s.has(rev2) {
		v.claim(0, v.box)
	}
	if !v.mine() {
		v.stop = v.acct.Watch(s.conn.Wake)
	}
	return v, nil
}

// accessCode returns the response code for how the mailbox is selected.
func (v *view) accessCode() string {
	if v.readOnly() {
		return "READ-ONLY"
	}
	return "READ-WRITE"
}

// tellUnseen sends the first unseen message, where the older version wants it. The
// answer does not wait for it while the list is still being read: without it, the
// client does not know which one it is (RFC 3501 §6.3.1).
func (s *session) tellUnseen(v *view) {
	if v.box.Unseen == 0 || s.has(uidOnly) || v.opening != nil {
		return
	}
	for i, m := range v.list.Range(0, v.list.Len()) {
		if !m.Flags.Has(mail.Seen) {
			s.line("* OK [UNSEEN " + strconv.Itoa(i+1) + "] First unseen message")
			return
		}
	}
}

// tellSelected sends what RFC 3501 §6.3.1 and RFC 9051 §6.3.2 ask for.
func (s *session) tellSelected(v *view) error {
	x, err := v.look()
	if err != nil {
		return err
	}
	s.flagNames(v)
	s.number(v.len(), "EXISTS")
	if s.has(rev2) {
		s.tellMailbox(x.listed(v.box), &listRequest{})
	} else {
		recent, err := v.recentCount()
		if err != nil {
			return err
		}
		s.number(recent, "RECENT")
		s.tellUnseen(v)
	}
	s.line("* OK [UIDVALIDITY " + strconv.FormatUint(uint64(v.box.UIDValidity), 10) + "] UIDs are valid")
	s.line("* OK [UIDNEXT " + strconv.FormatUint(uint64(v.box.UIDNext), 10) + "] Predicted next UID")
	s.highestModSeq()
	s.tellAnnotations(v)
	if v.mine() {
		s.urlMech("URLs can be authorized")
	}
	if s.offers("OBJECTID") {
		s.line("* OK [MAILBOXID (" + v.ids.Mailbox(v.box.ID) + ")] Its name for ever") // RFC 8474 §4.2
	}
	return nil
}
