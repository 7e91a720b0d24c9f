package store

import (
	"context"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/message"
)

// Scan looks at what is known of many messages without their octets. What it
// reads, but for Learn, does not push out of the cache what others need, so that it
// costs the same for each message whether all of them would have room there or not.
// It is used by one goroutine, and must be closed. The zero value is not usable.
type Scan struct {
	s         *Store
	summaries engine.Summaries // nil before the first that is not in the cache
	top       message.Top
	sum       message.Summary
}

// Scan starts one.
func (s *Store) Scan() *Scan { return &Scan{s: s} }

// Close gives back the file that it holds. It may go on afterwards.
func (c *Scan) Close() {
	if c.summaries != nil {
		c.summaries.Close()
	}
}

// read returns a summary as it is stored, until the next call.
func (c *Scan) read(ctx context.Context, id engine.BlobID) ([]byte, error) {
	if c.summaries == nil {
		c.summaries = c.s.engine.Blobs().Summaries()
	}
	return c.summaries.Read(ctx, id)
}

// decode returns a summary, until the next call.
func (c *Scan) decode(ctx context.Context, id engine.BlobID) (*message.Summary, error) {
	b, err := c.read(ctx, id)
	if err == nil {
		err = c.sum.Decode(b)
	}
	return &c.sum, err
}

// Learn reads a summary that the store does not keep yet and will from now on. It is
// the caller's as long as it likes. Errors: NotFound, Corrupt.
func (c *Scan) Learn(ctx context.Context, m *Message) (*message.Summary, error) {
	b, err := c.read(ctx, m.Blob)
	return c.s.learn(ctx, m, b, err)
}

// kept returns the summary if the store keeps it.
func (c *Scan) kept(m *Message) *message.Summary {
	k, _ := c.s.summaries.get(m.Blob)
	return k.Summary
}

// Fields returns the header fields that a summary holds, and whether they are
// all of those that are kept, until the next call. Errors: NotFound, Corrupt.
func (c *Scan) Fields(ctx context.Context, m *Message) (fields []byte, whole bool, err error) {
	if sum := c.kept(m); sum != nil {
		return sum.Fields, sum.FieldsWhole, nil
	}
	b, err := c.read(ctx, m.Blob)
	if err == nil {
		fields, whole, err = message.DecodeFields(b)
	}
	if err != nil {
		sum, err := c.s.Summary(ctx, m) // which knows what to do
		if err != nil {
			return nil, false, err
		}
		return sum.Fields, sum.FieldsWhole, nil
	}
	return fields, whole, nil
}

// Top returns what a summary tells of the message itself, until the next call.
// Errors: NotFound, Corrupt.
func (c *Scan) Top(ctx context.Context, m *Message) (*message.Top, error) {
	if sum := c.kept(m); sum != nil {
		return sum.Top(), nil
	}
	b, err := c.read(ctx, m.Blob)
	if err == nil {
		err = c.top.Decode(b)
	}
	if err != nil {
		sum, err := c.s.Summary(ctx, m)
		if err != nil {
			return nil, err
		}
		return sum.Top(), nil
	}
	return &c.top, nil
}

// Header reads a message's header octets. Errors: NotFound, Corrupt.
func (c *Scan) Header(ctx context.Context, m *Message) ([]byte, error) {
	top, err := c.Top(ctx, m)
	if err != nil {
		return nil, err
	}
	return c.s.ReadBody(ctx, m, 0, top.BodyStart)
}

// Summary returns a whole summary, until the next call. Errors: NotFound, Corrupt.
func (c *Scan) Summary(ctx context.Context, m *Message) (*message.Summary, error) {
	if sum := c.kept(m); sum != nil {
		return sum, nil
	}
	return c.Read(ctx, m)
}

// Read is Summary for a message of which the store is known to keep none.
func (c *Scan) Read(ctx context.Context, m *Message) (*message.Summary, error) {
	sum, err := c.decode(ctx, m.Blob)
	if err != nil {
		return c.s.Summary(ctx, m)
	}
	return sum, nil
}
