package store

import (
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/message"
)

// summaryCache keeps decoded summaries in two generations: when the young one
// is half of the limit, it becomes the old one, and the old one goes.
type summaryCache struct {
	max    int64 // octets
	mu     sync.RWMutex
	young  map[engine.BlobID]*message.Summary
	old    map[engine.BlobID]*message.Summary
	octets int64 // of the young
}

func (c *summaryCache) get(id engine.BlobID) *message.Summary {
	c.mu.RLock()
	s := c.young[id]
	if s == nil {
		s = c.old[id]
	}
	c.mu.RUnlock()
	return s
}

// drop forgets all of them.
func (c *summaryCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.octets = nil, nil, 0
}

func (c *summaryCache) put(id engine.BlobID, s *message.Summary, octets int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || c.octets+octets > c.max/2 {
		c.old, c.young, c.octets = c.young, map[engine.BlobID]*message.Summary{}, 0
	}
	c.young[id] = s
	c.octets += octets
}
