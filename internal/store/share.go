package store

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/engine"
)

// Which accounts share mailboxes with a user is in the registry, so that LIST
// opens no others. An entry there is a hint: it is written before the commit
// that grants something and removed after the one that takes the last right
// away, with the account's lock held. So none is ever missing, and one too many,
// which a crash may leave, costs a look.

// rowShare in the registry's space, with an account and whom it shares with.
const rowShare = 'h'

func shareKey(id AccountID, sharee string) []byte {
	return append(key8(rowShare, uint64(id)), sharee...)
}

// shareIndex is these rows in memory.
type shareIndex struct {
	with map[string]map[AccountID]bool // whom, then who
	by   map[AccountID]map[string]bool // who, then whom
}

func newShareIndex() shareIndex {
	return shareIndex{map[string]map[AccountID]bool{}, map[AccountID]map[string]bool{}}
}

// note brings it up to a row that is there or not, and returns with whom
// something is shared now.
func (x *shareIndex) note(key []byte, is bool) (sharee string) {
	if len(key) < 10 {
		return "" // of any damage: Repair writes what is missing
	}
	id, sharee := AccountID(decodeID(key[1:9])), string(key[9:])
	if !is {
		delete(x.with[sharee], id)
		delete(x.by[id], sharee)
		return ""
	}
	if x.with[sharee] == nil {
		x.with[sharee] = map[AccountID]bool{}
	}
	if x.by[id] == nil {
		x.by[id] = map[string]bool{}
	}
	x.with[sharee][id], x.by[id][sharee] = true, true
	return sharee
}

// Sharers returns the accounts that may share mailboxes with a user, by name: at
// most limit of them. It costs no I/O.
func (s *Store) Sharers(user string, limit int) (all []AccountInfo) {
	r := &s.registry
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, sharee := range []string{user, Anyone} {
		for id := range r.shares.with[sharee] {
			if a := r.byName[r.ids[id]]; r.shared(a, user) && (sharee == user || !r.shares.with[user][id]) {
				all = append(all, a)
			}
		}
	}
	slices.SortFunc(all, func(a, b AccountInfo) int { return strings.Compare(a.Name, b.Name) })
	return all[:min(len(all), limit)]
}

// MayShare reports whether an account, by its name, may share mailboxes with a
// user. It costs no I/O, whether there is such an account or not.
func (s *Store) MayShare(owner, user string) (AccountID, bool) {
	r := &s.registry
	r.mu.RLock()
	defer r.mu.RUnlock()
	a := r.byName[owner]
	return a.ID, r.shared(a, user)
}

// shared reports whether an account may share mailboxes with a user.
func (r *registry) shared(a AccountInfo, user string) bool {
	return a.ID != 0 && a.Name != user && (r.shares.with[user][a.ID] || r.shares.with[Anyone][a.ID] && domainOf(a.Name) == domainOf(user))
}

// sharees returns with whom the registry says that an account shares.
func (r *registry) sharees(id AccountID) map[string]bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return maps.Clone(r.shares.by[id])
}

// hintShares has the registry say with whom an account shares: with these, and
// unless only is set with whom it said before. Whoever is new is woken.
func (s *Store) hintShares(ctx context.Context, id AccountID, sharees map[string]bool, only bool) error {
	have := s.registry.sharees(id)
	var b engine.Batch
	for sharee := range sharees {
		if !have[sharee] {
			b.Put(shareKey(id, sharee), []byte{rowVersion})
		}
	}
	for sharee := range have {
		if only && !sharees[sharee] {
			b.Delete(shareKey(id, sharee))
		}
	}
	if len(b.Ops) == 0 {
		return nil
	}
	return s.registry.update(ctx, func(out *engine.Batch) error {
		out.Ops = append(out.Ops, b.Ops...)
		return nil
	})
}
