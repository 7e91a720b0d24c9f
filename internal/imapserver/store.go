package imapserver

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

var storeOps = map[string]store.FlagOp{"FLAGS": store.FlagsReplace, "+FLAGS": store.FlagsAdd, "-FLAGS": store.FlagsRemove}

// parseStore is STORE (RFC 3501 §6.4.6, RFC 7162 §3.1.3).
func parseStore(s *session, d *imapwire.Decoder) request {
	var c storeCommand
	d.Space()
	set := d.NumSet()
	d.Space()
	if d.Peek() == '(' {
		c.modifiers(d)
		d.Space()
	}
	item, silent := strings.CutSuffix(d.Word(), ".SILENT")
	if op, ok := labelOps[item]; ok && !c.Conditional {
		d.Space()
		return parseStoreLabels(d, set, op, silent)
	}
	if item == "ANNOTATION" && !silent {
		return parseStoreAnnotation(d, set, c.Condition)
	}
	op, ok := storeOps[item]
	if !ok {
		d.Fail("expected FLAGS, +FLAGS or -FLAGS")
	}
	d.Space()
	c.silent = silent
	c.Op, c.Flags = op, d.StoreFlags()
	return func(ctx context.Context, s *session) error { return s.storeFlags(ctx, set, c) }
}

// storeCommand is what STORE does with the messages.
type storeCommand struct {
	store.FlagChange
	silent bool
}

func (c *storeCommand) modifiers(d *imapwire.Decoder) {
	d.List(func() {
		if name := d.Word(); name != "UNCHANGEDSINCE" {
			d.Fail("unknown store modifier " + name)
		}
		d.Needs("CONDSTORE")
		d.Space()
		c.Conditional, c.UnchangedSince = true, d.ModSeq()
	})
}

func (s *session) storeFlags(ctx context.Context, set imapwire.NumSet, c storeCommand) error {
	v := s.view
	if v.examined {
		return errReadOnly
	}
	uids, err := v.resolve(set, s.byUID)
	if err != nil || len(uids) == 0 {
		return err
	}
	uids, _ = s.limit(uids)
	if c.Conditional {
		s.enable(condstore)
	}
	modified, gone, err := s.setFlags(ctx, uids, &c)
	if err != nil {
		return err
	}
	if c.Conditional {
		// RFC 7162 §3.1.3: what was stored tells its mod-sequence, and what
		// was not is told as it is.
		v.touched = uids.Minus(gone)
		v.echo = mail.UIDSetOf(slices.Concat(v.echo, modified)...)
	}
	if len(modified) > 0 {
		s.code = "MODIFIED " + v.setText(modified, s.byUID)
	}
	if len(gone) > 0 && !s.byUID && !c.silent { // RFC 2180 §4.2, RFC 7162 §3.1.3
		return &refusal{cmp.Or(s.code, kindCodes[errs.Expunged]), "some of the messages were expunged by another session; what is there was stored"}
	}
	return nil
}

// allow leaves of the change what the user has the rights for. It is refused if
// that is nothing (RFC 4314 §4).
func (c *storeCommand) allow(v *view, tx *store.Tx) error {
	box, err := tx.Snapshot().MailboxByID(v.box.ID)
	if err != nil {
		return err
	}
	rights := v.tree.rights(box)
	c.Lacks = flagRights &^ rights
	switch {
	case c.Lacks == 0:
		return nil
	case rights&flagRights == 0, !c.Flags.Equal(mail.Flags{}) && rights.Allowed(c.Flags).Equal(mail.Flags{}):
		return errNoFlags
	}
	c.Flags = rights.Allowed(c.Flags)
	return nil
}

// flagRights are those for flags.
const flagRights = mail.RightSeen | mail.RightWrite | mail.RightDeleted

var errNoFlags = errs.New("imapserver.store", errs.Denied, "you lack the rights for all of these flags; nothing was changed")

// setFlags changes flags and leaves it to sync to tell, except what the client
// asked not to be told. It returns whose change the condition forbade, and which
// messages were expunged meanwhile.
func (s *session) setFlags(ctx context.Context, uids mail.UIDSet, c *storeCommand) (modified, gone mail.UIDSet, err error) {
	v := s.view
	s.looked += int64(uids.Len())
	var modseq mail.ModSeq
	err = s.changeMany(ctx, v.tree, uids.Len(), func(tx *store.Tx) error {
		if err := c.allow(v, tx); err != nil {
			return err
		}
		modseq = tx.ModSeq()
		list, err := tx.Snapshot().Messages(ctx, v.box.ID)
		if err != nil {
			return err
		}
		gone = uids.Minus(list.Existing(uids))
		modified, err = tx.SetFlags(v.box.ID, uids, c.FlagChange)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if c.silent {
		v.silent = silentStore{modseq, c.FlagChange}
	} else {
		v.echo = uids.Minus(gone)
	}
	return modified, gone, nil
}
