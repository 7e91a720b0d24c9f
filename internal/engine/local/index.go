package local

import (
	"cmp"
	"encoding/binary"
	"errors"
	"iter"
	"runtime"
	"slices"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/cockroachdb/pebble/v2"
)

// First octet of the index's keys.
const (
	keyMark     = 'm' // how far the log is applied, and the chain's checksum there
	keyVersion  = 'v' // space: its version
	keyRow      = 's' // space, key: value
	keyRefs     = 'r' // BlobID: references, octets of the record
	keyLocation = 'w' // BlobID: where the blob was moved
	keyStore    = 'i' // the store's UUID
	keyDamage   = 'd' // there when commits may be lost; until Quarantine
)

func indexError(op string, err error) error {
	return errs.As(op, errs.Corrupt, "the index cannot be read", err)
}

func idKey(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefix}, id)
}

func decodeID(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func rowKey(id engine.SpaceID, key []byte) []byte {
	return append(idKey(keyRow, uint64(id)), key...)
}

func (e *Engine) indexVersion(id engine.SpaceID) (engine.Version, error) {
	return readVersion(e.index, id)
}

func readVersion(r pebble.Reader, id engine.SpaceID) (engine.Version, error) {
	v, c, err := r.Get(idKey(keyVersion, uint64(id)))
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, indexError("local.version", err)
	}
	defer c.Close()
	return engine.Version(decodeID(v)), nil
}

// apply puts durable groups into the index, in order, and wakes the waiters.
func (e *Engine) apply() {
	for g := range e.groups {
		if err := e.applyGroup(g); err != nil {
			e.fail(err)
			g.fail(e.stopped())
			continue
		}
		e.stats.commits.Add(int64(len(g.waiters)))
		for _, w := range g.waiters {
			w.done <- nil
		}
	}
}

func (e *Engine) applyGroup(g *group) error {
	a := e.newApplier()
	defer a.batch.Close()
	for _, w := range g.waiters {
		if err := a.waiter(w); err != nil {
			return err
		}
	}
	return a.commit(g.end)
}

// applier turns commits into one batch of the index.
type applier struct {
	e     *Engine
	batch *pebble.Batch
	refs  map[engine.BlobID]refs     // as changed by the batch, and what was read ahead
	moved map[engine.BlobID]position // likewise; 0 for none
	live  map[uint32]int64           // change of live octets by segment
}

type refs struct {
	count int64
	size  int64 // of the record
}

func (e *Engine) newApplier() *applier {
	return &applier{e: e, batch: e.index.NewBatch(), refs: map[engine.BlobID]refs{},
		moved: map[engine.BlobID]position{}, live: map[uint32]int64{}}
}

func (a *applier) waiter(w *waiter) error {
	if w.space == 0 {
		return a.relocate(w.moves)
	}
	for _, b := range w.fresh {
		a.refs[b.id] = refs{size: b.size}
	}
	if err := a.readAhead(w.ops); err != nil {
		return err
	}
	for i, op := range w.ops {
		if i%yieldEvery == yieldEvery-1 {
			runtime.Gosched() // or who reads waits, where all processors have something to do
		}
		if err := a.op(w.space, op); err != nil {
			return err
		}
	}
	return a.batch.Set(idKey(keyVersion, uint64(w.space)), binary.BigEndian.AppendUint64(nil, uint64(w.version)), nil)
}

func (a *applier) op(space engine.SpaceID, op engine.Op) error {
	switch op.Kind {
	case engine.OpPut:
		return a.batch.Set(rowKey(space, op.Key), op.Value, nil)
	case engine.OpDelete:
		return a.batch.Delete(rowKey(space, op.Key), nil)
	case engine.OpDeleteRange:
		return a.batch.DeleteRange(rowKey(space, op.Key), rowKey(space, op.Value), nil)
	case engine.OpKeep:
		return a.count(op.Blob, 1)
	case engine.OpDrop:
		return a.count(op.Blob, -1)
	}
	return errors.New("an operation of unknown kind")
}

// yieldEvery is the number of operations after which apply lets others run: some
// 100 microseconds.
const yieldEvery = 128

// readAheadMin is the number of blobs from which one pass over the index is
// cheaper than a look for each.
const readAheadMin = 64

