package local

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"path"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

const (
	logDir   = "log"
	indexDir = "index"
)

// Options of Open. Zero values mean the defaults.
type Options struct {
	Now           func() time.Time // required
	SegmentOctets int64            // a log segment is closed when it would grow beyond; default 64 MiB
	Reserve       int64            // octets kept free for commits without new mail; default 64 MiB
	DenseAfter    time.Duration    // age at which a segment is compressed; default 24 h; negative: never
	DeadShare     float64          // share of dead octets at which a segment is rewritten; default 0.3
	CompactEvery  time.Duration    // pause between looks for work; default 1 min; negative: never by itself
	IndexCache    int64            // octets of index blocks in memory; default 64 MiB
	IndexFS       pebblevfs.FS     // where the index lives; default the disk. It is disposable.
	IndexDir      string           // default the folder index of the store
	ReadOnly      bool             // change nothing but the index, which is made anew; every commit fails
	Until         time.Time        // with ReadOnly: leave out what was committed later; within a second
	Turn          func() Turn      // begins long work that nobody waits for; default: it makes no pauses
	Events        Events

	// For tests:
	aloneMin, aheadMin, tableOctets, fillStep, quietStep int64
	quietAfter, idleAfter, retryEvery                    time.Duration
}

// Turn is what long work makes its pauses by.
type Turn interface {
	// Pause is called between small pieces of the work. Its error is that of ctx.
	Pause(ctx context.Context) error
	End()
}

// noTurn makes no pauses.
type noTurn struct{}

func (noTurn) Pause(ctx context.Context) error { return ctx.Err() }
func (noTurn) End()                            {}

// memtable is how many octets of changes of the index are in memory before they
// are flushed.
func (o *Options) memtable() int64 { return min(16<<20, o.IndexCache/2) }

// Events tells the owner what it cannot learn from errors. All are optional
// and must not block.
type Events struct {
	Stopped func(err error)   // a write failed; nothing is acknowledged any more
	Finding func(f Finding)   // damage was found
	Opened  func(r Recovery)  // what opening had to do
	Compact func(c Compacted) // a compaction ended
}

// Finding is damage in one place of the log.
type Finding struct {
	Segment uint32
	Offset  int64
	What    string
}

func (f Finding) String() string {
	return "segment " + strconv.FormatUint(uint64(f.Segment), 10) + " at octet " + strconv.FormatInt(f.Offset, 10) + ": " + f.What
}

// Recovery is what opening a store had to do.
type Recovery struct {
	Rebuilt  bool  // the index was made anew from the whole log
	Replayed int   // commits applied from the log
	Cut      int64 // octets of a torn tail that were cut off; none was acknowledged
}

// Compacted is what one compaction did.
type Compacted struct {
	Segments      int // rewritten or deleted
	Before, After int64
	Err           error
}

func (o *Options) setDefaults(dir string) {
	def := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.SegmentOctets, 64<<20)
	def(&o.Reserve, 64<<20)
	def(&o.aloneMin, aloneMin)
	def(&o.aheadMin, aheadMin)
	def(&o.tableOctets, tableOctets)
	def(&o.fillStep, fillStep)
	def(&o.quietStep, quietStep)
	def((*int64)(&o.quietAfter), int64(quietAfter))
	def((*int64)(&o.idleAfter), int64(idleAfter))
	def((*int64)(&o.retryEvery), int64(retryEvery))
	def(&o.IndexCache, 64<<20)
	if o.DenseAfter == 0 {
		o.DenseAfter = 24 * time.Hour
	}
	if o.DeadShare == 0 {
		o.DeadShare = 0.3
	}
	if o.CompactEvery == 0 {
		o.CompactEvery = time.Minute
	}
	if o.Turn == nil {
		o.Turn = func() Turn { return noTurn{} }
	}
	if o.IndexDir == "" {
		o.IndexDir = path.Join(dir, indexDir)
	}
	if o.IndexFS == nil {
		o.IndexFS = pebblevfs.Default
	}
}

