package store

import (
	"bytes"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/message"
)

// Known is what the store keeps of a message without its octets.
type Known struct {
	Summary *message.Summary // nil: not kept
	// Forms are ways in which servers send what the summary holds; nil where none
	// is kept. They are read-only.
	Forms [FormsMax][]byte

	octets int64 // of Summary, about
}

const (
	FormsMax      = 3        // how many forms there can be
	formLenMax    = 16 << 10 // of one that is kept
	knownOctets   = 200      // of one of which nothing is known, about
	summaryOctets = 300      // beside those of strings, about
)

// KeepForm copies a form, unless it is large or there is one.
func (k *Known) KeepForm(form int, b []byte) (kept bool) {
	if len(b) > formLenMax || k.Forms[form] != nil {
		return false
	}
	k.Forms[form] = bytes.Clone(b)
	return true
}

// size returns how many octets of memory it takes, about.
func (k *Known) size() int64 {
	n := knownOctets + k.octets
	for _, b := range k.Forms {
		n += int64(len(b))
	}
	return n
}

// add takes over what other has and k has not.
func (k *Known) add(other Known) {
	if k.Summary == nil {
		k.Summary, k.octets = other.Summary, other.octets
	}
	for i, b := range other.Forms {
		if k.Forms[i] == nil {
			k.Forms[i] = b
		}
	}
}

// summaryCache keeps what is known of messages in two generations: when the young
// one is half of the limit, it becomes the old one, and the old one goes.
type summaryCache struct {
	max    int64 // octets
	mu     sync.RWMutex
	young  map[engine.BlobID]Known
	old    map[engine.BlobID]Known
	octets int64 // of the young
}

// get returns what is kept, and whether anything was kept of this message, be it
// nothing but that.
func (c *summaryCache) get(id engine.BlobID) (k Known, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if k, ok = c.young[id]; !ok {
		k, ok = c.old[id]
	}
	return k, ok
}

// drop forgets all of them.
func (c *summaryCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.octets = nil, nil, 0
}

// put adds to what is kept.
func (c *summaryCache) put(id engine.BlobID, k Known) {
	c.mu.Lock()
	defer c.mu.Unlock()
	had, young := c.young[id]
	if young {
		c.octets -= had.size()
	} else {
		had = c.old[id]
	}
	had.add(k)
	size := had.size()
	if c.young == nil || c.octets+size > c.max/2 {
		c.old, c.young, c.octets = c.young, map[engine.BlobID]Known{}, 0
	}
	c.octets += size
	c.young[id] = had
}
