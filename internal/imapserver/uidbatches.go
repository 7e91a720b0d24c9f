package imapserver

import (
	"context"
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
)

const (
	// batchSizeMin is the smallest batch: RFC 10022 lets no server ask for more.
	batchSizeMin = 500
	// batchRequestsMax is how many requests are remembered, to refuse repeated
	// ones.
	batchRequestsMax = 64
)

// uidBatches is a UIDBATCHES command (RFC 10022): the mailbox cut into ranges of
// UIDs, each of size messages, the newest first.
type uidBatches struct {
	size        uint32
	first, last uint32 // which batches, counted from 1
}

// batchRequest is one that was answered, and how the mailbox was.
type batchRequest struct {
	uidBatches
	messages int
	highest  mail.UID
}

// parseUIDBatches is UIDBATCHES (RFC 10022).
func parseUIDBatches(s *session, d *imapwire.Decoder) request {
	c := uidBatches{first: 1, last: imapwire.NumMax}
	d.Space()
	if c.size = d.Number32(); c.size == 0 {
		d.Fail("expected how many messages a batch has")
	}
	if d.Take(' ') {
		c.first = d.Number32()
		d.Expect(':')
		if c.last = d.Number32(); c.first == 0 || c.last == 0 {
			d.Fail("expected a range of batches like 1:10")
		}
	}
	return c.run
}

func (c uidBatches) run(_ context.Context, s *session) error {
	switch {
	case c.first > c.last:
		return &badCommand{"CLIENTBUG", "the range of batches runs backwards"}
	case c.size < batchSizeMin:
		return &refusal{"TOOFEW", "a batch has at least " + strconv.Itoa(batchSizeMin) + " messages"}
	case s.view.repeats(c):
		return &refusal{"LIMIT", "the mailbox is as it was; the batches hold"}
	}
	b := append([]byte("* UIDBATCHES (TAG "), imapwire.AppendString(nil, s.tag)...)
	b = append(b, ')')
	before := byte(' ')
	s.view.batches(c, func(high, low mail.UID) {
		b = strconv.AppendUint(append(b, before), uint64(high), 10)
		b = strconv.AppendUint(append(b, ':'), uint64(low), 10)
		before = ','
	})
	s.conn.Write(append(b, "\r\n"...))
	return nil
}

// batches yields the ranges of UIDs. They leave no gap, and the last one of the
// mailbox ends at 1, so that the client sees that no further one comes.
func (v *view) batches(c uidBatches, yield func(high, low mail.UID)) {
	n, size := int64(v.list.Len()), int64(c.size)
	for k := int64(c.first); k <= min(int64(c.last), (n+size-1)/size); k++ {
		newer, end := (k-1)*size, k*size // messages above the batch, and with it
		high, low := v.list.At(int(n-1)).UID, mail.UID(1)
		if newer > 0 {
			high = v.list.At(int(n-newer)).UID - 1
		}
		if end < n {
			low = v.list.At(int(n - end)).UID
		}
		yield(high, low)
	}
}

// repeats reports whether a request was answered since the mailbox was selected
// and no more than half a batch of messages came or went since. Others are
// remembered.
func (v *view) repeats(c uidBatches) bool {
	now := batchRequest{c, v.list.Len(), 0}
	if now.messages > 0 {
		now.highest = v.list.At(now.messages - 1).UID
	}
	for i, old := range v.batched {
		if old.uidBatches != c {
			continue
		}
		came := v.list.Existing(mail.UIDSetOf(mail.UIDRange{First: old.highest + 1, Last: mail.UIDMax})).Len()
		went := old.messages - (now.messages - came)
		if max(came, went) <= int(c.size)/2 {
			return true
		}
		v.batched[i] = now
		return false
	}
	if len(v.batched) == batchRequestsMax {
		v.batched = append(v.batched[:0], v.batched[1:]...)
	}
	v.batched = append(v.batched, now)
	return false
}
