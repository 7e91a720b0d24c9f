package local

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/cockroachdb/pebble/v2"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

const (
	formatFile = "FORMAT" // the store's identity: segmentHeader octets as of segment 0
	lockFile   = "LOCK"
)

// Open opens the store in dir, or makes it. Errors: InUse when another process
// has it, Corrupt when it is none of ours.
func Open(ctx context.Context, fsys vfs.FS, dir string, o Options) (*Engine, error) {
	o.setDefaults(dir)
	e := &Engine{fs: fsys, dir: dir, opts: o, groups: make(chan *group, 1), slots: make(chan struct{}, preparations), stop: make(chan struct{})}
	e.work, e.room = sync.NewCond(&e.mu), sync.NewCond(&e.mu)
	e.mu.versions = map[engine.SpaceID]engine.Version{}
	e.mu.sealed = map[engine.BlobID]*sealed{}
	e.mu.segments = map[uint32]*segment{}
	e.mu.found = map[position]bool{}
	e.preparing.all = map[*preparation]bool{}
	e.pace = newPace(context.WithoutCancel(ctx), &o, e.stop, e.failIndex)
	e.dictionaries.m = map[position]*usedDictionary{}
	e.files = &fileCache{m: map[uint32]*openFile{}, open: func(n uint32) (vfs.File, error) { return fsys.Open(e.segmentName(n)) }}
	if err := e.claim(); err != nil {
		return nil, err
	}
	if err := e.open(ctx); err != nil {
		if e.index != nil {
			e.index.Close()
		}
		e.files.closeAll()
		e.lock.Close()
		return nil, err
	}
	e.pace.index.Store(e.index)
	e.wg.Go(e.flush)
	e.wg.Go(e.apply)
	if e.rowsOnly {
		if err := e.checkpoint(ctx, noTurn{}); err != nil {
			return nil, errors.Join(err, e.Close())
		}
	}
	if o.ReadOnly {
		err := errs.New("local", errs.Denied, "the store was opened for reading only")
		e.failure.Store(&err)
	} else {
		e.wg.Go(func() { e.housekeep(context.WithoutCancel(ctx)) })
	}
	return e, nil
}

// claim makes the folders and takes the lock, unless the store is for reading.
func (e *Engine) claim() error {
	const op = "local.Open"
	if e.opts.ReadOnly {
		e.lock = io.NopCloser(nil)
		return nil
	}
	if err := e.fs.MkdirAll(path.Join(e.dir, logDir)); err != nil {
		return errs.As(op, errs.Temporary, "", err)
	}
	name := path.Join(e.dir, lockFile)
	lock, err := e.fs.Lock(name)
	if errors.Is(err, fs.ErrExist) {
		return errs.As(op, errs.InUse, "the store is in use by another process", fmt.Errorf("%s is locked: stop the other server first", name))
	}
	e.lock = lock
	return errs.As(op, errs.Temporary, "", err)
}

func (e *Engine) open(ctx context.Context) error {
	if err := e.readFormat(); err != nil && (!e.opts.ReadOnly || errs.Is(err, errs.Denied) || e.guessFormat() != nil) {
		return err
	}
	numbers, err := e.listSegments()
	if err != nil {
		return err
	}
	e.keepReserve()
	recovery, err := e.recover(ctx, numbers)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rotateLocked(e.nextSegmentLocked())
	e.mu.chunks = e.mu.chunks[len(e.mu.chunks)-1:]
	if f := e.opts.Events.Opened; f != nil {
		f(recovery)
	}
	return nil
}

// readFormat reads the store's identity, or makes one.
func (e *Engine) readFormat() error {
	const op = "local.Open"
	name := path.Join(e.dir, formatFile)
	f, err := e.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		names, lerr := e.fs.List(path.Join(e.dir, logDir))
		if lerr != nil || len(names) > 0 {
			return errs.As(op, errs.Corrupt, "", fmt.Errorf("%s is missing, but there is a log; put the file back from a backup, or let angarium repair make it again", name))
		}
		return e.makeFormat(name)
	}
	if err != nil {
		return errs.As(op, errs.Temporary, "", err)
	}
	defer f.Close()
	b := make([]byte, segmentHeader)
	if _, err := f.ReadAt(b, 0); err != nil {
		return errs.As(op, errs.Corrupt, "", fmt.Errorf("%s cannot be read: %w", name, err))
	}
	if err := e.fs.SyncDir(e.dir); err != nil { // it may have been made just before a crash
		return errs.As(op, errs.Temporary, "", err)
	}
	copy(e.uuid[:], b[16:32])
	if _, what := decodeSegment(b, e.uuid); what != "" {
		kind := errs.Corrupt
		if isNewer(b) {
			kind = errs.Denied
		}
		return errs.As(op, kind, "", fmt.Errorf("%s: %s", name, what))
	}
	return nil
}