// Engine implements engine.Engine.
type Engine struct {
	fs   vfs.FS
	dir  string
	opts Options
	uuid [16]byte
	lock io.Closer

	index        *pebble.DB
	indexOptions *pebble.Options
	tablesMade   atomic.Int64 // commits of which tables were begun
	pace         *pace
	applied      position // how far the index had come when it was opened
	rowsOnly     bool     // it holds rows that the log has lost
	files        *fileCache
	dictionaries dictionaries
	locations    locations
	kept         keptFrames
	// Of flush alone, or of the committer who does its work (lead):
	active      *openFile     // the segment being written
	synced      position      // the log's end that is durable
	noReserve   bool          // space cannot be allocated here
	activeEnd   int64         // of the log in it
	filled      int64         // its zeros end here
	zerosWanted int64         // ahead of the log's end
	quiet       bool          // since nothing came for quietAfter
	lastGroup   int           // commits that the last sync carried
	syncTime    time.Duration // what the syncs of a group take, a moving average
	groups      chan *group
	unapplied   atomic.Int32 // groups that apply has, or is to have

	work    *sync.Cond // on mu: something waits, or closing
	room    *sync.Cond // on mu: buffered went down
	failure atomic.Pointer[error]
	slots   chan struct{} // taken by preparations

	preparing struct { // they are told of what others change
		sync.Mutex
		all map[*preparation]bool
	}
	stop    chan struct{} // closed when closing
	wg      sync.WaitGroup
	compact sync.Mutex // one compaction at a time

	lastCheckpoint int64 // under compact: octets of the rows in it; 0: none was made since the start

	reserved atomic.Bool // the file RESERVE is there
	lossy    atomic.Bool // commits may be lost: nothing is deleted

	stats struct{ syncs, commits, blobs atomic.Int64 }

	mu struct {
		sync.Mutex
		chunks      []chunk // at least one, the last is of the active segment
		offset      int64   // the log's end in the active segment
		clock       int64   // of the last clock record
		prev        uint32
		durable     position // the log's end that is synced
		indexed     position // that is in the index, too
		buffered    int64
		waiters     []*waiter
		wanted      int // waiters for which flush waits: fewer do not wake it
		comeback    comeback
		versions    map[engine.SpaceID]engine.Version
		sealed      map[engine.BlobID]*sealed // by a writer that was not released
		segments    map[uint32]*segment
		lastSegment uint32
		found       map[position]bool // damage that was reported
		closing     bool
		expected    int           // commits for which a sync waits
		idle        bool          // flush waits, and there is nothing to be written
		leads       bool          // a committer does flush's work
		led         bool          // one did since flush began to wait for quiet
		due         time.Duration // zerosDue when flush looked last
		free        int64         // at last look
		freeSpent   int64         // written since
	}
	spare []byte // under mu: a buffer to be used again
}

// segment is what is known of a segment beside its octets.
type segment struct {
	info    segmentInfo
	size    int64
	live    int64 // octets of records of blobs that are kept
	own     int64 // octets of the dictionary and its copy
	damaged bool  // its header is; left alone for ever
	blank   bool  // its header is zero, as when the power went before its sync
}

// unfinished reports whether a segment was being made when the power went: no
// record names it, and its number may be used again.
func (s *segment) unfinished() bool { return s.blank && s.live == 0 && s.info.kind != kindLog }

// sealed is a blob that its writer may still hand to commits.
type sealed struct {
	record []byte // while it is not written
	size   int64  // of the record
	lost   bool   // a full disk took it before it was written
	kept   bool   // a commit was to keep it
}

func (e *Engine) segmentName(n uint32) string {
	return path.Join(e.dir, logDir, segmentFile(n))
}

// segmentFile is the name of a segment's file, with at least eight digits.
func segmentFile(n uint32) string { return fmt.Sprintf("%08d.seg", n) }

func (e *Engine) Blobs() engine.Blobs { return blobs{e} }

func (e *Engine) Space(_ context.Context, id engine.SpaceID) (engine.Space, error) {
	return &space{e, id}, nil
}

// Spaces yields the ids of all spaces that had a commit.
func (e *Engine) Spaces(ctx context.Context) iter.Seq2[engine.SpaceID, error] {
	return func(yield func(engine.SpaceID, error) bool) {
		it, err := e.index.NewIter(&pebble.IterOptions{LowerBound: []byte{keyVersion}, UpperBound: []byte{keyVersion + 1}})
		if err != nil {
			yield(0, indexError("local.Spaces", err))
			return
		}
		defer it.Close()
		for ok := it.First(); ok; ok = it.Next() {
			if !yield(engine.SpaceID(decodeID(it.Key()[1:])), ctx.Err()) {
				return
			}
		}
		if err := it.Error(); err != nil {
			yield(0, indexError("local.Spaces", err))
		}
	}
}

// Close waits for what was begun and closes the files.
func (e *Engine) Close() error {
	e.mu.Lock()
	if e.mu.closing {
		e.mu.Unlock()
		return nil
	}
	e.mu.closing = true
	close(e.stop)
	e.work.Broadcast()
	e.room.Broadcast()
	e.mu.Unlock()
	e.wg.Wait()
	_ = e.flushIndex() // where it cannot be, the next start reads the log
	err := e.index.Close()
	e.files.closeAll()
	e.lock.Close()
	if ferr := e.stopped(); ferr != nil && !e.opts.ReadOnly {
		return ferr
	}
	return errs.Wrap("local.Close", err)
}

// Stats are counts since the start and sizes now.
type Stats struct {
	Syncs, Commits, Blobs int64
	Segments              int
	Octets, Live          int64 // of the log; of blobs that are kept
}

// Stats returns the figures of now.
func (e *Engine) Stats() Stats {
	s := Stats{Syncs: e.stats.syncs.Load(), Commits: e.stats.commits.Load(), Blobs: e.stats.blobs.Load()}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Segments = len(e.mu.segments)
	active := e.mu.chunks[len(e.mu.chunks)-1].segment
	for n, seg := range e.mu.segments {
		s.Octets += seg.size
		s.Live += seg.live
		if n == active {
			s.Octets += e.mu.offset - seg.size
		}
	}
	return s
}

