package local

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/cockroachdb/pebble/v2"
)

// preparation is the batch of a large commit, or its tables, made in the committer's
// goroutine before the commit is in the log: whatever apply does, everybody waits for.
//
// Rows depend on nothing that is in the index. References do: they are counted
// from a snapshot, and of the blobs that were changed by commits that are not in
// the snapshot, again when the commit's turn comes. To know these, a preparation
// is registered before its snapshot is taken, and told of changes when they are in
// the index.
type preparation struct {
	e       *Engine
	w       *waiter
	sizes   map[engine.BlobID]int64 // of the records of blobs whose writers have them
	steps   []step                  // by blob, then as they come
	ids     []engine.BlobID         // of the blobs, ascending
	blobs   []counted               // what the index has of them
	rows    []row                   // in the order of the batch
	batch   *pebble.Batch
	tables  *tables          // instead of a batch, if not nil
	live    map[uint32]int64 // change of live octets by segment
	drops   bool             // there are blobs that the commit drops
	changed map[int]bool     // which of the blobs others changed; under Engine.preparing
	begun   bool             // Close waits for the end
}

// step is an operation that changes a blob's references.
type step struct {
	id engine.BlobID
	op int // its index
}

// row is an operation on rows. Those between two deletions of ranges are one run,
// within which only the last one of each key counts.
type row struct {
	start   [2]uint64 // of its key, which is compared the faster for it
	run, op int
}

// preparations is how many commits may be prepared at once: each holds about as
// much memory as its record in the log.
const preparations = 2

// prepare prepares a large commit, of which the record has a payload of that length.
// Errors: those of Commit.
func (e *Engine) prepare(ctx context.Context, w *waiter, length int64) error {
	select {
	case e.slots <- struct{}{}:
	case <-ctx.Done():
		return errs.Wrap("local.Commit", ctx.Err())
	}
	p := &preparation{e: e, w: w, changed: map[int]bool{}}
	if err := p.make(length >= e.opts.aheadMin); err != nil {
		p.end()
		return err
	}
	w.prepared = p
	return nil
}

// make makes the batch, or tables if those are worth their while.
func (p *preparation) make(tables bool) error {
	if err := p.sort(); err != nil {
		return err
	}
	if err := p.register(); err != nil {
		return err
	}
	if err := p.read(); err != nil {
		return p.failure(indexError("local.Commit", err))
	}
	if tables && !p.deletesRanges() {
		p.tables = p.e.newTables()
		if err := p.build(); err == nil || p.w.ended != nil {
			return p.failure(err)
		}
		p.dropTables() // the disk may be full: a batch needs none
	}
	return p.failure(errs.As("local.Commit", errs.Internal, "", p.build()))
}

// deletesRanges reports whether a deletion of a range is among the rows. Tables have
// no order of deletions and of what is put there later.
func (p *preparation) deletesRanges() bool {
	return len(p.rows) > 0 && p.rows[len(p.rows)-1].run > 0
}

// failure is why the preparation ended, of which err tells.
func (p *preparation) failure(err error) error {
	if p.w.ended != nil {
		return errs.Wrap("local.Commit", p.w.ended)
	}
	return err
}

// end lets go of everything, whatever became of the commit.
func (p *preparation) end() {
	p.unregister()
	p.dropTables()
	if p.batch != nil {
		p.batch.Close()
	}
	if p.begun {
		p.e.wg.Done()
	}
	<-p.e.slots
}

// sort brings the operations into the order of the index's keys: its library sorts
// so large a batch when it is applied, and has little to do when it is sorted.
func (p *preparation) sort() error {
	if err := p.list(); err != nil {
		return p.failure(err)
	}
	compared := 0
	pause := func() {
		if p.w.ended == nil {
			_ = p.w.pause(compared)
		}
		compared++
	}
	slices.SortFunc(p.steps, func(a, b step) int {
		pause()
		return cmp.Or(cmp.Compare(a.id, b.id), a.op-b.op)
	})
	slices.SortFunc(p.rows, func(a, b row) int {
		pause()
		return p.compareRows(a, b)
	})
	if p.w.ended != nil {
		return p.failure(nil)
	}
	p.ids = make([]engine.BlobID, 0, len(p.steps))
	for _, s := range p.steps {
		if n := len(p.ids); n == 0 || p.ids[n-1] != s.id {
			p.ids = append(p.ids, s.id)
		}
	}
	return nil
}

