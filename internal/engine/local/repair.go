package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/cockroachdb/pebble/v2"
)

// quarantineDir holds damaged segments that Repair took out of the log.
const quarantineDir = "quarantine"

// Damaged returns the segments in which anything is damaged, also octets that
// nobody keeps. It reads all of the log.
func (e *Engine) Damaged(ctx context.Context, pace func(octets int64) error) (found []Finding, err error) {
	for _, seg := range e.allComplete() {
		n := seg.info.number
		what, err := e.verifyHeader(n)
		if err != nil {
			what = err.Error()
		}
		if what != "" {
			found = append(found, Finding{Segment: n, What: what})
			continue
		}
		end, err := e.scan(ctx, seg, segmentHeader, seg.info.kind != kindBlob, func(r record, _ []byte) error { return pace(r.size()) })
		if err == nil && seg.info.kind == kindBlob {
			if _, err = e.Blobs().Verify(ctx, engine.BlobID(at(n, segmentHeader))); errs.Is(err, errs.Corrupt) {
				end, err = segmentHeader, nil
			}
		}
		if err != nil {
			return found, err
		}
		if end < seg.size {
			found = append(found, Finding{Segment: n, Offset: end, What: "damaged"})
		}
	}
	return found, nil
}

// Quarantine takes damaged segments out of the log: what is kept in them and can
// be read is copied, a checkpoint holds all rows, and the files move into the
// folder quarantine beside the log, where they stay.
func (e *Engine) Quarantine(ctx context.Context, segments []uint32) error {
	const op = "local.Quarantine"
	if len(segments) == 0 {
		return nil
	}
	e.compact.Lock()
	defer e.compact.Unlock()
	turn := e.opts.Turn()
	defer turn.End()
	d := &denser{e: e, turn: turn}
	defer d.close()
	bad := map[uint32]bool{}
	for _, n := range segments {
		bad[n] = true
	}
	snap := e.index.NewSnapshot()
	defer snap.Close()
	if err := e.forEachKept(snap, func(id engine.BlobID, _ int64, where position) error {
		if !bad[where.segment()] {
			return nil
		}
		err := d.copy(ctx, id)
		if errs.Is(err, errs.Corrupt) {
			err = d.copy(ctx, id) // a disk may fail once
		}
		if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.NotFound) {
			return nil // lost; who keeps it knows
		}
		return err
	}); err != nil {
		return errs.Wrap(op, err)
	}
	if err := d.finish(ctx); err != nil {
		return errs.Wrap(op, err)
	}
	if err := e.commitMoves(d.moves); err != nil {
		return errs.Wrap(op, err)
	}
	if err := e.index.Delete([]byte{keyDamage}, pebble.NoSync); err != nil {
		return indexError(op, err)
	}
	if err := e.checkpoint(ctx, turn); err != nil {
		return errs.Wrap(op, err)
	}
	if err := e.flushIndex(); err != nil {
		return errs.Wrap(op, err)
	}
	for _, n := range segments {
		if err := e.moveAway(n); err != nil {
			return errs.As(op, errs.Temporary, "", err)
		}
	}
	e.lossy.Store(false)
	return nil
}

func (e *Engine) moveAway(n uint32) error {
	dir := path.Join(e.dir, quarantineDir)
	if err := e.fs.MkdirAll(dir); err != nil {
		return err
	}
	e.mu.Lock()
	delete(e.mu.segments, n)
	e.mu.Unlock()
	e.files.drop(n)
	if err := e.fs.Rename(e.segmentName(n), path.Join(dir, segmentFile(n))); err != nil {
		return err
	}
	if err := e.fs.SyncDir(dir); err != nil {
		return err
	}
	return e.fs.SyncDir(path.Join(e.dir, logDir))
}

// RepairFormat makes the file FORMAT of a store again when it is missing or
// damaged, from the segments. A damaged one is kept under another name. It
// returns what was wrong, empty when nothing was. With dryRun it only looks.
func RepairFormat(fsys vfs.FS, dir string, dryRun bool) (what string, err error) {
	const op = "local.RepairFormat"
	e := &Engine{fs: fsys, dir: dir}
	name := path.Join(dir, formatFile)
	if _, err := fsys.List(path.Join(dir, logDir)); err != nil {
		return "", errs.As(op, errs.NotFound, "", fmt.Errorf("%s holds no store: %w", dir, err))
	}
	f, err := fsys.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		what = name + " is missing"
	case err != nil:
		return "", errs.As(op, errs.Temporary, "", err)
	default:
		f.Close()
		err := e.readFormat()
		if err == nil || errs.Is(err, errs.Denied) {
			return "", err
		}
		what = name + " is damaged"
	}
	if err := e.guessFormat(); err != nil {
		return what, errs.As(op, errs.Corrupt, "", fmt.Errorf("%s, and %w; put it back from a backup", what, err))
	}
	if dryRun {
		return what, nil
	}
	if f != nil {
		if err := fsys.Rename(name, name+".damaged"); err != nil {
			return what, errs.As(op, errs.Temporary, "", err)
		}
	}
	info := segmentInfo{}
	return what, errs.As(op, errs.Temporary, "", vfs.WriteWhole(fsys, name, info.encode(e.uuid)))
}