type space struct {
	e  *Engine
	id engine.SpaceID
}

func (s *space) Close() error { return nil }

// Commit hands the batch to the log and waits until it is durable and in the
// index.
func (s *space) Commit(ctx context.Context, expect engine.Version, b *engine.Batch) (engine.Version, error) {
	const op = "local.Commit"
	if err := ctx.Err(); err != nil {
		return 0, errs.Wrap(op, err)
	}
	w := &waiter{space: s.id, version: expect + 1, ops: b.Ops, pace: b.Pace, done: make(chan error, 1), willing: true}
	length, err := commitLength(b.Ops, w.pause)
	if err != nil {
		return 0, errs.Wrap(op, err)
	}
	if length > 1<<30 {
		return 0, errs.New(op, errs.TooBig, "the change is too large for one commit")
	}
	var a *alone
	if length >= s.e.opts.aheadMin {
		if err := s.e.waitFlushed(ctx); err != nil {
			return 0, err
		}
	}
	if length >= s.e.opts.aloneMin {
		if err := s.e.prepare(ctx, w, length); err != nil {
			return 0, err
		}
		defer w.prepared.end()
		if a, err = commitAlone(w, length); err != nil {
			return 0, err
		}
		if length >= s.e.opts.aheadMin {
			defer s.e.dropAhead(a)
			if err := s.e.writeAhead(a); err != nil {
				return 0, err
			}
		}
	}
	if err := s.e.enqueue(w, expect, length, a); err != nil {
		return 0, err
	}
	if w.leads {
		s.e.lead()
	}
	if err := <-w.done; err != nil {
		return 0, err
	}
	return w.version, nil
}

// enqueue appends a commit's record to the log, if the space is at the
// expected version. a is the record if it was made already.
func (e *Engine) enqueue(w *waiter, expect engine.Version, length int64, a *alone) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.waitRoomLocked(); err != nil {
		return err
	}
	version, ok := e.mu.versions[w.space]
	if !ok {
		var err error
		if version, err = e.indexVersion(w.space); err != nil {
			return err
		}
	}
	if version != expect {
		return errs.New("local.Commit", errs.Conflict, "")
	}
	if err := e.checkKeptLocked(w); err != nil {
		return err
	}
	w.fresh = e.freshLocked(w)
	e.mu.versions[w.space] = w.version
	e.tickLocked()
	switch {
	case a != nil && a.ahead != nil && a.ahead.number > e.mu.chunks[len(e.mu.chunks)-1].segment:
		w.at = e.appendAheadLocked(a)
	case a != nil:
		w.at = e.appendAloneLocked(recCommit, a)
	default:
		w.at = e.appendLocked(recCommit, length, 0, func(dst []byte) []byte { return appendCommit(dst, w, e.sealedSizeLocked) })
	}
	e.addWaiterLocked(w)
	return nil
}

// checkKeptLocked refuses to keep a blob that a full disk took.
func (e *Engine) checkKeptLocked(w *waiter) error {
	for _, s := range e.keptLocked(w) {
		if s.lost {
			return errs.New("local.Commit", errs.NoSpace, "the disk is full")
		}
	}
	return nil
}

// freshLocked returns the blobs that no commit kept before: the index has nothing
// of them, which need not be looked up then.
func (e *Engine) freshLocked(w *waiter) (fresh []freshBlob) {
	for id, s := range e.keptLocked(w) {
		if !s.kept {
			s.kept = true
			fresh = append(fresh, freshBlob{id, s.size})
		}
	}
	return fresh
}

// keptLocked yields the blobs that a commit keeps and whose writers still have
// them.
func (e *Engine) keptLocked(w *waiter) iter.Seq2[engine.BlobID, *sealed] {
	return func(yield func(engine.BlobID, *sealed) bool) {
		if p := w.prepared; p != nil && len(e.mu.sealed) < len(p.steps) {
			for id, s := range e.mu.sealed {
				if p.keeps(id) && !yield(id, s) {
					return
				}
			}
			return
		}
		for i := range w.ops {
			if op := &w.ops[i]; op.Kind == engine.OpKeep {
				if s := e.mu.sealed[op.Blob]; s != nil && !yield(op.Blob, s) {
					return
				}
			}
		}
	}
}

// tickLocked notes the time in the log, at most once a second.
func (e *Engine) tickLocked() {
	now := e.opts.Now().Unix()
	if now <= e.mu.clock {
		return
	}
	e.mu.clock = now
	e.appendLocked(recClock, 8, 0, func(dst []byte) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(now)) })
}

// waitRoomLocked waits while too much is buffered.
func (e *Engine) waitRoomLocked() error {
	for e.mu.buffered >= bufferedMax && !e.mu.closing && e.stopped() == nil {
		e.work.Signal()
		e.room.Wait()
	}
	return e.openLocked()
}

// openLocked returns why nothing can be written, or nil.
func (e *Engine) openLocked() error {
	if e.mu.closing {
		return errs.New("local", errs.Temporary, "the store is closed")
	}
	return e.stopped()
}
