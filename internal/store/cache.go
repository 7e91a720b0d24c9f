package store

import (
	"iter"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/message"
)

// Known is what the store keeps of a message without its octets.
type Known struct {
	Summary *message.Summary // nil: not kept

	asked  bool             // for something of the message
	octets int64            // of Summary, about
	forms  []byte           // all that are kept, one behind the other
	at     [FormsMax]extent // of each in forms
}

// extent is a piece of Known.forms.
type extent struct{ from, to uint16 }

const (
	FormsMax      = 3        // how many forms there can be
	formLenMax    = 16 << 10 // of one that is kept
	knownOctets   = 150      // of one of which nothing is known, about
	summaryOctets = 300      // beside those of strings, about
)

// Form returns one of the ways in which servers send what the summary holds, nil
// where it is not kept. It is read-only.
func (k *Known) Form(form int) []byte {
	if at := k.at[form]; at.to > 0 {
		return k.forms[at.from:at.to:at.to]
	}
	return nil
}

// AddForms copies the forms that k has not, but for those that are large.
func (k *Known) AddForms(forms [FormsMax][]byte) {
	size := len(k.forms)
	for i, b := range forms {
		if len(b) > formLenMax || k.at[i].to > 0 {
			forms[i] = nil
		}
		size += len(forms[i])
	}
	if size == len(k.forms) {
		return
	}
	all := append(make([]byte, 0, size), k.forms...)
	for i, b := range forms {
		if len(b) > 0 {
			k.at[i] = extent{uint16(len(all)), uint16(len(all) + len(b))}
			all = append(all, b...)
		}
	}
	k.forms = all
}

// size returns how many octets of memory it takes, about.
func (k *Known) size() int64 { return knownOctets + k.octets + int64(len(k.forms)) }

// add takes over what other has and k has not.
func (k *Known) add(other Known) {
	k.asked = k.asked || other.asked
	if k.Summary == nil {
		k.Summary, k.octets = other.Summary, other.octets
	}
	if k.forms == nil {
		k.forms, k.at = other.forms, other.at
		return
	}
	var forms [FormsMax][]byte
	for i := range forms {
		forms[i] = other.Form(i)
	}
	k.AddForms(forms)
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
// nothing but that it was asked for.
func (c *summaryCache) get(id engine.BlobID) (k Known, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if k, ok = c.young[id]; !ok {
		k, ok = c.old[id]
	}
	return k, ok
}

// all yields what is kept, the newest last.
func (c *summaryCache) all() iter.Seq2[engine.BlobID, Known] {
	return func(yield func(engine.BlobID, Known) bool) {
		c.mu.RLock()
		defer c.mu.RUnlock()
		for id, k := range c.old {
			if _, newer := c.young[id]; !newer && !yield(id, k) {
				return
			}
		}
		for id, k := range c.young {
			if !yield(id, k) {
				return
			}
		}
	}
}

// hasRoom reports whether something that nobody asked for may be put. Of a generation it
// fills a quarter.
func (c *summaryCache) hasRoom() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.octets < c.max/8
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
