package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// AccountInfo is what the registry knows of an account.
type AccountInfo struct {
	ID       AccountID
	Name     string // canonical (CanonicalAccount)
	Password string // a hash with its scheme; opaque to the store
	Created  time.Time
	Disabled bool
	// Retention is how long the account's expunged mail is kept: 0 as the
	// store's options say, negative not at all.
	Retention time.Duration
	Quota     Quota // its own; QuotaOf tells what holds
}

const (
	registrySpace engine.SpaceID = 1
	firstAccount  AccountID      = 16
	accountMax                   = 320 // octets of a name: RFC 5321 §4.5.3.1
	rowName                      = 'u' // name: AccountInfo
	rowNextID                    = 'n'
	rowGone                      = 'g' // account id: when it was deleted, and what it was
)

// CanonicalAccount returns the one form of an account's name: an address in
// lower case. Errors: Invalid.
func CanonicalAccount(name string) (string, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	local, domain, ok := strings.Cut(name, "@")
	bad := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`"()<>,;:\[]%*`, r) || r == unicode.ReplacementChar
	}
	if !ok || local == "" || domain == "" || len(name) > accountMax || strings.ContainsFunc(local, bad) ||
		strings.ContainsFunc(domain, func(r rune) bool { return bad(r) || r == '@' || r == '/' }) {
		return "", errs.New("store.CanonicalAccount", errs.Invalid, "an account's name is an address like name@domain")
	}
	return name, nil
}

// registry is the names of all accounts, in memory and in a space of its own.
type registry struct {
	s     *Store
	space engine.Space
	write sync.Mutex

	mu      sync.RWMutex
	version engine.Version
	nextID  AccountID
	byName  map[string]AccountInfo
	ids     map[AccountID]string // name
	shares  shareIndex
}

func (r *registry) open(ctx context.Context, s *Store) error {
	r.s = s
	space, err := s.engine.Space(ctx, registrySpace)
	if err != nil {
		return errs.Wrap("store.Open", err)
	}
	r.space = space
	return r.reload()
}

func (r *registry) reload() error {
	const op = "store.registry"
	snap, err := r.space.Snapshot()
	if err != nil {
		return errs.Wrap(op, err)
	}
	defer snap.Close()
	byName, ids := map[string]AccountInfo{}, map[AccountID]string{}
	for p, err := range snap.Scan([]byte{rowName}, []byte{rowName + 1}) {
		if err != nil {
			return errs.Wrap(op, err)
		}
		a, ok := decodeInfo(string(p.Key[1:]), p.Value)
		if !ok {
			return corruptRow(op, "an account's entry cannot be read")
		}
		byName[a.Name], ids[a.ID] = a, a.Name
	}
	shares := newShareIndex()
	for p, err := range snap.Scan([]byte{rowShare}, []byte{rowShare + 1}) {
		if err != nil {
			return errs.Wrap(op, err)
		}
		shares.note(p.Key, true)
	}
	next := firstAccount
	if b, err := snap.Get([]byte{rowNextID}); err == nil && len(b) == 8 {
		next = AccountID(binary.BigEndian.Uint64(b))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version, r.nextID, r.byName, r.ids, r.shares = snap.Version(), next, byName, ids, shares
	return nil
}

func (a *AccountInfo) encode() []byte {
	disabled := uint64(0)
	if a.Disabled {
		disabled = 1
	}
	b := putUint([]byte{rowVersion}, uint64(a.ID))
	b = putUint(putInt(putString(b, a.Password), a.Created.Unix()), disabled)
	b = putInt(b, int64(a.Retention/time.Second))
	for _, limit := range a.Quota {
		b = putUint(b, limit)
	}
	return b
}

func decodeInfo(name string, b []byte) (AccountInfo, bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return AccountInfo{}, false
	}
	r := row{b: b[1:]}
	a := AccountInfo{Name: name, ID: AccountID(r.uint()), Password: r.string(), Created: time.Unix(r.int(), 0), Disabled: r.uint() != 0,
		Retention: time.Duration(r.int()) * time.Second}
	for i := range a.Quota {
		a.Quota[i] = r.uint()
	}
	return a, !r.bad
}

func (r *registry) has(id AccountID) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, ok := r.ids[id]
	return ok
}

// byID returns the entry of an account; empty where there is none.
func (r *registry) byID(id AccountID) AccountInfo {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[r.ids[id]]
}