// readAhead reads the references of the blobs that many operations are for.
func (a *applier) readAhead(ops []engine.Op) error {
	var ids []engine.BlobID
	for _, op := range ops {
		if _, known := a.refs[op.Blob]; !known && (op.Kind == engine.OpKeep || op.Kind == engine.OpDrop) {
			ids = append(ids, op.Blob)
		}
	}
	if len(ids) < readAheadMin {
		return nil
	}
	slices.Sort(ids)
	it, err := a.e.index.NewIter(&pebble.IterOptions{LowerBound: []byte{keyRefs}, UpperBound: []byte{keyRefs + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	for _, id := range slices.Compact(ids) {
		a.refs[id] = refs{}
		if it.SeekGE(idKey(keyRefs, uint64(id))) && engine.BlobID(decodeID(it.Key()[1:])) == id {
			a.refs[id] = decodeRefs(it.Value())
		}
	}
	return it.Error()
}

// count changes a blob's references.
func (a *applier) count(id engine.BlobID, n int64) error {
	r, err := a.get(id)
	if err != nil {
		return err
	}
	was := r.count
	if r.count = max(0, r.count+n); r.count == was {
		return nil
	}
	switch {
	case was == 0:
		if r.size == 0 {
			r.size = a.e.recordSize(id)
		}
		// Compaction moves only what is kept: it is where it was written.
		a.live[position(id).segment()] += r.size
	case r.count == 0:
		where, err := a.where(id)
		if err != nil {
			return err
		}
		a.live[where.segment()] -= r.size
		a.moved[id] = 0
		if err := a.batch.Delete(idKey(keyLocation, uint64(id)), nil); err != nil {
			return err
		}
	}
	return a.set(id, r)
}

func (a *applier) get(id engine.BlobID) (refs, error) {
	if r, ok := a.refs[id]; ok {
		return r, nil
	}
	return readRefs(a.e.index, id)
}

func readRefs(r pebble.Reader, id engine.BlobID) (refs, error) {
	v, c, err := r.Get(idKey(keyRefs, uint64(id)))
	if errors.Is(err, pebble.ErrNotFound) {
		return refs{}, nil
	}
	if err != nil {
		return refs{}, err
	}
	defer c.Close()
	return decodeRefs(v), nil
}

func decodeRefs(v []byte) refs {
	count, n := binary.Uvarint(v)
	size, _ := binary.Uvarint(v[max(n, 0):])
	return refs{int64(count), int64(size)}
}

func (a *applier) set(id engine.BlobID, r refs) error {
	a.refs[id] = r
	if r.count == 0 {
		return a.batch.Delete(idKey(keyRefs, uint64(id)), nil)
	}
	v := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(r.count)), uint64(r.size))
	return a.batch.Set(idKey(keyRefs, uint64(id)), v, nil)
}

// where returns the position of a blob's record now.
func (a *applier) where(id engine.BlobID) (position, error) {
	if p, ok := a.moved[id]; ok {
		return cmp.Or(p, position(id)), nil
	}
	return a.e.place(a.e.index, id)
}

func readLocation(r pebble.Reader, id engine.BlobID) (position, error) {
	v, c, err := r.Get(idKey(keyLocation, uint64(id)))
	if errors.Is(err, pebble.ErrNotFound) {
		return position(id), nil
	}
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return position(decodeID(v)), nil
}

// place is where a blob's record is read: where compaction put it, or, when
// that segment is not there, where it was written.
func (e *Engine) place(r pebble.Reader, id engine.BlobID) (position, error) {
	moved, err := readLocation(r, id)
	if err != nil {
		return 0, err
	}
	return e.placeOf(id, moved), nil
}

func (e *Engine) placeOf(id engine.BlobID, moved position) position {
	e.mu.Lock()
	defer e.mu.Unlock()
	if first := position(id); e.mu.segments[moved.segment()] == nil && e.mu.segments[first.segment()] != nil {
		return first
	}
	return moved
}

// forEachKept calls fn for each blob that is kept, in the order of the ids,
// with what its record takes and where it is.
func (e *Engine) forEachKept(r pebble.Reader, fn func(id engine.BlobID, size int64, where position) error) error {
	kept, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{keyRefs}, UpperBound: []byte{keyRefs + 1}})
	if err != nil {
		return indexError("local", err)
	}
	defer kept.Close()
	moved, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{keyLocation}, UpperBound: []byte{keyLocation + 1}})
	if err != nil {
		return indexError("local", err)
	}
	defer moved.Close()
	more := moved.First()
	for ok := kept.First(); ok; ok = kept.Next() {
		id := engine.BlobID(decodeID(kept.Key()[1:]))
		for more && engine.BlobID(decodeID(moved.Key()[1:])) < id {
			more = moved.Next()
		}
		where := position(id)
		if more && engine.BlobID(decodeID(moved.Key()[1:])) == id {
			where = e.placeOf(id, position(decodeID(moved.Value())))
		}
		if err := fn(id, decodeRefs(kept.Value()).size, where); err != nil {
			return err
		}
	}
	if err := errors.Join(kept.Error(), moved.Error()); err != nil {
		return indexError("local", err)
	}
	return nil
}

