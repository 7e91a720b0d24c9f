package store

import (
	"context"
	"io"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/message"
)

// Stage takes one message's octets, once for any number of mailboxes, and
// reads its structure on the way. It is used by one goroutine.
type Stage struct {
	s      *Store
	blob   engine.BlobWriter
	parser *message.Parser  // nil once it is sealed or discarded
	sum    *message.Summary // nil before Summary
}

// Staged is a message that Append can add to mailboxes, until Discard.
type Staged struct {
	Size Octets
	blob engine.BlobID
}

// parsers are used for one message after the other: what one needs of memory was a quarter of
// all that an APPEND took.
var parsers = sync.Pool{New: func() any { return message.NewParser() }}

// Stage starts a message. The caller must Discard it in the end, whatever
// happened.
func (s *Store) Stage(ctx context.Context) (*Stage, error) {
	w, err := s.engine.Blobs().Create(ctx)
	if err != nil {
		return nil, errs.Wrap("store.Stage", err)
	}
	return &Stage{s: s, blob: w, parser: parsers.Get().(*message.Parser)}, nil
}

func (st *Stage) Write(p []byte) (int, error) {
	n, err := st.blob.Write(p)
	if err != nil {
		return n, errs.Wrap("store.Stage", err)
	}
	return st.parser.Write(p)
}

// summaryBuffers hold encoded summaries on their way into the engine.
var summaryBuffers = sync.Pool{New: func() any { return new([]byte) }}

// Summary ends the octets and returns what they were, until Seal.
func (st *Stage) Summary() *message.Summary {
	if st.sum == nil {
		st.sum = st.parser.Finish()
	}
	return st.sum
}

// Seal ends the message. Errors: NoSpace, Temporary.
func (st *Stage) Seal() (*Staged, error) {
	sum := st.Summary()
	defer st.freeParser() // for the next message of the same commit
	buf := summaryBuffers.Get().(*[]byte)
	defer summaryBuffers.Put(buf)
	*buf = sum.Append((*buf)[:0])
	id, size, err := st.blob.Seal(*buf)
	if err != nil {
		return nil, errs.Wrap("store.Stage", err)
	}
	return &Staged{Size: size, blob: id}, nil
}

// freeParser lets others have the parser.
func (st *Stage) freeParser() {
	if st.parser != nil {
		st.parser.Reset()
		parsers.Put(st.parser)
		st.parser, st.sum = nil, nil
	}
}

// Discard ends the use of the staged message. Mailboxes that it was added to
// keep it.
func (st *Stage) Discard() {
	st.freeParser()
	st.blob.Release()
}

// Body opens a message's octets. They stay readable when the message is
// expunged meanwhile. Errors: NotFound, Corrupt.
func (s *Store) Body(ctx context.Context, m *Message) (Body, error) {
	b, err := s.engine.Blobs().Open(ctx, m.Blob, int64(m.Size))
	return b, errs.Wrap("store.Body", err)
}

// Summary returns what is known of a message without its octets, and keeps it. One
// that cannot be read is made again from them. Errors: NotFound, Corrupt.
func (s *Store) Summary(ctx context.Context, m *Message) (*message.Summary, error) {
	if k, _ := s.summaries.get(m.Blob); k.Summary != nil {
		return k.Summary, nil
	}
	b, err := s.engine.Blobs().Summary(ctx, m.Blob)
	return s.learn(ctx, m, b, err)
}

// learn keeps a summary that was read, or not.
func (s *Store) learn(ctx context.Context, m *Message, b []byte, err error) (sum *message.Summary, _ error) {
	if err == nil {
		sum, err = message.DecodeSummary(b)
	}
	if err != nil {
		if sum, err = s.parseAgain(ctx, m); err != nil {
			return nil, err
		}
	}
	s.summaries.put(m.Blob, Known{Summary: sum, octets: int64(2*len(b) + summaryOctets), asked: true})
	return sum, nil
}

// Known returns what is kept of a message, without reading anything, and whether
// Keep or Summary was called for it before.
func (s *Store) Known(m *Message) (k Known, before bool) {
	k, _ = s.summaries.get(m.Blob)
	return k, k.asked
}

// Keep adds to what is kept of a message: that it was asked for, at least.
func (s *Store) Keep(m *Message, k Known) {
	k.asked = true
	s.summaries.put(m.Blob, k)
}

func (s *Store) parseAgain(ctx context.Context, m *Message) (*message.Summary, error) {
	body, err := s.Body(ctx, m)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	p := message.NewParser()
	if _, err := io.Copy(p, io.NewSectionReader(body, 0, body.Size())); err != nil {
		return nil, errs.Wrap("store.Summary", err)
	}
	sum := *p.Finish() // kept without the parser
	return &sum, nil
}

// ReadBody reads the octets from <= offset < to of a message into memory.
func (s *Store) ReadBody(ctx context.Context, m *Message, from, to int64) ([]byte, error) {
	body, err := s.Body(ctx, m)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b := make([]byte, max(0, min(to, body.Size())-from))
	if _, err := body.ReadAt(b, from); err != nil && err != io.EOF {
		return nil, errs.Wrap("store.ReadBody", err)
	}
	return b, nil
}
