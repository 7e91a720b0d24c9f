package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// statusItem computes one data item of STATUS.
type statusItem func(ctx context.Context, s *session, v *store.Snapshot, box *store.Mailbox) (uint64, error)

// statusItems holds the data items (RFC 3501 §6.3.10, RFC 8438).
var statusItems = map[string]statusItem{
	"MESSAGES":    counter(func(b *store.Mailbox) uint64 { return uint64(b.Messages) }),
	"UIDNEXT":     counter(func(b *store.Mailbox) uint64 { return uint64(b.UIDNext) }),
	"UIDVALIDITY": counter(func(b *store.Mailbox) uint64 { return uint64(b.UIDValidity) }),
	"UNSEEN":      counter(func(b *store.Mailbox) uint64 { return uint64(b.Unseen) }),
	"SIZE":        counter(func(b *store.Mailbox) uint64 { return uint64(b.Size) }),
	"RECENT":      statusRecent,
}

// counter is an item that the mailbox itself knows.
func counter(get func(b *store.Mailbox) uint64) statusItem {
	return func(_ context.Context, _ *session, _ *store.Snapshot, b *store.Mailbox) (uint64, error) {
		return get(b), nil
	}
}

// statusRecent counts the messages that the next session to select would be
// given as \Recent, without giving them to anybody.
func statusRecent(ctx context.Context, s *session, v *store.Snapshot, b *store.Mailbox) (uint64, error) {
	from := s.acct.RecentFrom(b)
	if from >= b.UIDNext || b.Messages == 0 {
		return 0, nil
	}
	list, err := v.Messages(ctx, b.ID)
	if err != nil {
		return 0, err
	}
	i, _ := list.Find(from)
	return uint64(list.Len() - i), nil
}

// parseStatus is STATUS.
func parseStatus(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	d.Space()
	items := parseStatusItems(d)
	return func(ctx context.Context, s *session) error {
		v, err := s.acct.Snapshot()
		if err != nil {
			return err
		}
		box, err := v.Mailbox(name)
		if err != nil {
			return err
		}
		if box.NoSelect {
			return errs.New("imapserver.status", errs.Invalid, "this is only a name above other mailboxes")
		}
		return s.tellStatus(ctx, v, box, items)
	}
}

func parseStatusItems(d *imapwire.Decoder) (items []string) {
	d.List(func() {
		item := d.Word()
		if statusItems[item] == nil {
			d.Fail("unknown status item " + item)
		}
		items = append(items, item)
	})
	if len(items) == 0 {
		d.Fail("expected a status item")
	}
	return items
}

func (s *session) tellStatus(ctx context.Context, v *store.Snapshot, box *store.Mailbox, items []string) error {
	b := mailboxLine(nil, "STATUS", box.Name)
	b = append(b, " ("...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		n, err := statusItems[item](ctx, s, v, box)
		if err != nil {
			return err
		}
		b = append(append(b, item...), ' ')
		b = strconv.AppendUint(b, n, 10)
	}
	s.conn.Write(append(b, ")\r\n"...))
	return nil
}
