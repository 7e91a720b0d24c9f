package search

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/angarium/angarium/internal/store"
)

// keptMax is how many octets are kept, unless the options say otherwise.
const keptMax = 64 << 20

// keepable is something of a mailbox's messages that stays good: what it is made of
// never changes for a UID (RFC 3501 §2.3.1.1). It is not changed.
type keepable interface{ octets() int }

// keptKey says whose it is, and what.
type keptKey struct {
	account store.AccountID
	mailbox store.MailboxID
	what    string
}

type kept struct {
	keepable
	used uint64
}

// keeper keeps what was asked for last.
type keeper struct {
	mu     sync.Mutex
	kept   map[keptKey]*kept
	max    int // octets; 0: keptMax
	octets int
	clock  uint64
}

// get returns nil where nothing is kept.
func (c *keeper) get(key keptKey) keepable {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.kept[key]
	if k == nil {
		return nil
	}
	c.clock++
	k.used = c.clock
	return k.keepable
}

// limit is how many octets are kept at most.
func (c *keeper) limit() int { return cmp.Or(c.max, keptMax) }

func (c *keeper) put(key keptKey, v keepable) {
	if v.octets() > c.limit() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[keptKey]*kept{}
	}
	c.remove(key)
	for c.octets+v.octets() > c.limit() {
		c.remove(c.leastUsed())
	}
	c.clock++
	c.kept[key] = &kept{v, c.clock}
	c.octets += v.octets()
}

func (c *keeper) remove(key keptKey) {
	if k := c.kept[key]; k != nil {
		c.octets -= k.octets()
		delete(c.kept, key)
	}
}

// forget forgets what is kept of an account.
func (c *keeper) forget(id store.AccountID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.kept {
		if key.account == id {
			c.remove(key)
		}
	}
}

// drop forgets all of them.
func (c *keeper) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.octets = nil, 0
}

// byUse returns the keys, that of what was used last at the end.
func (c *keeper) byUse() []keptKey {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(maps.Keys(c.kept), func(a, b keptKey) int { return cmp.Compare(c.kept[a].used, c.kept[b].used) })
}

func (c *keeper) leastUsed() (least keptKey) {
	for key, k := range c.kept {
		if x := c.kept[least]; x == nil || k.used < x.used {
			least = key
		}
	}
	return least
}
