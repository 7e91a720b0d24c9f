package store

import (
	"encoding/binary"
	"slices"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Vanished returns the UIDs that were expunged from a mailbox behind a
// mod-sequence (RFC 7162 §3.2.6). Tombstones are kept for ever, so the answer
// is exact for any mod-sequence. Errors: Corrupt.
func (a *Account) Vanished(mb MailboxID, since mail.ModSeq) (mail.UIDSet, error) {
	const op = "store.Vanished"
	snap, err := a.space.Snapshot()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	defer snap.Close()
	prefix := key8(rowTombstone, uint64(mb))
	from := binary.BigEndian.AppendUint64(slices.Clone(prefix), uint64(since)+1)
	var gone []mail.UIDRange
	for p, err := range snap.Scan(from, prefixEnd(prefix)) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		t, _, ok := decodeTombstoneUIDs(p.Value)
		if !ok {
			return nil, corruptRow(op, "a tombstone cannot be read")
		}
		gone = append(gone, t.uids...)
	}
	return mail.UIDSetOf(gone...), nil
}