// list divides the operations into steps and rows.
func (p *preparation) list() error {
	n := 0
	for i := range p.w.ops {
		if err := p.w.pause(i); err != nil {
			return err
		}
		if references(&p.w.ops[i]) != 0 {
			n++
		}
	}
	p.steps, p.rows = make([]step, 0, n), make([]row, 0, len(p.w.ops)-n)
	run := 0
	for i := range p.w.ops {
		if err := p.w.pause(i); err != nil {
			return err
		}
		op := &p.w.ops[i]
		switch {
		case references(op) != 0:
			p.steps = append(p.steps, step{op.Blob, i})
			p.drops = p.drops || op.Kind == engine.OpDrop
		case op.Kind == engine.OpDeleteRange:
			p.rows = append(p.rows, row{keyStart(op.Key), run + 1, i})
			run += 2
		default:
			p.rows = append(p.rows, row{keyStart(op.Key), run, i})
		}
	}
	return nil
}

// keyStart is the first octets of a key, such that keys with different ones are
// ordered as these are.
func keyStart(key []byte) [2]uint64 {
	var b [16]byte
	copy(b[:], key)
	return [2]uint64{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

func (p *preparation) compareRows(a, b row) int {
	switch {
	case a.run != b.run:
		return a.run - b.run
	case a.start[0] != b.start[0]:
		return cmp.Compare(a.start[0], b.start[0])
	case a.start[1] != b.start[1]:
		return cmp.Compare(a.start[1], b.start[1])
	}
	return cmp.Or(bytes.Compare(p.w.ops[a.op].Key, p.w.ops[b.op].Key), a.op-b.op)
}

// register lets the preparation be told of changes, and keeps Close from closing
// index and files under it.
func (p *preparation) register() error {
	e := p.e
	e.preparing.Lock()
	e.preparing.all[p] = true
	e.preparing.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.openLocked(); err != nil {
		return err
	}
	e.wg.Add(1)
	p.begun = true
	p.sizes = make(map[engine.BlobID]int64, len(e.mu.sealed))
	for id, s := range e.mu.sealed {
		p.sizes[id] = s.size
	}
	return nil
}

// unregister ends that, and returns which of the blobs others changed.
func (p *preparation) unregister() map[int]bool {
	p.e.preparing.Lock()
	defer p.e.preparing.Unlock()
	delete(p.e.preparing.all, p)
	return p.changed
}

// noteChanged tells preparations of blobs whose references or place have changed
// in the index.
func (e *Engine) noteChanged(ids []engine.BlobID) {
	e.preparing.Lock()
	defer e.preparing.Unlock()
	for p := range e.preparing.all {
		for _, id := range ids {
			if i, found := slices.BinarySearch(p.ids, id); found {
				p.changed[i] = true
			}
		}
	}
}

// keeps reports whether the commit keeps a blob.
func (p *preparation) keeps(id engine.BlobID) bool {
	i, _ := slices.BinarySearchFunc(p.steps, id, func(s step, id engine.BlobID) int { return cmp.Compare(s.id, id) })
	for ; i < len(p.steps) && p.steps[i].id == id; i++ {
		if p.w.ops[p.steps[i].op].Kind == engine.OpKeep {
			return true
		}
	}
	return false
}

// read reads what the index has of the blobs.
func (p *preparation) read() error {
	snap := p.e.index.NewSnapshot()
	defer snap.Close()
	p.blobs = make([]counted, len(p.ids))
	err := readEach(snap, p.ids, keyRefs, p.w.pause, func(i int, value []byte) { p.blobs[i].refs = decodeRefs(value) })
	if err != nil || !p.drops { // what is only kept may be anywhere
		return err
	}
	return readEach(snap, p.ids, keyLocation, p.w.pause, func(i int, value []byte) { p.blobs[i].location = decodeLocation(p.ids[i], value) })
}

// build makes the batch or the tables, in the order of the keys. The mark is not yet
// known.
func (p *preparation) build() error {
	p.live = map[uint32]int64{}
	if p.tables == nil {
		p.batch = p.e.index.NewBatchWithSize(p.batchSize())
		return errors.Join(setMark(p.batch, 0), p.buildAll())
	}
	p.batch = p.e.index.NewBatchWithSize(2 * tableStep)
	defer func() {
		p.batch.Close()
		p.batch = nil
	}()
	if err := p.buildAll(); err != nil {
		return err
	}
	return errors.Join(p.tables.add(p.batch), p.tables.end())
}

// batchSize is about how many octets the batch has with everything in it.
func (p *preparation) batchSize() int {
	size := 64 + 40*len(p.ids)
	for _, r := range p.rows {
		op := &p.w.ops[r.op]
		size += 32 + len(op.Key) + len(op.Value)
	}
	return size
}

func (p *preparation) buildAll() error {
	gone, err := p.buildRefs()
	if err != nil {
		return err
	}
	if err := errors.Join(p.buildRows(), setVersion(p.batch, p.w)); err != nil {
		return err
	}
	for i, id := range gone {
		if err := p.step(i); err != nil {
			return err
		}
		if err := p.batch.Delete(idKey(keyLocation, uint64(id)), nil); err != nil {
			return err
		}
	}
	return nil
}

// step is called before each of many changes is put into the batch: it makes the pauses,
// and moves what is there to the tables when that is enough.
func (p *preparation) step(i int) error {
	if p.tables != nil && p.batch.Len() >= tableStep {
		if err := p.tables.add(p.batch); err != nil {
			return err
		}
		p.batch.Reset()
	}
	return p.w.pause(i)
}

// buildRefs returns the blobs of which the last reference went.
func (p *preparation) buildRefs() (gone []engine.BlobID, err error) {
	steps := p.steps
	for i, id := range p.ids {
		if err := p.step(i); err != nil {
			return nil, err
		}
		b := p.blobs[i] // a copy: it may be counted again
		for ; len(steps) > 0 && steps[0].id == id; steps = steps[1:] {
			b.add(p.e, id, references(&p.w.ops[steps[0].op]), p.live)
		}
		if b.relocated {
			gone = append(gone, id)
		}
		if err := b.setRefs(p.batch, id); err != nil {
			return nil, err
		}
	}
	return gone, nil
}

func (p *preparation) buildRows() error {
	for i, r := range p.rows {
		if err := p.step(i); err != nil {
			return err
		}
		op := p.w.ops[r.op]
		if i+1 < len(p.rows) && p.rows[i+1].run == r.run && bytes.Equal(p.w.ops[p.rows[i+1].op].Key, op.Key) {
			continue
		}
		if err := setRow(p.batch, p.w.space, op); err != nil {
			return err
		}
	}
	return nil
}

// apply puts the changes into the index when the commit's turn has come: all before it
// is in the index, and with it all before end is.
func (p *preparation) apply(end position) error {
	p.w.pace = nil // everybody waits now
	changed := p.unregister()
	if p.tables != nil && len(changed) == 0 && p.tables.takeIn(end) == nil {
		p.e.noteIndexed(end, p.live, p.ids)
		return nil
	}
	if p.tables != nil || len(changed) > 0 {
		if err := p.again(changed); err != nil {
			return err
		}
	}
	reader := p.batch.Reader()
	_, _, mark, ok, err := reader.Next()
	if err != nil || !ok || len(mark) != 8 {
		return errors.Join(errors.New("a batch without a mark"), err)
	}
	binary.BigEndian.PutUint64(mark, uint64(end))
	return p.e.commitIndex(p.batch, end, p.live, p.ids)
}

// again makes the batch anew, with some of the blobs as the index has them now.
func (p *preparation) again(changed map[int]bool) (err error) {
	for i := range changed {
		b, id := &p.blobs[i], p.ids[i]
		if b.refs, err = readRefs(p.e.index, id); err != nil {
			return err
		}
		if b.location, err = readLocation(p.e.index, id); err != nil {
			return err
		}
	}
	p.dropTables()
	if p.batch != nil {
		p.batch.Close()
	}
	return p.build()
}

func (p *preparation) dropTables() {
	if p.tables != nil {
		p.tables.drop()
		p.tables = nil
	}
}
