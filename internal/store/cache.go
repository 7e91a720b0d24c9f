package store

import (
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/message"
)

// Known is what is known of a message without its octets.
type Known struct {
	*message.Summary
	// Forms are ways in which servers send what the summary holds, which they
	// gave to KeepForm; nil where they did not. They are read-only.
	Forms [FormsMax][]byte
	// Again tells that the message was asked for before, and may be once more.
	Again bool

	octets int64
}

const (
	FormsMax    = 3        // how many forms there can be
	formLenMax  = 16 << 10 // of one that is kept
	knownOctets = 500      // beside those of strings, about
)

// summaryCache keeps decoded summaries in two generations: when the young one
// is half of the limit, it becomes the old one, and the old one goes.
type summaryCache struct {
	max    int64 // octets
	mu     sync.RWMutex
	young  map[engine.BlobID]Known
	old    map[engine.BlobID]Known
	octets int64 // of the young
}

// get returns a Known without a summary where nothing is kept.
func (c *summaryCache) get(id engine.BlobID) Known {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if k, ok := c.young[id]; ok {
		return k
	}
	return c.old[id]
}

// drop forgets all of them.
func (c *summaryCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.octets = nil, nil, 0
}

func (c *summaryCache) put(id engine.BlobID, k Known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(id, k)
}

func (c *summaryCache) putLocked(id engine.BlobID, k Known) {
	if c.young == nil || c.octets+k.octets > c.max/2 {
		c.old, c.young, c.octets = c.young, map[engine.BlobID]Known{}, 0
	}
	c.octets += k.octets - c.young[id].octets
	c.young[id] = k
}

// putForm adds a form to what is kept of a message.
func (c *summaryCache) putForm(id engine.BlobID, form int, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.young[id]
	if !ok {
		k, ok = c.old[id]
	}
	if ok && k.Forms[form] == nil {
		k.Forms[form] = b
		k.octets += int64(len(b))
		c.putLocked(id, k)
	}
}
