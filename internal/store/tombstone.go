package store

import (
	"context"
	"slices"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// tombstone is what stays of messages that one Update expunged: their UIDs for
// ever, and for the retention time their rows, which keep their blobs.
type tombstone struct {
	at       int64 // seconds since 1970
	uids     mail.UIDSet
	keywords []string // of the mailbox then
	messages []Message
	// annotations are the rows of those of the messages that had some.
	annotations map[mail.UID][]byte
}

func (t *tombstone) encode(box *Mailbox) []byte {
	b := putInt([]byte{rowVersion}, t.at)
	b = putUint(b, uint64(len(t.uids)))
	for _, r := range t.uids {
		b = putUint(putUint(b, uint64(r.First)), uint64(r.Last))
	}
	b = putUint(b, uint64(len(t.messages)))
	if len(t.messages) == 0 {
		return b
	}
	b = putUint(b, uint64(len(box.Keywords)))
	for _, k := range box.Keywords {
		b = putString(b, k)
	}
	for i := range t.messages {
		b = appendMessage(putUint(b, uint64(t.messages[i].UID)), &t.messages[i], box)
	}
	return t.appendAnnotations(b)
}

// appendAnnotations appends the annotations of the messages that are still kept.
func (t *tombstone) appendAnnotations(b []byte) []byte {
	var with mail.UIDSet
	for i := range t.messages {
		if uid := t.messages[i].UID; t.annotations[uid] != nil {
			with = with.Append(uid)
		}
	}
	if len(with) == 0 {
		return b
	}
	b = putUint(b, uint64(with.Len()))
	for uid := range with.All() {
		b = putString(putUint(b, uint64(uid)), string(t.annotations[uid]))
	}
	return b
}

// decodeTombstoneUIDs reads a tombstone without its messages, which follow.
func decodeTombstoneUIDs(b []byte) (t tombstone, r row, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return t, r, false
	}
	r = row{b: b[1:]}
	t.at = r.int()
	for n := r.uint(); n > 0 && !r.bad && len(r.b) > 0; n-- {
		t.uids = append(t.uids, mail.UIDRange{First: mail.UID(r.uint()), Last: mail.UID(r.uint())})
	}
	return t, r, !r.bad
}

func decodeTombstone(b []byte) (t tombstone, ok bool) {
	t, r, ok := decodeTombstoneUIDs(b)
	n := r.uint()
	if !ok || n == 0 {
		return t, ok && !r.bad
	}
	box := &Mailbox{}
	for k := min(r.uint(), KeywordsMax); k > 0 && !r.bad; k-- {
		box.Keywords = append(box.Keywords, r.string())
	}
	t.keywords = box.Keywords
	for ; n > 0; n-- {
		uid := mail.UID(r.uint())
		m, ok := decodeMessage(uid, &r, box)
		if !ok {
			return t, false
		}
		t.messages = append(t.messages, m)
	}
	for n := r.uint(); n > 0 && !r.bad && len(r.b) > 0; n-- {
		if t.annotations == nil {
			t.annotations = map[mail.UID][]byte{}
		}
		uid := mail.UID(r.uint())
		t.annotations[uid] = []byte(r.string())
	}
	return t, !r.bad
}

func (s *Store) purgeLoop(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tick := time.NewTicker(s.opts.PurgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
			// What failed is tried again the next time.
			_ = s.Purge(ctx)
		}
	}
}

// Purge lets go of the octets of messages whose retention time is over, and
// of deleted accounts likewise.
func (s *Store) Purge(ctx context.Context) error {
	for info := range s.AccountInfos(ctx) {
		until := s.opts.Now().Add(-s.retention(info))
		if err := s.purgeAccount(ctx, info.ID, until); err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		select {
		case <-s.stop:
			return nil
		default:
		}
	}
	gone, err := s.GoneAccounts()
	if err != nil {
		return err
	}
	for _, g := range gone {
		if g.Deleted.After(s.opts.Now().Add(-s.retention(g.AccountInfo))) {
			continue
		}
		if err := s.forget(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// purgeAccount loads an account only if it has something to purge.
func (s *Store) purgeAccount(ctx context.Context, id AccountID, until time.Time) error {
	space, err := s.engine.Space(ctx, engine.SpaceID(id))
	if err != nil {
		return err
	}
	buried, err := readBuried(space)
	if err != nil || !slices.ContainsFunc(buried, func(b buriedBox) bool { return b.due(until) }) {
		return err
	}
	a, err := s.Account(ctx, id)
	if err != nil {
		return err
	}
	_, err = a.Erase(ctx, Selection{Until: until})
	return err
}

// clearSpace deletes all rows of an account and drops its blobs.
func (s *Store) clearSpace(ctx context.Context, id engine.SpaceID) error {
	space, err := s.engine.Space(ctx, id)
	if err != nil {
		return err
	}
	snap, err := space.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	var b engine.Batch
	for p, err := range snap.Scan([]byte{rowMessage}, []byte{rowTombstone + 1}) {
		if err != nil {
			return err
		}
		switch p.Key[0] {
		case rowMessage:
			if m, ok := decodeMessage(0, &row{b: p.Value}, &Mailbox{Keywords: make([]string, KeywordsMax)}); ok {
				b.Drop(m.Blob)
			}
		case rowTombstone:
			t, _ := decodeTombstone(p.Value)
			for i := range t.messages {
				b.Drop(t.messages[i].Blob)
			}
		}
	}
	b.DeleteRange([]byte{0}, []byte{0xff})
	_, err = space.Commit(ctx, snap.Version(), &b)
	return err
}