// guessFormat takes the store's identity from the first segment that has a
// header.
func (e *Engine) guessFormat() error {
	names, err := e.fs.List(path.Join(e.dir, logDir))
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := e.fs.Open(path.Join(e.dir, logDir, name))
		if err != nil {
			continue
		}
		b := make([]byte, segmentHeader)
		_, err = f.ReadAt(b, 0)
		f.Close()
		if _, what := decodeSegment(b, [16]byte(b[16:32])); err == nil && what == "" {
			copy(e.uuid[:], b[16:32])
			return nil
		}
	}
	return errors.New("no segment has a readable header")
}

func (e *Engine) makeFormat(name string) error {
	rand.Read(e.uuid[:])
	info := segmentInfo{created: e.opts.Now().Unix()}
	return errs.As("local.Open", errs.Temporary, "the store cannot be made", vfs.WriteWhole(e.fs, name, info.encode(e.uuid)))
}

// listSegments reads the headers of all segments and returns their numbers in
// order.
func (e *Engine) listSegments() ([]uint32, error) {
	names, err := e.fs.List(path.Join(e.dir, logDir))
	if err != nil {
		return nil, errs.As("local.Open", errs.Temporary, "", err)
	}
	var numbers []uint32
	for _, name := range names {
		stem, ok := strings.CutSuffix(name, ".seg")
		n, err := strconv.ParseUint(stem, 10, 32)
		if !ok || err != nil {
			continue
		}
		number := uint32(n)
		e.mu.lastSegment = max(e.mu.lastSegment, number)
		seg, err := e.readSegment(number)
		if err != nil {
			return nil, err
		}
		if seg != nil {
			e.mu.segments[number] = seg
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// readSegment reads one segment's header. It returns nil for a file that was
// being made when the power went. Behind a damaged header the records are
// still used.
func (e *Engine) readSegment(n uint32) (*segment, error) {
	f, err := e.files.get(n)
	if err != nil {
		return nil, errs.As("local.Open", errs.Temporary, "", err)
	}
	defer e.files.done(f)
	size, err := f.Size()
	if err != nil {
		return nil, errs.As("local.Open", errs.Temporary, "", err)
	}
	b := make([]byte, segmentHeader+recordHeader)
	if size >= segmentHeader {
		if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
			return nil, errs.As("local.Open", errs.Temporary, "", err)
		}
	}
	first, b := b[segmentHeader:], b[:segmentHeader]
	info, what := decodeSegment(b, e.uuid)
	switch {
	case what == "" && info.number == n:
		seg := &segment{info: info, size: size}
		if r, ok := decodeRecord(first, at(n, segmentHeader), e.uuid); ok && isDictionary(r) {
			seg.own = 2 * r.size()
		}
		return seg, nil
	case size <= segmentHeader:
		return nil, nil
	}
	if what == "" {
		what = fmt.Sprintf("the file holds segment %d", info.number)
	}
	seg, err := e.guessSegment(n, size)
	if err != nil {
		return nil, err
	}
	seg.blank = bytes.Count(b, []byte{0}) == len(b)
	if seg.info.kind == kindLog || !seg.blank {
		e.finding(Finding{Segment: n, What: what})
	}
	return seg, nil
}

// guessSegment makes up the header of a segment from its records.
func (e *Engine) guessSegment(n uint32, size int64) (*segment, error) {
	seg := &segment{info: segmentInfo{number: n, minor: formatMinor, kind: kindDense}, size: size, damaged: true}
	group, err := e.nextRecord(*seg, segmentHeader-8, func(r record) bool { return r.flags&flagGroup != 0 })
	if group < size {
		seg.info.kind = kindLog // others have no groups
	}
	return seg, err
}

// finding reports damage, once for each place.
func (e *Engine) finding(f Finding) {
	where := at(f.Segment, f.Offset)
	e.mu.Lock()
	known := e.mu.found[where]
	e.mu.found[where] = true
	e.mu.Unlock()
	if report := e.opts.Events.Finding; report != nil && !known {
		report(f)
	}
}

func (e *Engine) openIndex() (err error) {
	cache := pebble.NewCache(e.opts.IndexCache)
	defer cache.Unref()
	o := &pebble.Options{
		FS: pacedFS{pebblevfs.OnDiskFull(e.opts.IndexFS, func() { e.spendReserve() }), e.pace}, DisableWAL: true, Cache: cache, MemTableSize: uint64(e.opts.memtable()),
		MemTableStopWritesThreshold: memtables, Logger: silent{}, FormatMajorVersion: pebble.FormatNewest,
		EventListener: &pebble.EventListener{FlushEnd: e.pace.flushEnd, BackgroundError: e.pace.failed},
	}
	o.CompactionConcurrencyRange = func() (int, int) { return 1, 1 }
	// A damaged index may make its library panic; it is rebuilt then.
	defer errs.Recover("local.openIndex", "", &err)
	if err := e.dropLeftTables(); err != nil {
		return err
	}
	o.EnsureDefaults()
	e.indexOptions = o
	e.index, err = pebble.Open(e.opts.IndexDir, o)
	return err
}

// silent keeps the index's library from writing to the standard log.
type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}