// retention is how long an account's expunged mail is kept; 0: not at all.
func (s *Store) retention(a AccountInfo) time.Duration {
	if a.Retention != 0 {
		return max(a.Retention, 0)
	}
	return max(s.opts.ExpungeRetention, 0)
}

// retention of the account, whatever its name is now.
func (a *Account) retention() time.Duration { return a.s.retention(a.s.registry.byID(a.id)) }

// all returns the accounts by name.
func (r *registry) all() []AccountInfo {
	r.mu.RLock()
	all := slices.Collect(maps.Values(r.byName))
	r.mu.RUnlock()
	slices.SortFunc(all, func(a, b AccountInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (r *registry) find(name string) (AccountInfo, error) {
	if a, ok := r.findCanonical(name); ok { // sessions ask so before each command
		return a, nil
	}
	canonical, err := CanonicalAccount(name)
	if err == nil {
		if a, ok := r.findCanonical(canonical); ok {
			return a, nil
		}
	}
	return AccountInfo{}, errs.New("store.AccountInfo", errs.NotFound, "no such account")
}

func (r *registry) findCanonical(name string) (AccountInfo, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	a, ok := r.byName[name]
	return a, ok
}

// update commits one change to the registry. fn fills the batch and may run
// again.
func (r *registry) update(ctx context.Context, fn func(b *engine.Batch) error) error {
	r.write.Lock()
	defer r.write.Unlock()
	for range conflictsMax {
		var b engine.Batch
		if err := fn(&b); err != nil {
			return err
		}
		_, err := r.space.Commit(ctx, r.version, &b)
		if err == nil || errs.Is(err, errs.Conflict) {
			if rerr := r.apply(&b, err == nil); rerr != nil {
				return rerr
			}
		}
		if !errs.Is(err, errs.Conflict) {
			return errs.Wrap("store.registry", err)
		}
	}
	return errs.New("store.registry", errs.Temporary, "the registry is too busy")
}

// apply brings the memory up to a committed batch, or to the engine after a
// conflict.
func (r *registry) apply(b *engine.Batch, committed bool) error {
	if !committed {
		return r.reload()
	}
	for _, id := range r.applyOps(b) {
		r.s.wake(id)
	}
	return nil
}

// applyOps returns the accounts that are not as they were.
func (r *registry) applyOps(b *engine.Batch) (changed []AccountID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.version++
	for _, op := range b.Ops {
		name := string(op.Key[1:])
		switch {
		case op.Key[0] == rowNextID:
			r.nextID = AccountID(binary.BigEndian.Uint64(op.Value))
		case op.Key[0] == rowShare:
			if a, ok := r.byName[r.shares.note(op.Key, op.Kind == engine.OpPut)]; ok {
				changed = append(changed, a.ID)
			}
		case op.Key[0] == rowName && op.Kind == engine.OpPut:
			a, _ := decodeInfo(name, op.Value)
			r.byName[name], r.ids[a.ID] = a, name
			changed = append(changed, a.ID)
		case op.Key[0] == rowName:
			changed = append(changed, r.byName[name].ID)
			delete(r.ids, r.byName[name].ID)
			delete(r.byName, name)
		}
	}
	return changed
}

// wake tells the sessions of an account that they may have to end.
func (s *Store) wake(id AccountID) {
	s.mu.Lock()
	a := s.mu.accounts[id]
	s.mu.Unlock()
	if a != nil {
		a.wake()
	}
}

func nameKey(name string) []byte { return append([]byte{rowName}, name...) }

// defaultMailboxes are made with each account, subscribed.
var defaultMailboxes = []struct {
	name string
	use  mail.SpecialUse
}{
	{mail.Inbox, 0}, {"Archive", mail.UseArchive}, {"Drafts", mail.UseDrafts}, {"Junk", mail.UseJunk}, {"Sent", mail.UseSent}, {"Trash", mail.UseTrash},
}

// CreateAccount makes an account with INBOX and the special-use mailboxes. The
// account is durable before its name is. Errors: Exists, Invalid.
func (s *Store) CreateAccount(ctx context.Context, name, password string) (AccountInfo, error) {
	infos, err := s.CreateAccounts(ctx, []AccountInfo{{Name: name, Password: password}})
	if err != nil {
		return AccountInfo{}, err
	}
	return infos[0], nil
}

// CreateAccounts makes several accounts, all or none, with two syncs in all.
func (s *Store) CreateAccounts(ctx context.Context, infos []AccountInfo) ([]AccountInfo, error) {
	const op = "store.CreateAccount"
	infos = slices.Clone(infos)
	for i := range infos {
		name, err := CanonicalAccount(infos[i].Name)
		if err != nil {
			return nil, err
		}
		infos[i].Name, infos[i].Created = name, s.opts.Now()
	}
	err := s.registry.update(ctx, func(b *engine.Batch) error {
		next := s.registry.nextID
		seen := map[string]bool{}
		for i := range infos {
			if _, err := s.registry.find(infos[i].Name); err == nil || seen[infos[i].Name] {
				return errs.New(op, errs.Exists, infos[i].Name+" exists already")
			}
			seen[infos[i].Name] = true
			infos[i].ID = next
			next++
			b.Put(nameKey(infos[i].Name), infos[i].encode())
		}
		b.Put([]byte{rowNextID}, binary.BigEndian.AppendUint64(nil, uint64(next)))
		return s.makeSpaces(ctx, infos)
	})
	return infos, err
}

// makeSpaces commits the first rows of accounts whose names are not given yet.
func (s *Store) makeSpaces(ctx context.Context, infos []AccountInfo) error {
	failures := make([]error, len(infos))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range infos {
		slots <- struct{}{}
		wg.Go(func() {
			failures[i] = s.makeSpace(ctx, infos[i].ID)
			<-slots
		})
	}
	wg.Wait()
	return cmp.Or(failures...)
}

func (s *Store) makeSpace(ctx context.Context, id AccountID) error {
	space, err := s.engine.Space(ctx, engine.SpaceID(id))
	if err != nil {
		return errs.Wrap("store.CreateAccount", err)
	}
	a := &Account{s: s, id: id, space: space}
	base := &Snapshot{acct: a, account: accountRow{nextMailbox: 1, nextMessage: 1}}
	tx := begin(ctx, a, base)
	for _, d := range defaultMailboxes {
		if _, err := tx.CreateMailbox(d.name, CreateOptions{SpecialUse: d.use}); err != nil {
			return err
		}
		if err := tx.Subscribe(d.name); err != nil {
			return err
		}
	}
	tx.finish()
	_, err = space.Commit(ctx, 0, &tx.batch)
	if errs.Is(err, errs.Conflict) {
		return nil // made before a crash that came before its name was durable
	}
	return errs.Wrap("store.CreateAccount", err)
}

// AccountInfo finds an account by name. It costs no I/O. Errors: NotFound.
func (s *Store) AccountInfo(_ context.Context, name string) (AccountInfo, error) {
	return s.registry.find(name)
}

// AccountInfos yields all accounts by name.
func (s *Store) AccountInfos(context.Context) iter.Seq[AccountInfo] {
	return slices.Values(s.registry.all())
}

// SetPassword replaces the stored password hash. Errors: NotFound.
func (s *Store) SetPassword(ctx context.Context, name, password string) error {
	return s.edit(ctx, name, func(a *AccountInfo) { a.Password = password })
}

// SetRetention says how long an account's expunged mail is kept (see
// AccountInfo), also that which was expunged before. Errors: NotFound.
func (s *Store) SetRetention(ctx context.Context, name string, d time.Duration) error {
	return s.edit(ctx, name, func(a *AccountInfo) { a.Retention = d })
}

// edit changes what the registry knows of an account.
func (s *Store) edit(ctx context.Context, name string, change func(*AccountInfo)) error {
	return s.registry.update(ctx, func(b *engine.Batch) error {
		a, err := s.registry.find(name)
		if err != nil {
			return err
		}
		change(&a)
		b.Put(nameKey(a.Name), a.encode())
		return nil
	})
}

// DeleteAccount takes the account's name away at once; sessions that have it
// open fail at their next command. Its rows and mail go after the retention
// time. Errors: NotFound.
func (s *Store) DeleteAccount(ctx context.Context, name string) error {
	return s.registry.update(ctx, func(b *engine.Batch) error {
		a, err := s.registry.find(name)
		if err != nil {
			return err
		}
		b.Delete(nameKey(a.Name))
		b.Put(key8(rowGone, uint64(a.ID)), encodeGone(a, s.opts.Now()))
		return nil
	})
}

// GoneAccount is a deleted account whose mail is still there.
type GoneAccount struct {
	AccountInfo
	Deleted time.Time
}

func encodeGone(a AccountInfo, at time.Time) []byte {
	b := putString(putInt([]byte{rowVersion}, at.Unix()), a.Name)
	return append(b, a.encode()[1:]...)
}

func decodeGone(id AccountID, b []byte) (g GoneAccount, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return g, false
	}
	r := row{b: b[1:]}
	at, name := r.int(), r.string()
	info, ok := decodeInfo(name, append([]byte{rowVersion}, r.b...))
	info.ID = id
	return GoneAccount{info, time.Unix(at, 0)}, ok && !r.bad
}

// GoneAccounts returns the deleted accounts that can be restored, oldest first.
func (s *Store) GoneAccounts() (gone []GoneAccount, err error) {
	const op = "store.GoneAccounts"
	snap, err := s.registry.space.Snapshot()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	defer snap.Close()
	for p, err := range snap.Scan([]byte{rowGone}, []byte{rowGone + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		if len(p.Key) != 9 {
			return nil, corruptRow(op, "the row of a deleted account has no id")
		}
		g, ok := decodeGone(AccountID(binary.BigEndian.Uint64(p.Key[1:])), p.Value)
		if !ok {
			return nil, corruptRow(op, "the row of a deleted account cannot be read")
		}
		gone = append(gone, g)
	}
	slices.SortStableFunc(gone, func(a, b GoneAccount) int { return a.Deleted.Compare(b.Deleted) })
	return gone, nil
}

// findGone returns the account that was deleted last under a name.
func (s *Store) findGone(name string) (GoneAccount, error) {
	gone, err := s.GoneAccounts()
	if err != nil {
		return GoneAccount{}, err
	}
	for _, g := range slices.Backward(gone) {
		if g.Name == name {
			return g, nil
		}
	}
	return GoneAccount{}, errs.New("store.RestoreAccount", errs.NotFound, "no deleted account of this name is kept")
}

// RestoreAccount gives a deleted account its name back, or another one, with
// all it held and its password. Errors: NotFound, Exists, Invalid.
func (s *Store) RestoreAccount(ctx context.Context, name, as string) (AccountInfo, error) {
	as, err := CanonicalAccount(as)
	if err != nil {
		return AccountInfo{}, err
	}
	var info AccountInfo
	err = s.registry.update(ctx, func(b *engine.Batch) error {
		g, err := s.findGone(name)
		if err != nil {
			return err
		}
		if _, err := s.registry.find(as); err == nil {
			return errs.New("store.RestoreAccount", errs.Exists, as+" exists; name another with --as")
		}
		if _, _, err := s.Usage(ctx, g.ID); err != nil {
			return errs.As("store.RestoreAccount", errs.KindOf(err), "the account's mail is erased or damaged", err)
		}
		info = g.AccountInfo
		info.Name = as
		b.Put(nameKey(as), info.encode())
		b.Delete(key8(rowGone, uint64(g.ID)))
		return nil
	})
	return info, err
}

// EraseAccount lets go of a deleted account's mail before its time. It cannot
// be restored then. Errors: NotFound.
func (s *Store) EraseAccount(ctx context.Context, name string) error {
	g, err := s.findGone(name)
	if err != nil {
		return err
	}
	return s.forget(ctx, g)
}

// erased reports whether nothing is left in a deleted account's space: the
// erasure was cut short before the registry knew.
func erased(snap engine.Snapshot) bool {
	for range snap.Scan(nil, nil) {
		return false
	}
	return true
}

// forget clears the space of a deleted account.
func (s *Store) forget(ctx context.Context, g GoneAccount) error {
	if err := s.clearSpace(ctx, engine.SpaceID(g.ID)); err != nil {
		return err
	}
	return s.registry.update(ctx, func(b *engine.Batch) error {
		b.Delete(key8(rowGone, uint64(g.ID)))
		for sharee := range s.registry.sharees(g.ID) {
			b.Delete(shareKey(g.ID, sharee))
		}
		return nil
	})
}

// restorable returns all accounts, or the one of a name, with those that were
// deleted and are still there.
func (s *Store) restorable(name string) (all []AccountInfo, err error) {
	if name != "" {
		info, err := s.registry.find(name)
		if err != nil {
			return nil, err
		}
		return []AccountInfo{info}, nil
	}
	all = s.registry.all()
	gone, err := s.GoneAccounts()
	for _, g := range gone {
		g.Name += " (deleted)"
		all = append(all, g.AccountInfo)
	}
	return all, err
}
