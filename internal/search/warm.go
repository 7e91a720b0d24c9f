package search

import (
	"encoding/binary"
	"iter"
	"slices"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// How whole mailboxes were sorted and threaded outlives a stop: to find it out again
// takes a read for each message.

// orderVersion is another one whenever SORT or THREAD arrange the same messages
// in another way (TestOrderVersion).
const orderVersion = 1

func (x *Index) saveWarm() { x.opts.Warm.Save(x.store.NextStop(), orderVersion, warmBlocks(&x.keeper)) }

// loadWarm keeps what was kept at the last stop.
func (x *Index) loadWarm() {
	for block := range x.opts.Warm.Load(x.store.LastStop(), orderVersion) {
		if key, o := decodeOrder(block); o != nil {
			x.keeper.put(key, o)
		}
	}
}

// warmBlocks yields a block for each order, the one that was used last at the end.
func warmBlocks(c *keeper) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, key := range c.byUse() {
			if o, ok := c.get(key).(*order); ok && !yield(appendOrder(nil, key, o)) {
				return
			}
		}
	}
}

// appendOrder appends account, mailbox (8 octets each), octets of what (1), number of
// UIDs (4), and then what, these UIDs and the rest of the order (4 each).
func appendOrder(dst []byte, key keptKey, o *order) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(key.account))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(key.mailbox))
	dst = append(dst, byte(len(key.what)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(o.uids)))
	dst = append(dst, key.what...)
	for _, u := range o.uids {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(u))
	}
	for _, i := range o.by {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(i))
	}
	return dst
}

const orderHead = 8 + 8 + 1 + 4

// decodeOrder returns a nil order where there is none.
func decodeOrder(b []byte) (key keptKey, _ *order) {
	if len(b) < orderHead {
		return key, nil
	}
	key.account = store.AccountID(binary.LittleEndian.Uint64(b))
	key.mailbox = store.MailboxID(binary.LittleEndian.Uint64(b[8:]))
	what, n := int(b[16]), int(binary.LittleEndian.Uint32(b[17:]))
	if b = b[orderHead:]; what == 0 || what > len(b) || n > (len(b)-what)/4 {
		return key, nil
	}
	key.what, b = string(b[:what]), b[what:]
	o := &order{uids: make([]mail.UID, n), by: make([]int32, (len(b)-4*n)/4)}
	for i := range o.uids {
		o.uids[i] = mail.UID(binary.LittleEndian.Uint32(b[4*i:]))
	}
	for i := range o.by {
		o.by[i] = int32(binary.LittleEndian.Uint32(b[4*(n+i):]))
	}
	if !o.isWhole(key.what[0] == 't') {
		return key, nil
	}
	return key, o
}

// isWhole reports whether the UIDs ascend, each of them is arranged once, and
// what opens is closed.
func (o *order) isWhole(threads bool) bool {
	for i, u := range o.uids {
		if u == 0 || i > 0 && u <= o.uids[i-1] {
			return false
		}
	}
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
	return open == 0 && !slices.Contains(seen, false)
}
