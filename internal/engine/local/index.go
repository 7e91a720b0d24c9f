package local

import (
	"encoding/binary"
	"errors"
	"math"
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
	keyNote     = 'n' // what SetNote left, until TakeNote
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

// apply puts the durable groups into the index that flush does not, in order.
func (e *Engine) apply() {
	for g := range e.groups {
		e.finish(g)
		e.unapplied.Add(-1)
	}
}

// finish puts a group into the index and answers its waiters.
func (e *Engine) finish(g *group) {
	if err := e.applyGroup(g); err != nil {
		e.fail(err)
		g.fail(e.stopped())
	}
}

// applyGroup takes those off the group's waiters that it has woken.
func (e *Engine) applyGroup(g *group) error {
	for {
		part, end := g.nextPart()
		if err := e.applyPart(part, end); err != nil {
			return err
		}
		e.stats.commits.Add(int64(len(part)))
		for _, w := range part {
			w.done <- nil
		}
		if g.waiters = g.waiters[len(part):]; len(g.waiters) == 0 {
			return nil
		}
	}
}

// nextPart returns the waiters that become one batch, and how far the log is
// applied then. A commit that was prepared is a batch of its own.
func (g *group) nextPart() (part []*waiter, end position) {
	n := 1
	for n < len(g.waiters) && g.waiters[0].prepared == nil && g.waiters[n].prepared == nil {
		n++
	}
	if n < len(g.waiters) {
		return g.waiters[:n], g.waiters[n].at
	}
	return g.waiters, g.end
}

func (e *Engine) applyPart(part []*waiter, end position) error {
	if len(part) == 1 && part[0].prepared != nil {
		return part[0].prepared.apply(end)
	}
	a := e.newApplier()
	defer a.batch.Close()
	for _, w := range part {
		if err := a.waiter(w); err != nil {
			return err
		}
	}
	return a.commit(end)
}

// applier turns commits into one batch of the index.
type applier struct {
	e       *Engine
	batch   *pebble.Batch
	blobs   map[engine.BlobID]*counted // that commits are about
	touched []engine.BlobID            // those of them that the batch has yet to write
	live    map[uint32]int64           // change of live octets by segment
}

type refs struct {
	count int64
	size  int64 // of the record
}

// counted is a blob's references while they are counted.
type counted struct {
	refs
	location  position // by the index; 0: not looked up
	changed   bool     // refs, since they were read
	relocated bool     // likewise location
	touched   bool     // listed by the applier
}

func (e *Engine) newApplier() *applier {
	return &applier{e: e, batch: e.index.NewBatch(), blobs: map[engine.BlobID]*counted{}, live: map[uint32]int64{}}
}

func (a *applier) waiter(w *waiter) error {
	if w.space == 0 {
		return a.relocate(w.moves)
	}
	for _, b := range w.fresh {
		a.blobs[b.id] = &counted{refs: refs{size: b.size}}
	}
	if err := a.readAhead(w.ops); err != nil {
		return err
	}
	for i, op := range w.ops {
		letOthersRun(i)
		if err := a.op(w.space, op); err != nil {
			return err
		}
	}
	return setVersion(a.batch, w)
}

func setVersion(batch *pebble.Batch, w *waiter) error {
	return batch.Set(idKey(keyVersion, uint64(w.space)), binary.BigEndian.AppendUint64(nil, uint64(w.version)), nil)
}

func (a *applier) op(space engine.SpaceID, op engine.Op) error {
	if n := references(&op); n != 0 {
		return a.count(op.Blob, n)
	}
	return setRow(a.batch, space, op)
}

// setRow does to a space's rows what an operation says.
func setRow(batch *pebble.Batch, space engine.SpaceID, op engine.Op) error {
	switch op.Kind {
	case engine.OpPut:
		set := batch.SetDeferred(9+len(op.Key), len(op.Value))
		copy(set.Key[9:], op.Key)
		copy(set.Value, op.Value)
		set.Key[0] = keyRow
		binary.BigEndian.PutUint64(set.Key[1:], uint64(space))
		return set.Finish()
	case engine.OpDelete:
		return batch.Delete(rowKey(space, op.Key), nil)
	case engine.OpDeleteRange:
		return batch.DeleteRange(rowKey(space, op.Key), rowKey(space, op.Value), nil)
	}
	return errors.New("an operation of unknown kind")
}

// references is how many references to its blob an operation adds.
func references(op *engine.Op) int64 {
	switch op.Kind {
	case engine.OpKeep:
		return 1
	case engine.OpDrop:
		return -1
	}
	return 0
}

// yieldEvery is the number of operations after which apply lets others run: some
// 100 microseconds.
const yieldEvery = 128

// letOthersRun is called for each of many things: who reads would wait, where all
// processors have something to do. It has the form of waiter.pause.
func letOthersRun(i int) error {
	if i%yieldEvery == yieldEvery-1 {
		runtime.Gosched()
	}
	return nil
}

// readAheadMin is the number of blobs from which one pass over the index is
// cheaper than a look for each.
const readAheadMin = 64

// readAhead reads the references of the blobs that many operations are for.
func (a *applier) readAhead(ops []engine.Op) error {
	var ids []engine.BlobID
	for i := range ops {
		if a.blobs[ops[i].Blob] == nil && references(&ops[i]) != 0 {
			ids = append(ids, ops[i].Blob)
		}
	}
	if len(ids) < readAheadMin {
		return nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return readEach(a.e.index, ids, keyRefs, letOthersRun, func(i int, value []byte) {
		a.blobs[ids[i]] = &counted{refs: decodeRefs(value)}
	})
}

// readEach calls fn for each of the ids, which ascend, with what the index has of
// it, nil for nothing.
func readEach(r pebble.Reader, ids []engine.BlobID, prefix byte, pause func(i int) error, fn func(i int, value []byte)) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	is := func(ok bool) engine.BlobID {
		if !ok {
			return math.MaxUint64
		}
		return engine.BlobID(decodeID(it.Key()[1:]))
	}
	key, here := idKey(prefix, 0), is(it.First())
	for i, id := range ids {
		if err := pause(i); err != nil {
			return err
		}
		if here < id { // often the next one
			here = is(it.Next())
		}
		if here < id {
			here = is(it.SeekGE(binary.BigEndian.AppendUint64(key[:1], uint64(id))))
		}
		if here == id {
			fn(i, it.Value())
		} else {
			fn(i, nil)
		}
	}
	return it.Error()
}

// count changes a blob's references.
func (a *applier) count(id engine.BlobID, n int64) error {
	b, err := a.blob(id)
	if err != nil {
		return err
	}
	if b.count+n == 0 {
		if err := b.locate(a.e.index, id); err != nil {
			return err
		}
	}
	a.touch(id, b)
	b.add(a.e, id, n, a.live)
	return nil
}

// add changes the references of a blob, of which the last one goes only when it
// was located, and the live octets of segments with them.
func (b *counted) add(e *Engine, id engine.BlobID, n int64, live map[uint32]int64) {
	was := b.count
	if b.count = max(0, b.count+n); b.count == was {
		return
	}
	b.changed = true
	switch {
	case was == 0:
		if b.size == 0 {
			b.size = e.recordSize(id)
		}
		// Compaction moves only what is kept: it is where it was written.
		live[position(id).segment()] += b.size
	case b.count == 0:
		live[e.placeOf(id, b.location).segment()] -= b.size
		b.location, b.relocated = position(id), true
	}
}

// locate looks up where a blob is.
func (b *counted) locate(r pebble.Reader, id engine.BlobID) (err error) {
	if b.location == 0 {
		b.location, err = readLocation(r, id)
	}
	return err
}

// blob returns what is known of a blob.
func (a *applier) blob(id engine.BlobID) (*counted, error) {
	if b := a.blobs[id]; b != nil {
		return b, nil
	}
	r, err := readRefs(a.e.index, id)
	if err != nil {
		return nil, err
	}
	b := &counted{refs: r}
	a.blobs[id] = b
	return b, nil
}

// touch notes that a blob may have to be written.
func (a *applier) touch(id engine.BlobID, b *counted) {
	if !b.touched {
		b.touched = true
		a.touched = append(a.touched, id)
	}
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

// setRefs writes a blob's references, if they changed.
func (b *counted) setRefs(batch *pebble.Batch, id engine.BlobID) error {
	if !b.changed {
		return nil
	}
	var memory [9 + 2*binary.MaxVarintLen64]byte // which is enough, and is copied
	key := binary.BigEndian.AppendUint64(append(memory[:0], keyRefs), uint64(id))
	if b.count == 0 {
		return batch.Delete(key, nil)
	}
	value := binary.AppendUvarint(binary.AppendUvarint(memory[9:9], uint64(b.count)), uint64(b.size))
	return batch.Set(key, value, nil)
}

// setLocation writes where a blob is, if that changed.
func (b *counted) setLocation(batch *pebble.Batch, id engine.BlobID) error {
	switch key := idKey(keyLocation, uint64(id)); {
	case !b.relocated:
		return nil
	case b.location == position(id):
		return batch.Delete(key, nil)
	default:
		return batch.Set(key, binary.BigEndian.AppendUint64(nil, uint64(b.location)), nil)
	}
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
	return decodeLocation(id, v), nil
}

func decodeLocation(id engine.BlobID, v []byte) position {
	if len(v) == 0 {
		return position(id)
	}
	return position(decodeID(v))
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
		b, err := a.blob(m.id)
		if err == nil {
			err = b.locate(a.e.index, m.id)
		}
		if err != nil {
			return err
		}
		if b.count == 0 {
			continue
		}
		a.touch(m.id, b)
		a.live[a.e.placeOf(m.id, b.location).segment()] -= b.size
		a.live[m.to.segment()] += m.size
		b.location, b.size, b.changed, b.relocated = m.to, m.size, true, true
	}
	return nil
}

func setMark(batch *pebble.Batch, end position) error {
	return batch.Set([]byte{keyMark}, binary.BigEndian.AppendUint64(nil, uint64(end)), nil)
}

// octets is about how large the batch will be.
func (a *applier) octets() int { return a.batch.Len() + 64*len(a.touched) }

// commit applies the batch, with the mark that everything before end is in.
func (a *applier) commit(end position) error {
	slices.Sort(a.touched)
	for _, id := range a.touched {
		b := a.blobs[id]
		if err := errors.Join(b.setRefs(a.batch, id), b.setLocation(a.batch, id)); err != nil {
			return err
		}
	}
	if err := setMark(a.batch, end); err != nil {
		return err
	}
	return a.e.commitIndex(a.batch, end, a.live, a.touched)
}

// commitIndex applies a batch, with which everything before end is in the index.
func (e *Engine) commitIndex(batch *pebble.Batch, end position, live map[uint32]int64, changed []engine.BlobID) error {
	if err := batch.Commit(pebble.NoSync); err != nil {
		return err
	}
	e.noteIndexed(end, live, changed)
	return nil
}

// noteIndexed is called when everything before end has come into the index, with the
// blobs and the live octets of segments that the last of it has changed.
func (e *Engine) noteIndexed(end position, live map[uint32]int64, changed []engine.BlobID) {
	e.noteChanged(changed)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.mu.indexed = end
	for n, change := range live {
		if s := e.mu.segments[n]; s != nil {
			s.live += change
		}
	}
}
