package store

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"maps"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// AccessKey is a mailbox access key (RFC 4467 §2.2): the secret that URLs of
// one mailbox are authorized with. It belongs to the mailbox's id, so that a
// mailbox made later under the same name does not have it. The zero value is no
// key.
type AccessKey struct {
	secret accessSecret
	reset  bool // made by ResetAccessKey
}

type accessSecret [32]byte

// plausible reports whether a key was made at all.
func (k AccessKey) plausible() bool { return k.secret != accessSecret{} }

// Token returns the HMAC-SHA-256 of a text, which nobody can compute who does
// not know the key. Without a key it is that of a key which is forgotten at
// once, so that it takes as long and fits nothing (RFC 4467 §6).
func (k AccessKey) Token(text string) []byte {
	if !k.plausible() {
		rand.Read(k.secret[:])
	}
	m := hmac.New(sha256.New, k.secret[:])
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Revokes reports whether URLs that were authorized with an older key of the
// mailbox, or would have been, are no longer. The first key, which somebody
// needed for a URL, revokes nothing.
func (k AccessKey) Revokes(older AccessKey) bool {
	return k != older && (older.plausible() || k.reset)
}

// AccessKey returns a mailbox's key, perhaps none.
func (v *Snapshot) AccessKey(mb MailboxID) AccessKey { return v.keys[mb] }

// AccessKey returns a mailbox's key, made if there is none. Errors: NotFound,
// Invalid (only a name).
func (tx *Tx) AccessKey(mb MailboxID) (AccessKey, error) {
	if k, ok := tx.next.keys[mb]; ok {
		return k, nil
	}
	return tx.makeAccessKey(mb, false)
}

// ResetAccessKey gives a mailbox a new key. Errors: as AccessKey.
func (tx *Tx) ResetAccessKey(mb MailboxID) (AccessKey, error) { return tx.makeAccessKey(mb, true) }

func (tx *Tx) makeAccessKey(mb MailboxID, reset bool) (k AccessKey, err error) {
	box, err := tx.next.MailboxByID(mb)
	if err != nil {
		return k, err
	}
	if box.NoSelect {
		return k, errs.New("store.AccessKey", errs.Invalid, "this is only a name above other mailboxes")
	}
	k.reset = reset
	rand.Read(k.secret[:])
	tx.ownKeys()
	tx.next.keys[mb] = k
	tx.batch.Put(key8(rowAccessKey, uint64(mb)), k.encode())
	tx.changed = true
	return k, nil
}

// DropAccessKeys removes the keys of all mailboxes.
func (tx *Tx) DropAccessKeys() {
	if len(tx.next.keys) > 0 {
		tx.next.keys = nil
		tx.batch.DeleteRange([]byte{rowAccessKey}, []byte{rowAccessKey + 1})
		tx.changed = true
	}
}

// dropAccessKey removes the key of a mailbox that is deleted.
func (tx *Tx) dropAccessKey(mb MailboxID) {
	if _, ok := tx.next.keys[mb]; ok {
		tx.ownKeys()
		delete(tx.next.keys, mb)
		tx.batch.Delete(key8(rowAccessKey, uint64(mb)))
	}
}

// ownKeys makes the map of keys the Tx's own.
func (tx *Tx) ownKeys() {
	if tx.next.keys = maps.Clone(tx.next.keys); tx.next.keys == nil {
		tx.next.keys = map[MailboxID]AccessKey{}
	}
}

func (k AccessKey) encode() []byte {
	reset := uint64(0)
	if k.reset {
		reset = 1
	}
	return append(putUint([]byte{rowVersion}, reset), k.secret[:]...)
}

func decodeAccessKey(b []byte) (k AccessKey, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return k, false
	}
	r := row{b: b[1:]}
	k.reset = r.uint() != 0
	n := copy(k.secret[:], r.b)
	return k, !r.bad && n == len(k.secret) && k.plausible()
}

// readAccessKeys reads all keys.
func readAccessKeys(snap engine.Snapshot) (keys map[MailboxID]AccessKey, err error) {
	const op = "store.readAccessKeys"
	for p, err := range snap.Scan([]byte{rowAccessKey}, []byte{rowAccessKey + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		k, ok := decodeAccessKey(p.Value)
		if !ok || len(p.Key) != 9 {
			return nil, corruptRow(op, "an access key cannot be read")
		}
		if keys == nil {
			keys = map[MailboxID]AccessKey{}
		}
		keys[MailboxID(decodeID(p.Key[1:]))] = k
	}
	return keys, nil
}
