package search

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// column holds what one header field of a mailbox's messages is compared as, one
// message behind the other, so that to look through all of them is to read that
// memory. It is made by a search that had to look at all of them, and goes on with
// what the next ones see of new messages. A message that has the field more than
// once, or cannot be read, is not in it.
//
// A column that goes on from another has the same memory, behind the other's end.
// So only one may (continued).
type column struct {
	uids      []mail.UID // ascending
	ends      []uint32   // of their values in text
	text      []byte
	last      mail.UID // of the messages that were looked at
	lacks     int      // how many of these are not in it
	continued atomic.Bool
}

func (c *column) octets() int { return 150 + 4*cap(c.uids) + 4*cap(c.ends) + cap(c.text) }

// value returns that of a message, which is the ith when none went away before it.
func (c *column) value(i int, u mail.UID) (value []byte, ok bool) {
	if i >= len(c.uids) || c.uids[i] != u {
		if i, ok = slices.BinarySearch(c.uids, u); !ok {
			return nil, false
		}
	}
	start := uint32(0)
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.text[start:c.ends[i]], true
}

// end names the message whose value, if it has one, was put at the end of text.
func (c *column) end(u mail.UID) {
	c.uids = append(c.uids, u)
	c.ends = append(c.ends, uint32(len(c.text)))
	c.last = u
}

// lack says that a message is not in the column, and takes away what was put at the
// end of text.
func (c *column) lack(u mail.UID, text []byte) {
	c.text = text
	c.last = u
	c.lacks++
}

// add appends another column.
func (c *column) add(d *column) {
	start := uint32(len(c.text))
	c.text = append(c.text, d.text...)
	c.uids = append(c.uids, d.uids...)
	for _, end := range d.ends {
		c.ends = append(c.ends, start+end)
	}
	c.last = d.last
	c.lacks += d.lacks
}

// fieldTest looks for a text in the header fields of one name.
type fieldTest struct {
	q      *Query
	name   string
	needle []byte
	key    keptKey
	column *column // nil: none is kept
	first  int     // index of the first message that the column does not know

	seen   []column // of the messages from the first on, by blocks (blockLen); nil: it is not kept
	octets atomic.Int64
}

// newFieldTest finds out what is kept.
func (q *Query) newFieldTest(name string, needle []byte) *fieldTest {
	t := &fieldTest{q: q, name: name, needle: needle}
	// An empty text is in every field, and a column does not tell whether there is one.
	if q.Index == nil || len(needle) == 0 {
		return t
	}
	t.key = keptKey{q.Account, q.List.Mailbox(), "h" + strings.ToLower(name)}
	// One of which most messages are gone is made anew.
	if c, ok := q.Index.keeper.get(t.key).(*column); ok && len(c.uids) <= 2*q.List.Len()+addedMax {
		t.column = c
		t.first, _ = q.List.Find(c.last + 1)
	}
	return t
}

// missing returns how many messages must be read.
func (t *fieldTest) missing() int {
	n := t.q.List.Len() - t.first
	if t.column != nil {
		n += t.column.lacks
	}
	return n
}

// watch lets what is seen be kept, of one key of a search that may look at all messages,
// and reports whether it is this one.
func (t *fieldTest) watch() bool {
	if t.key == (keptKey{}) || t.first == t.q.List.Len() || t.q.Only != nil || t.q.watched != nil {
		return false
	}
	t.q.watched = t
	t.seen = make([]column, t.block(t.q.List.Len()-1)+1)
	return true
}

// block returns in which block a message is.
func (t *fieldTest) block(i int) int { return i/blockLen - t.first/blockLen }

func (t *fieldTest) match(c *cursor, i int, m *store.Message) (bool, error) {
	if err := c.ctx.Err(); err != nil { // a search may have thousands of these keys
		return false, errs.Wrap("search.match", err)
	}
	if t.column != nil {
		if value, ok := t.column.value(i, m.UID); ok {
			return bytes.Contains(value, t.needle), nil
		}
	}
	fields, err := c.fields(m, message.Kept(t.name))
	if err != nil {
		return false, err
	}
	if t.seen != nil && i >= t.first && t.octets.Load() <= int64(t.q.Index.keeper.limit()) {
		return t.see(c, &t.seen[t.block(i)], m, fields), nil
	}
	for value := range message.RawValues(fields, t.name) {
		if bytes.Contains(c.foldValue(value), t.needle) {
			return true, nil
		}
	}
	return false, nil
}

// see looks at all fields of a message, and notes what it sees.
func (t *fieldTest) see(c *cursor, seen *column, m *store.Message, fields []byte) (found bool) {
	before, values := seen.text, 0
	for raw := range message.RawValues(fields, t.name) {
		value := c.foldValue(raw)
		found = found || bytes.Contains(value, t.needle)
		if values++; values == 1 {
			seen.text = append(seen.text, value...)
		}
	}
	if values > 1 || fields == nil {
		seen.lack(m.UID, before)
	} else {
		seen.end(m.UID)
	}
	t.octets.Add(int64(len(seen.text) - len(before) + 8))
	return found
}

// keep puts what was seen into the column, when all that it did not know was looked at.
func (t *fieldTest) keep() {
	looked := 0
	for i := range t.seen {
		looked += len(t.seen[i].uids) + t.seen[i].lacks
	}
	if looked < t.q.List.Len()-t.first || t.column != nil && !t.column.continued.CompareAndSwap(false, true) {
		return
	}
	next := &column{}
	if c := t.column; c != nil {
		next.uids, next.ends, next.text, next.lacks = c.uids, c.ends, c.text, c.lacks
	}
	for i := range t.seen {
		next.add(&t.seen[i])
	}
	t.q.Index.keeper.put(t.key, next)
}
