package search

import (
	"cmp"
	"context"
	"hash/maphash"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// fields is what a message is sorted and threaded by. It is not changed.
type fields struct {
	sent    int64 // RFC 5256 §2.2, where there is a Date field
	dated   bool
	subject string
	reply   bool // the subject is that of a reply or forward
	texts   [textKeys]string
	id      uint64   // of the message, hashed; 0 for none
	refs    []uint64 // of its ancestors, the oldest first
}

// item is a message that is sorted or threaded.
type item struct {
	index int // in the list
	m     *store.Message
	*fields
	sent  int64
	score int // where the order is by relevancy
	// annotations are values, at the places of the criteria that are by them.
	annotations []string
}

// noFields are those of a message that cannot be read.
var noFields = &fields{}

// read returns the fields of messages given by indexes.
func (q *Query) read(ctx context.Context, found []int32) ([]item, error) {
	out := make([]item, len(found))
	err := q.inBlocks(ctx, len(found), func(c *cursor, from, to int) error {
		for n := from; n < to; n++ {
			var err error
			if out[n], err = q.readItem(c, int(found[n])); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// readItem returns the fields of the i-th message.
func (q *Query) readItem(c *cursor, i int) (item, error) {
	m := q.List.At(i)
	f, err := q.fieldsOf(c, m)
	if err != nil {
		return item{}, err
	}
	it := item{index: i, m: m, fields: f, sent: m.InternalDate}
	if f.dated {
		it.sent = f.sent
	}
	return it, nil
}

func (q *Query) fieldsOf(c *cursor, m *store.Message) (*fields, error) {
	if q.Index != nil {
		if f := q.Index.fields.get(m.Blob); f != nil {
			return f, nil
		}
	}
	t, err := c.top(m)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return noFields, nil
	}
	f := c.newFields(t)
	if q.Index != nil {
		q.Index.fields.put(m.Blob, f)
	}
	return f, nil
}

func (c *cursor) newFields(top *message.Top) *fields {
	f, e := &fields{}, top.Envelope
	if t, ok := message.ParseDate(e.Date); ok {
		f.sent, f.dated = t.Unix(), true
	}
	base, reply := message.BaseSubject(message.DecodeHeader(e.Subject))
	f.reply = reply
	// All texts are in the memory of one string.
	octets := message.AppendCollation(c.folded[:0], base)
	ends := [textKeys + 1]int{len(octets)}
	for k := range textKeys {
		octets = message.AppendCollation(octets, addressText(e, k))
		ends[k+1] = len(octets)
	}
	c.folded = octets
	all := string(octets)
	f.subject = all[:ends[0]]
	for k := range textKeys {
		f.texts[k] = all[ends[k]:ends[k+1]]
	}
	f.readReferences(top)
	return f
}

// seed is that of the hashes of message ids: nobody can make two of them equal
// on purpose.
var seed = maphash.MakeSeed()

func hashID(id string) uint64 { return max(maphash.String(seed, id), 1) }

// readReferences finds a message's ancestors (RFC 5256 §3 REFERENCES).
func (f *fields) readReferences(top *message.Top) {
	e := top.Envelope
	if ids := message.MessageIDs(e.MessageID); len(ids) > 0 {
		f.id = hashID(ids[0])
	}
	for raw := range message.RawValues(top.Fields, "References") {
		for _, id := range message.MessageIDs(message.Unfold(raw)) {
			f.refs = append(f.refs, hashID(id))
		}
	}
	if len(f.refs) == 0 {
		if ids := message.MessageIDs(e.InReplyTo); len(ids) > 0 {
			f.refs = []uint64{hashID(ids[0])}
		}
	}
}

func collation(s string) string { return string(message.AppendCollation(nil, s)) }

// textKey is a sort key that is a text of an address.
type textKey uint8

const (
	keyFrom textKey = iota
	keyTo
	keyCc
	keyDisplayFrom
	keyDisplayTo
	textKeys
)

func addressText(e *message.Envelope, k textKey) string {
	lists := [textKeys][]message.Address{e.From, e.To, e.Cc, e.From, e.To}
	if len(lists[k]) == 0 {
		return ""
	}
	a := &lists[k][0]
	if k < keyDisplayFrom {
		return a.Mailbox
	}
	// RFC 5957 §3.
	if name := message.DecodeHeader(a.Name); name != "" {
		return name
	}
	if a.Mailbox != "" && a.Host != "" && a.Host != message.NoHost {
		return a.Mailbox + "@" + a.Host
	}
	return a.Mailbox
}

// fieldCache keeps fields in two generations, as the store does summaries.
type fieldCache struct {
	max        int // octets, about; 0: fieldsMax
	mu         sync.RWMutex
	young, old map[engine.BlobID]*fields
	octets     int // about, of the young
}

// fieldsMax is about how many octets the cache holds, unless the options say
// otherwise.
const fieldsMax = 64 << 20

// drop forgets all of them.
func (c *fieldCache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old, c.octets = nil, nil, 0
}

func (c *fieldCache) get(id engine.BlobID) *fields {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if f := c.young[id]; f != nil {
		return f
	}
	return c.old[id]
}

func (c *fieldCache) put(id engine.BlobID, f *fields) {
	octets := 250 + len(f.subject) + 8*len(f.refs)
	for _, t := range f.texts {
		octets += len(t)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || c.octets+octets > cmp.Or(c.max, fieldsMax)/2 {
		c.old, c.young, c.octets = c.young, map[engine.BlobID]*fields{}, 0
	}
	c.young[id] = f
	c.octets += octets
}
