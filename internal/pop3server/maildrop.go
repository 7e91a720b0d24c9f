package pop3server

import (
	"context"
	"fmt"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// maildrop is the INBOX as one session sees it.
type maildrop struct {
	box     *store.Mailbox
	msgs    []*store.Message // message number n is msgs[n-1]
	deleted []bool           // by index
	seen    []bool           // retrieved
	octets  int64
}

// openDrop takes the snapshot. Where DELE only sets a flag, messages that have
// it are not there.
func openDrop(ctx context.Context, a *store.Account, flagOnly bool) (*maildrop, error) {
	v, err := a.Snapshot()
	if err != nil {
		return nil, err
	}
	inbox, err := v.Mailbox(mail.Inbox)
	if err != nil {
		return nil, err
	}
	d := &maildrop{}
	var list *store.MessageList
	if d.box, list, err = a.Messages(ctx, inbox.ID); err != nil {
		return nil, err
	}
	for _, m := range list.Range(0, list.Len()) {
		if flagOnly && m.Flags.Has(mail.Deleted) {
			continue
		}
		d.msgs = append(d.msgs, m)
		d.octets += m.Size
	}
	d.deleted, d.seen = make([]bool, len(d.msgs)), make([]bool, len(d.msgs))
	return d, nil
}

// uidl returns a message's unique id (RFC 1939 §7): the UID and the
// UIDVALIDITY in hexadecimal, which together never stand for another message.
func (d *maildrop) uidl(m *store.Message) string {
	return fmt.Sprintf("%08x%08x", uint32(m.UID), d.box.UIDValidity)
}

// update does what the session asked for, all or nothing.
func (d *maildrop) update(ctx context.Context, a *store.Account, o *Options) error {
	var gone, seen mail.UIDSet
	for i, m := range d.msgs {
		if d.deleted[i] {
			gone = gone.Append(m.UID)
		}
		if d.seen[i] && !o.KeepSeen {
			seen = seen.Append(m.UID)
		}
	}
	if len(gone) == 0 && len(seen) == 0 {
		return nil
	}
	_, err := a.Update(ctx, func(tx *store.Tx) error {
		if len(seen) > 0 {
			if _, err := tx.SetFlags(d.box.ID, seen, store.FlagChange{Op: store.FlagsAdd, Flags: mail.NewFlags(mail.Seen)}); err != nil {
				return err
			}
		}
		if o.FlagOnly {
			_, err := tx.SetFlags(d.box.ID, gone, store.FlagChange{Op: store.FlagsAdd, Flags: mail.NewFlags(mail.Deleted)})
			return err
		}
		_, err := tx.Expunge(d.box.ID, gone)
		return err
	})
	return err
}
