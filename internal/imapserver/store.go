package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

var storeOps = map[string]store.FlagOp{"FLAGS": store.FlagsReplace, "+FLAGS": store.FlagsAdd, "-FLAGS": store.FlagsRemove}

// parseStore is STORE (RFC 3501 §6.4.6).
func parseStore(s *session, d *imapwire.Decoder) request {
	d.Space()
	set := d.NumSet()
	d.Space()
	item, silent := strings.CutSuffix(d.Word(), ".SILENT")
	op, ok := storeOps[item]
	if !ok {
		d.Fail("expected FLAGS, +FLAGS or -FLAGS")
	}
	d.Space()
	change := store.FlagChange{Op: op, Flags: d.StoreFlags()}
	return func(ctx context.Context, s *session) error { return s.storeFlags(ctx, set, change, silent) }
}

func (s *session) storeFlags(ctx context.Context, set imapwire.NumSet, change store.FlagChange, silent bool) error {
	v := s.view
	if v.readOnly {
		return errReadOnly
	}
	uids, err := v.resolve(set, s.byUID)
	if err != nil || len(uids) == 0 {
		return err
	}
	return s.setFlags(ctx, uids, change, silent)
}

// setFlags changes flags and leaves it to sync to tell, except what the client
// asked not to be told.
func (s *session) setFlags(ctx context.Context, uids mail.UIDSet, change store.FlagChange, silent bool) error {
	v := s.view
	var modseq mail.ModSeq
	_, err := s.acct.Update(ctx, func(tx *store.Tx) error {
		modseq = tx.ModSeq()
		_, err := tx.SetFlags(v.box.ID, uids, change)
		return err
	})
	if err != nil {
		return err
	}
	if silent {
		v.silent = silentStore{modseq, change}
	} else {
		v.echo = uids
	}
	return nil
}
