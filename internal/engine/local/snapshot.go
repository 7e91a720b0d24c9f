package local

import (
	"errors"
	"iter"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/cockroachdb/pebble/v2"
)

type snapshot struct {
	snap    *pebble.Snapshot
	space   engine.SpaceID
	version engine.Version
	closed  bool
}

func (s *space) Snapshot() (engine.Snapshot, error) {
	s.e.mu.Lock()
	closing := s.e.mu.closing
	s.e.mu.Unlock()
	if closing {
		return nil, errs.New("local.Snapshot", errs.Temporary, "the store is closed")
	}
	snap := s.e.index.NewSnapshot()
	v, err := readVersion(snap, s.id)
	if err != nil {
		snap.Close()
		return nil, err
	}
	return &snapshot{snap: snap, space: s.id, version: v}, nil
}

func (s *snapshot) Version() engine.Version { return s.version }

func (s *snapshot) Get(key []byte) ([]byte, error) {
	if s.closed {
		return nil, errs.New("local.Get", errs.Internal, "")
	}
	v, c, err := s.snap.Get(rowKey(s.space, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errs.New("local.Get", errs.NotFound, "")
	}
	if err != nil {
		return nil, indexError("local.Get", err)
	}
	defer c.Close()
	return append([]byte(nil), v...), nil
}

func (s *snapshot) Scan(from, to []byte) iter.Seq2[engine.Pair, error] {
	return func(yield func(engine.Pair, error) bool) {
		if s.closed {
			yield(engine.Pair{}, errs.New("local.Scan", errs.Internal, ""))
			return
		}
		upper := idKey(keyRow, uint64(s.space)+1)
		if to != nil {
			upper = rowKey(s.space, to)
		}
		it, err := s.snap.NewIter(&pebble.IterOptions{LowerBound: rowKey(s.space, from), UpperBound: upper})
		if err != nil {
			yield(engine.Pair{}, indexError("local.Scan", err))
			return
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			v, err := it.ValueAndErr()
			if err != nil {
				yield(engine.Pair{}, indexError("local.Scan", err))
				return
			}
			if !yield(engine.Pair{Key: it.Key()[9:], Value: v}, nil) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(engine.Pair{}, indexError("local.Scan", err))
		}
	}
}

func (s *snapshot) Close() {
	if !s.closed {
		s.closed = true
		s.snap.Close()
	}
}
