package imapserver

import (
	"context"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// parseSubscribe is SUBSCRIBE (RFC 3501 §6.3.6). The mailbox need not exist.
func parseSubscribe(s *session, d *imapwire.Decoder) request {
	return subscription(d, (*store.Tx).Subscribe)
}

// parseUnsubscribe is UNSUBSCRIBE (RFC 3501 §6.3.7).
func parseUnsubscribe(s *session, d *imapwire.Decoder) request {
	return subscription(d, (*store.Tx).Unsubscribe)
}

func subscription(d *imapwire.Decoder, change func(*store.Tx, string) error) request {
	d.Space()
	name := d.Mailbox()
	return func(ctx context.Context, s *session) error {
		if canonical, err := canonicalName(name); err == nil {
			name = canonical
		}
		return s.update(ctx, func(tx *store.Tx) error { return change(tx, name) })
	}
}
