package imapserver

import (
	"context"
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// statusItem appends the value of one data item of STATUS.
type statusItem func(ctx context.Context, s *session, dst []byte, x sight, box *store.Mailbox) ([]byte, error)

// statusItems holds the data items (RFC 3501 §6.3.10, RFC 7162 §3.1.7,
// RFC 7889 §3.1, RFC 8438, RFC 8474 §4.3, RFC 9051 §6.3.11, RFC 9208 §4.1.4).
var statusItems = map[string]statusItem{
	"MESSAGES":    counter(func(b *store.Mailbox) uint64 { return uint64(b.Messages) }),
	"UIDNEXT":     counter(func(b *store.Mailbox) uint64 { return uint64(b.UIDNext) }),
	"UIDVALIDITY": counter(func(b *store.Mailbox) uint64 { return uint64(b.UIDValidity) }),
	"UNSEEN":      counter(func(b *store.Mailbox) uint64 { return uint64(b.Unseen) }),
	"DELETED":     counter(func(b *store.Mailbox) uint64 { return uint64(b.Deleted) }),
	"SIZE":        counter(func(b *store.Mailbox) uint64 { return uint64(b.Size) }),
	"RECENT":      statusRecent,

	"HIGHESTMODSEQ": counter(func(b *store.Mailbox) uint64 { return uint64(b.ModSeq) }),
	"MAILBOXID":     statusMailboxID,
	"APPENDLIMIT":   statusAppendLimit,

	"DELETED-STORAGE": statusDeletedStorage,
}

// statusCapabilities holds those of items that came with an extension.
var statusCapabilities = map[string]string{
	"SIZE": "STATUS=SIZE", "HIGHESTMODSEQ": "CONDSTORE", "MAILBOXID": "OBJECTID", "APPENDLIMIT": "APPENDLIMIT", "DELETED-STORAGE": "QUOTA=RES-STORAGE",
}

// counter is an item that the mailbox itself knows.
func counter(get func(b *store.Mailbox) uint64) statusItem {
	return func(_ context.Context, _ *session, dst []byte, _ sight, b *store.Mailbox) ([]byte, error) {
		return strconv.AppendUint(dst, get(b), 10), nil
	}
}

func statusAppendLimit(_ context.Context, s *session, dst []byte, _ sight, _ *store.Mailbox) ([]byte, error) {
	return strconv.AppendInt(dst, s.opts.MessageMax, 10), nil
}

func statusMailboxID(_ context.Context, _ *session, dst []byte, x sight, b *store.Mailbox) ([]byte, error) {
	return append(append(append(dst, '('), x.ids.Mailbox(b.ID)...), ')'), nil
}

// statusDeletedStorage is the octets that EXPUNGE would free (RFC 9208 §4.1.4).
func statusDeletedStorage(ctx context.Context, _ *session, dst []byte, x sight, b *store.Mailbox) ([]byte, error) {
	if b.Deleted == 0 {
		return append(dst, '0'), nil
	}
	list, err := x.Messages(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	octets := store.Octets(0)
	for _, m := range list.Range(0, list.Len()) {
		if m.Flags.Has(mail.Deleted) {
			octets += m.Size
		}
	}
	return strconv.AppendInt(dst, int64(octets), 10), nil
}

// statusRecent counts the messages that the next session to select would be
// given as \Recent, without giving them to anybody.
func statusRecent(ctx context.Context, _ *session, dst []byte, x sight, b *store.Mailbox) ([]byte, error) {
	from := x.acct.RecentFrom(b)
	if from >= b.UIDNext || b.Messages == 0 {
		return append(dst, '0'), nil
	}
	list, err := x.Messages(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	i, _ := list.Find(from)
	return strconv.AppendInt(dst, int64(list.Len()-i), 10), nil
}

// parseStatus is STATUS.
func parseStatus(s *session, d *imapwire.Decoder) request {
	d.Space()
	name := d.Mailbox()
	d.Space()
	items := parseStatusItems(d)
	return func(ctx context.Context, s *session) error {
		s.enableByStatus(items)
		x, box, err := s.mailbox(ctx, name)
		if err != nil {
			return err
		}
		if box.NoSelect {
			return errs.New("imapserver.status", errs.Invalid, "this is only a name above other mailboxes")
		}
		return s.tellStatus(ctx, x, box, items)
	}
}

// enableByStatus enables CONDSTORE for who asks for HIGHESTMODSEQ (RFC 7162
// §3.1).
func (s *session) enableByStatus(items []string) {
	if slices.Contains(items, "HIGHESTMODSEQ") {
		s.enable(condstore)
	}
}

func parseStatusItems(d *imapwire.Decoder) (items []string) {
	d.List(func() {
		item := d.Word()
		if statusItems[item] == nil {
			d.Fail("unknown status item " + item)
		}
		d.Needs(statusCapabilities[item])
		items = append(items, item)
	})
	if len(items) == 0 {
		d.Fail("expected a status item")
	}
	return items
}

func (s *session) tellStatus(ctx context.Context, x sight, box *store.Mailbox, items []string) error {
	b := s.mailboxLine(nil, "STATUS", x.name(box))
	b = append(b, " ("...)
	for i, item := range items {
		if i > 0 {
			b = append(b, ' ')
		}
		var err error
		if b, err = statusItems[item](ctx, s, append(append(b, item...), ' '), x, box); err != nil {
			return err
		}
	}
	s.conn.Write(append(b, ")\r\n"...))
	return nil
}
