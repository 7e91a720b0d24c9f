package search

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// How whole mailboxes were sorted and threaded, and what searches saw of header fields,
// outlives a stop: to find it out again takes a read for each message.

// keptVersion is another one whenever SORT or THREAD arrange the same messages in
// another way, or SEARCH compares header fields in another way (TestKeptVersion).
const keptVersion = 1

const warmFile = "search"

func (x *Index) saveWarm() { x.opts.Warm.Save(warmFile, keptVersion, warmBlocks(&x.keeper)) }

// loadWarm keeps what was kept at the last stop.
func (x *Index) loadWarm() {
	for block := range x.opts.Warm.Load(warmFile, keptVersion) {
		if key, v := decodeKept(block); v != nil {
			x.keeper.put(key, v)
		}
	}
}

// warmBlocks yields a block for each thing that is kept, what was used last at the end.
func warmBlocks(c *keeper) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, key := range c.byUse() {
			if v := c.get(key); v != nil && !yield(appendKept(nil, key, v)) {
				return
			}
		}
	}
}

// appendKept appends account, mailbox (8 octets each), octets of what (4) and what,
// and then, of an order, the number of UIDs, these UIDs and how they are arranged (4
// each); of a column, the number of UIDs, the last that was looked at, how many it
// lacks, the UIDs, where their values end (4 each), and the values.
func appendKept(dst []byte, key keptKey, v keepable) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(key.account))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(key.mailbox))
	dst = append(appendUint32s(dst, uint32(len(key.what))), key.what...)
	switch v := v.(type) {
	case *order:
		dst = appendUint32s(dst, uint32(len(v.uids)))
		dst = appendUint32s(dst, v.uids...)
		dst = appendUint32s(dst, v.by...)
	case *column:
		dst = appendUint32s(dst, uint32(len(v.uids)), uint32(v.last), uint32(v.lacks))
		dst = appendUint32s(dst, v.uids...)
		dst = append(appendUint32s(dst, v.ends...), v.text...)
	}
	return dst
}

func appendUint32s[T ~uint32 | ~int32](dst []byte, values ...T) []byte {
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	return dst
}

// decodeKept returns nil where there is nothing that can be used.
func decodeKept(b []byte) (key keptKey, _ keepable) {
	const head = 8 + 8 + 4
	if len(b) < head {
		return key, nil
	}
	key.account = store.AccountID(binary.LittleEndian.Uint64(b))
	key.mailbox = store.MailboxID(binary.LittleEndian.Uint64(b[8:]))
	n := int(binary.LittleEndian.Uint32(b[16:]))
	if b = b[head:]; n == 0 || n > len(b) {
		return key, nil
	}
	key.what = string(b[:n])
	r := kept32{b: b[n:]}
	switch what := key.what[0]; what {
	case 'h':
		if c := r.column(); !r.bad && c.isWhole() {
			return key, c
		}
	case 's', 't':
		if o := r.order(); !r.bad && o.isWhole(what == 't') {
			return key, o
		}
	}
	return key, nil
}

// kept32 reads numbers of 4 octets, until there are too few.
type kept32 struct {
	b   []byte
	bad bool
}

// take returns n numbers.
func take[T ~uint32 | ~int32](r *kept32, n int) []T {
	if r.bad = r.bad || n > len(r.b)/4; r.bad {
		return nil
	}
	values := make([]T, n)
	for i := range values {
		values[i] = T(binary.LittleEndian.Uint32(r.b[4*i:]))
	}
	r.b = r.b[4*n:]
	return values
}

// one returns one number.
func (r *kept32) one() int {
	if v := take[uint32](r, 1); v != nil {
		return int(v[0])
	}
	return 0
}

func (r *kept32) order() *order {
	o := &order{}
	o.uids = take[mail.UID](r, r.one())
	o.by = take[int32](r, len(r.b)/4)
	return o
}

func (r *kept32) column() *column {
	c, n := &column{}, r.one()
	c.last = mail.UID(r.one())
	c.lacks = r.one()
	c.uids = take[mail.UID](r, n)
	c.ends = take[uint32](r, n)
	c.text = bytes.Clone(r.b)
	return c
}

// ascend reports whether these can be the UIDs of messages.
func ascend(uids []mail.UID) bool {
	for i, u := range uids {
		if u == 0 || i > 0 && u <= uids[i-1] {
			return false
		}
	}
	return true
}

// isWhole reports whether each value is in the text, and none else.
func (c *column) isWhole() bool {
	n := len(c.uids)
	if n == 0 {
		return len(c.text) == 0
	}
	return ascend(c.uids) && c.uids[n-1] <= c.last && slices.IsSorted(c.ends) && int64(c.ends[n-1]) == int64(len(c.text))
}

// isWhole reports whether each of the UIDs is arranged once, and what opens is closed.
func (o *order) isWhole(threads bool) bool {
	seen := make([]bool, len(o.uids))
	open := 0
	for _, i := range o.by {
		switch {
		case threads && i == threadOpens:
			open++
		case threads && i == threadCloses && open > 0:
			open--
		case i < 0 || int(i) >= len(seen) || seen[i]:
			return false
		default:
			seen[i] = true
		}
	}
	return open == 0 && !slices.Contains(seen, false) && ascend(o.uids)
}
