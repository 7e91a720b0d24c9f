// Package mem is the reference engine: everything in memory, nothing durable,
// as simple as the contract allows. Tests compare other engines with it.
package mem

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// Engine implements engine.Engine.
type Engine struct {
	mu struct {
		sync.Mutex
		spaces map[engine.SpaceID]*state
		blobs  map[engine.BlobID]*blob
		next   engine.BlobID
		closed bool
	}
}

// state is one version of a space: immutable.
type state struct {
	version engine.Version
	keys    []string // sorted
	values  map[string][]byte
}

type blob struct {
	octets, summary []byte
	refs            int
	held            bool // by its writer
}

// New returns an empty engine.
func New() *Engine {
	e := &Engine{}
	e.mu.spaces = map[engine.SpaceID]*state{}
	e.mu.blobs = map[engine.BlobID]*blob{}
	return e
}

func closedError(op string) error { return errs.New(op, errs.Temporary, "the store is closed") }

func (e *Engine) Space(_ context.Context, id engine.SpaceID) (engine.Space, error) {
	return &space{e, id}, nil
}

func (e *Engine) Spaces(context.Context) iter.Seq2[engine.SpaceID, error] {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := slices.Sorted(maps.Keys(e.mu.spaces))
	return func(yield func(engine.SpaceID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (e *Engine) Blobs() engine.Blobs { return blobs{e} }

// BlobCount is how many blobs there are, for tests of who keeps them.
func (e *Engine) BlobCount() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.mu.blobs)
}

// Verify finds nothing: memory is not checked.
func (e *Engine) Verify(context.Context, func(int64) error) iter.Seq2[engine.Damage, error] {
	return func(func(engine.Damage, error) bool) {}
}

// Reclaim has nothing to do: Drop gives back at once.
func (e *Engine) Reclaim(context.Context) error { return nil }

func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.closed = true
	return nil
}

type space struct {
	e  *Engine
	id engine.SpaceID
}

func (s *space) Close() error { return nil }

func (s *space) current() *state {
	if st := s.e.mu.spaces[s.id]; st != nil {
		return st
	}
	return &state{}
}

func (s *space) Snapshot() (engine.Snapshot, error) {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if s.e.mu.closed {
		return nil, closedError("mem.Snapshot")
	}
	return &snapshot{state: s.current()}, nil
}

func (s *space) Commit(ctx context.Context, expect engine.Version, b *engine.Batch) (engine.Version, error) {
	if err := ctx.Err(); err != nil {
		return 0, errs.Wrap("mem.Commit", err)
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	was := s.current()
	switch {
	case s.e.mu.closed:
		return 0, closedError("mem.Commit")
	case was.version != expect:
		return 0, errs.New("mem.Commit", errs.Conflict, "")
	}
	is := &state{version: expect + 1, values: maps.Clone(was.values)}
	if is.values == nil {
		is.values = map[string][]byte{}
	}
	for _, op := range b.Ops {
		s.e.apply(is, op)
	}
	is.keys = slices.Sorted(maps.Keys(is.values))
	s.e.mu.spaces[s.id] = is
	return is.version, nil
}

func (e *Engine) apply(is *state, op engine.Op) {
	switch op.Kind {
	case engine.OpPut:
		is.values[string(op.Key)] = bytes.Clone(op.Value)
	case engine.OpDelete:
		delete(is.values, string(op.Key))
	case engine.OpDeleteRange:
		maps.DeleteFunc(is.values, func(k string, _ []byte) bool {
			return k >= string(op.Key) && k < string(op.Value)
		})
	case engine.OpKeep:
		if b := e.mu.blobs[op.Blob]; b != nil {
			b.refs++
		}
	case engine.OpDrop:
		if b := e.mu.blobs[op.Blob]; b != nil && b.refs > 0 {
			b.refs--
			e.reclaim(op.Blob, b)
		}
	}
}

func (e *Engine) reclaim(id engine.BlobID, b *blob) {
	if b.refs == 0 && !b.held {
		delete(e.mu.blobs, id)
	}
}

type snapshot struct {
	*state
	mu     sync.Mutex
	closed bool
}

func (s *snapshot) Version() engine.Version { return s.version }

func (s *snapshot) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *snapshot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

func (s *snapshot) Get(key []byte) ([]byte, error) {
	if v, ok := s.values[string(key)]; ok && !s.isClosed() {
		return v, nil
	}
	return nil, errs.New("mem.Get", errs.NotFound, "")
}

func (s *snapshot) Scan(from, to []byte) iter.Seq2[engine.Pair, error] {
	return func(yield func(engine.Pair, error) bool) {
		if s.isClosed() {
			yield(engine.Pair{}, errs.New("mem.Scan", errs.Internal, ""))
			return
		}
		i, _ := slices.BinarySearch(s.keys, string(from))
		for _, k := range s.keys[i:] {
			if to != nil && k >= string(to) || !yield(engine.Pair{Key: []byte(k), Value: s.values[k]}, nil) {
				return
			}
		}
	}
}

type blobs struct{ e *Engine }

func (b blobs) Create(context.Context) (engine.BlobWriter, error) { return &writer{e: b.e}, nil }

func (b blobs) find(op string, id engine.BlobID) (*blob, error) {
	b.e.mu.Lock()
	defer b.e.mu.Unlock()
	if x := b.e.mu.blobs[id]; x != nil {
		return x, nil
	}
	return nil, errs.New(op, errs.NotFound, "")
}

func (b blobs) Open(_ context.Context, id engine.BlobID, _ int64) (engine.Blob, error) {
	x, err := b.find("mem.Open", id)
	if err != nil {
		return nil, err
	}
	return reader{bytes.NewReader(x.octets), x.summary}, nil
}

func (b blobs) Summary(_ context.Context, id engine.BlobID) ([]byte, error) {
	x, err := b.find("mem.Summary", id)
	if err != nil {
		return nil, err
	}
	return x.summary, nil
}

func (b blobs) Summaries() engine.Summaries { return summaries{b} }

type summaries struct{ blobs blobs }

func (s summaries) Read(ctx context.Context, id engine.BlobID) ([]byte, error) {
	return s.blobs.Summary(ctx, id)
}

func (summaries) Close() {}

func (b blobs) Verify(_ context.Context, id engine.BlobID) (int64, error) {
	x, err := b.find("mem.Verify", id)
	if err != nil {
		return 0, err
	}
	return int64(len(x.octets)), nil
}

type reader struct {
	*bytes.Reader
	summary []byte
}

func (r reader) Summary() []byte { return r.summary }
func (reader) Close() error      { return nil }

type writer struct {
	e      *Engine
	octets []byte
	id     engine.BlobID
}

func (w *writer) Write(p []byte) (int, error) {
	w.octets = append(w.octets, p...)
	return len(p), nil
}

func (w *writer) Seal(summary []byte) (engine.BlobID, int64, error) {
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if w.e.mu.closed {
		return 0, 0, closedError("mem.Seal")
	}
	w.e.mu.next++
	w.id = w.e.mu.next
	w.e.mu.blobs[w.id] = &blob{octets: w.octets, summary: bytes.Clone(summary), held: true}
	return w.id, int64(len(w.octets)), nil
}

func (w *writer) Release() {
	w.e.mu.Lock()
	defer w.e.mu.Unlock()
	if b := w.e.mu.blobs[w.id]; b != nil && b.held {
		b.held = false
		w.e.reclaim(w.id, b)
	}
}
