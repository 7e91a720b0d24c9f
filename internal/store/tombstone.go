package store

import (
	"context"
	"encoding/binary"
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
	return b
}

func decodeTombstone(b []byte) (t tombstone, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return t, false
	}
	r := row{b: b[1:]}
	t.at = r.int()
	for n := r.uint(); n > 0 && !r.bad && len(r.b) > 0; n-- {
		t.uids = append(t.uids, mail.UIDRange{First: mail.UID(r.uint()), Last: mail.UID(r.uint())})
	}
	n := r.uint()
	if n == 0 {
		return t, !r.bad
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
	before := s.opts.Now().Add(-max(s.opts.ExpungeRetention, 0)).Unix()
	for info := range s.AccountInfos(ctx) {
		a, err := s.Account(ctx, info.ID)
		if err == nil {
			err = a.purge(ctx, before)
		}
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		select {
		case <-s.stop:
			return nil
		default:
		}
	}
	return s.purgeDeleted(ctx, before)
}

// purgeMax is how many tombstones one commit purges.
const purgeMax = 100

// purge drops the blobs of old tombstones, which keep their UIDs.
func (a *Account) purge(ctx context.Context, before int64) error {
	for {
		n := 0
		_, err := a.Update(ctx, func(tx *Tx) error {
			snap, err := a.space.Snapshot()
			if err != nil {
				return err
			}
			defer snap.Close()
			n = 0
			for p, err := range snap.Scan([]byte{rowTombstone}, []byte{rowTombstone + 1}) {
				if err != nil {
					return err
				}
				t, ok := decodeTombstone(p.Value)
				if !ok || len(t.messages) == 0 || t.at > before {
					continue
				}
				if n++; n > purgeMax {
					break
				}
				for i := range t.messages {
					tx.batch.Drop(t.messages[i].Blob)
				}
				t.messages = nil
				tx.batch.Put(slices.Clone(p.Key), t.encode(nil))
				tx.changed = true
			}
			return nil
		})
		if err != nil || n <= purgeMax {
			return err
		}
	}
}

// purgeDeleted clears the spaces of accounts deleted long ago.
func (s *Store) purgeDeleted(ctx context.Context, before int64) error {
	snap, err := s.registry.space.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	for p, err := range snap.Scan([]byte{rowGone}, []byte{rowGone + 1}) {
		if err != nil {
			return err
		}
		r := row{b: p.Value[min(1, len(p.Value)):]}
		if len(p.Key) != 9 || r.int() > before {
			continue
		}
		if err := s.clearSpace(ctx, engine.SpaceID(binary.BigEndian.Uint64(p.Key[1:]))); err != nil {
			return err
		}
		key := slices.Clone(p.Key)
		if err := s.registry.update(ctx, func(b *engine.Batch) error { b.Delete(key); return nil }); err != nil {
			return err
		}
	}
	return nil
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