// relocate notes where compaction put blobs. One that was dropped meanwhile
// stays dropped.
func (a *applier) relocate(moves []move) error {
	for _, m := range moves {
		r, err := a.get(m.id)
		if err != nil {
			return err
		}
		if r.count == 0 {
			continue
		}
		from, err := a.where(m.id)
		if err != nil {
			return err
		}
		a.live[from.segment()] -= r.size
		a.live[m.to.segment()] += m.size
		a.moved[m.id] = m.to
		if err := a.batch.Set(idKey(keyLocation, uint64(m.id)), binary.BigEndian.AppendUint64(nil, uint64(m.to)), nil); err != nil {
			return err
		}
		r.size = m.size
		if err := a.set(m.id, r); err != nil {
			return err
		}
	}
	return nil
}

// commit applies the batch, with the mark that everything before end is in.
func (a *applier) commit(end position) error {
	if err := a.batch.Set([]byte{keyMark}, binary.BigEndian.AppendUint64(nil, uint64(end)), nil); err != nil {
		return err
	}
	if err := a.batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	a.e.mu.Lock()
	defer a.e.mu.Unlock()
	for n, change := range a.live {
		if s := a.e.mu.segments[n]; s != nil {
			s.live += change
		}
	}
	return nil
}

// commitLength is the length of a commit's payload.
func commitLength(ops []engine.Op) int64 {
	n := int64(16)
	for _, op := range ops {
		n += 1 + 8 + int64(len(op.Key)) + int64(len(op.Value))
		if op.Kind == engine.OpKeep || op.Kind == engine.OpDrop {
			n += 8
		}
	}
	return n
}

// appendCommit appends a commit's payload: space, version, and each operation
// with its lengths. Keep carries the size of the blob's record.
func appendCommit(dst []byte, w *waiter, size func(engine.BlobID) int64) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(w.space))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(w.version))
	for _, op := range w.ops {
		dst = append(dst, byte(op.Kind))
		if op.Kind == engine.OpKeep || op.Kind == engine.OpDrop {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(op.Blob))
			dst = binary.LittleEndian.AppendUint64(dst, uint64(size(op.Blob)))
			continue
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(op.Key)))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(op.Value)))
		dst = append(append(dst, op.Key...), op.Value...)
	}
	return dst
}

// sealedSizeLocked returns the size of the record of a blob that its writer still
// has, else 0.
func (e *Engine) sealedSizeLocked(id engine.BlobID) int64 {
	if s := e.mu.sealed[id]; s != nil {
		return s.size
	}
	return 0
}

// decodeCommit reads what appendCommit made. Keys and values share b.
func decodeCommit(b []byte) (*waiter, bool) {
	if len(b) < 16 {
		return nil, false
	}
	w := &waiter{space: engine.SpaceID(binary.LittleEndian.Uint64(b)), version: engine.Version(binary.LittleEndian.Uint64(b[8:]))}
	for b = b[16:]; len(b) > 0; {
		op := engine.Op{Kind: engine.OpKind(b[0])}
		switch op.Kind {
		case engine.OpKeep, engine.OpDrop:
			if len(b) < 17 {
				return nil, false
			}
			op.Blob = engine.BlobID(binary.LittleEndian.Uint64(b[1:]))
			b = b[17:]
		case engine.OpPut, engine.OpDelete, engine.OpDeleteRange:
			if len(b) < 9 {
				return nil, false
			}
			k, v := uint64(binary.LittleEndian.Uint32(b[1:])), uint64(binary.LittleEndian.Uint32(b[5:]))
			b = b[9:]
			if k+v > uint64(len(b)) {
				return nil, false
			}
			op.Key, op.Value = b[:k:k], b[k:k+v:k+v]
			b = b[k+v:]
		default:
			return nil, false
		}
		w.ops = append(w.ops, op)
	}
	return w, w.space != 0
}

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
