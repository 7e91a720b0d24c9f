package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// Limits of push registrations.
const (
	PushesMax        = 20                  // of one account; the one renewed longest ago goes
	PushMailboxesMax = 100                 // of one registration
	PushTime         = 30 * 24 * time.Hour // how long one holds; devices renew theirs every day
)

// Push registers a device that is told of new messages (XAPPLEPUSHSERVICE). It
// names mailboxes by id, so that one made later under the same name is not told
// of, and the login that made it by its Credential.
type Push struct {
	Device     string // octets of the token that Apple gave the device
	AccountID  string // the device's own name for the account
	Version    int    // of the extension that the device speaks
	Credential Credential
	Mailboxes  []MailboxID // sorted
	Renewed    time.Time   // in whole seconds
}

// is reports whether it is the registration of a device for its account.
func (p *Push) is(device, accountID string) bool {
	return p.Device == device && p.AccountID == accountID
}

// Short names the device in logs and lists: with the whole token anybody who may
// push could reach it.
func (p *Push) Short() string { return hex.EncodeToString([]byte(p.Device[:min(len(p.Device), 4)])) }

// Credential stands for a password that was right: it is a digest of the
// stored hash, and tells nothing of the password.
type Credential [8]byte

// CredentialOf returns the Credential of a stored hash.
func CredentialOf(password string) (c Credential) {
	sum := sha256.Sum256([]byte(password))
	copy(c[:], sum[:])
	return c
}

// Pushes returns the registrations that hold now: those renewed in time by a
// device that could still log in as it did (reliability paper A29). They are in
// no order.
func (v *Snapshot) Pushes() (all []Push) {
	if len(v.pushes) == 0 {
		return nil
	}
	info := v.acct.s.registry.byID(v.acct.id)
	if info.ID != v.acct.id || info.Disabled {
		return nil
	}
	credential, now := CredentialOf(info.Password), v.acct.s.opts.Now()
	for _, p := range v.pushes {
		if p.Credential == credential && now.Sub(p.Renewed) < PushTime {
			all = append(all, p)
		}
	}
	return all
}

// RegisterPush adds a registration, or replaces the one that the device has for
// its account. Renewed is set. Errors: Invalid (no mailbox, or only a name),
// NotFound, Limit.
func (tx *Tx) RegisterPush(p Push) error {
	const op = "store.RegisterPush"
	p.Mailboxes = slices.Clone(p.Mailboxes)
	slices.Sort(p.Mailboxes)
	p.Mailboxes = slices.Compact(p.Mailboxes)
	switch n := len(p.Mailboxes); {
	case n == 0:
		return errs.New(op, errs.Invalid, "there is no mailbox to be told of")
	case n > PushMailboxesMax:
		return errs.New(op, errs.Limit, "there are too many mailboxes")
	}
	for _, id := range p.Mailboxes {
		if box, err := tx.next.MailboxByID(id); err != nil {
			return err
		} else if box.NoSelect {
			return errs.New(op, errs.Invalid, "this is only a name above other mailboxes")
		}
	}
	now := tx.a.s.opts.Now()
	p.Renewed = time.Unix(now.Unix(), 0)
	tx.keepPushes(func(old *Push) bool { return now.Sub(old.Renewed) < PushTime && !old.is(p.Device, p.AccountID) })
	for len(tx.next.pushes) >= PushesMax {
		oldest := slices.MinFunc(tx.next.pushes, func(a, b Push) int { return a.Renewed.Compare(b.Renewed) })
		tx.keepPushes(func(old *Push) bool { return !old.is(oldest.Device, oldest.AccountID) })
	}
	tx.putPush(append(slices.Clip(tx.next.pushes), p))
	return nil
}

// putPush writes the last of the registrations.
func (tx *Tx) putPush(all []Push) {
	p := &all[len(all)-1]
	tx.next.pushes = all
	tx.batch.Put(pushKey(p.Device, p.AccountID), p.encode())
	tx.changed = true
}

// DropPush removes a device's registration unless it was renewed after a time.
func (tx *Tx) DropPush(device, accountID string, until time.Time) {
	tx.keepPushes(func(p *Push) bool { return !p.is(device, accountID) || p.Renewed.After(until) })
}

// keepPushes removes all registrations but those to be kept.
func (tx *Tx) keepPushes(keep func(*Push) bool) {
	var kept []Push
	for i := range tx.next.pushes {
		p := &tx.next.pushes[i]
		if keep(p) {
			kept = append(kept, *p)
			continue
		}
		tx.batch.Delete(pushKey(p.Device, p.AccountID))
		tx.changed = true
	}
	tx.next.pushes = kept
}

// dropPushMailbox takes a mailbox that is deleted out of the registrations.
func (tx *Tx) dropPushMailbox(mb MailboxID) {
	for _, p := range tx.next.pushes {
		i, ok := slices.BinarySearch(p.Mailboxes, mb)
		if !ok {
			continue
		}
		p.Mailboxes = slices.Delete(slices.Clone(p.Mailboxes), i, i+1)
		tx.keepPushes(func(old *Push) bool { return !old.is(p.Device, p.AccountID) })
		if len(p.Mailboxes) > 0 {
			tx.putPush(append(slices.Clip(tx.next.pushes), p))
		}
	}
}

// WatchPushes has wake called after each commit to an account that devices are
// registered for, with the account as it was before; nil ends that. It is
// called with locks held: it must not wait for anything and not use the account.
func (s *Store) WatchPushes(wake func(a *Account, before *Snapshot)) {
	if wake == nil {
		s.pushes.Store(nil)
		return
	}
	s.pushes.Store(&wake)
}

// wakePushes tells who watches for devices.
func (a *Account) wakePushes(before, now *Snapshot) {
	if len(now.pushes) == 0 {
		return
	}
	if wake := a.s.pushes.Load(); wake != nil {
		(*wake)(a, before)
	}
}

func pushKey(device, accountID string) []byte {
	return append(putString([]byte{rowPush}, device), accountID...)
}

func (p *Push) encode() []byte {
	b := append(putUint([]byte{rowVersion}, uint64(p.Version)), p.Credential[:]...)
	b = putUint(putInt(b, p.Renewed.Unix()), uint64(len(p.Mailboxes)))
	for _, id := range p.Mailboxes {
		b = putUint(b, uint64(id))
	}
	return b
}

// decodePush reads a registration. Its mailboxes must be sorted.
func decodePush(key, b []byte) (p Push, ok bool) {
	if len(key) == 0 || len(b) == 0 || b[0] != rowVersion {
		return p, false
	}
	k := row{b: key[1:]}
	p.Device, p.AccountID = k.string(), string(k.b)
	r := row{b: b[1:]}
	p.Version = int(r.uint())
	r.b = r.b[copy(p.Credential[:], r.b):]
	p.Renewed = time.Unix(r.int(), 0)
	n := r.uint()
	if n > PushMailboxesMax || n > uint64(len(r.b)) {
		return p, false
	}
	for range n {
		p.Mailboxes = append(p.Mailboxes, MailboxID(r.uint()))
	}
	return p, !k.bad && !r.bad && n > 0 && slices.IsSorted(p.Mailboxes) && bytes.Equal(key, pushKey(p.Device, p.AccountID))
}

// readPushes reads all registrations.
func readPushes(snap engine.Snapshot) (all []Push, err error) {
	const op = "store.readPushes"
	for pair, err := range snap.Scan([]byte{rowPush}, []byte{rowPush + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		p, ok := decodePush(pair.Key, pair.Value)
		if !ok {
			return nil, corruptRow(op, "a push registration cannot be read")
		}
		all = append(all, p)
	}
	return all, nil
}
