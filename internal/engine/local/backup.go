package local

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

const (
	manifestPrefix = "backup-" // then the time, then manifestSuffix
	manifestSuffix = ".json"
	manifestTime   = "20060102T150405.000Z"
)

// Manifest says what one backup is made of.
type Manifest struct {
	Format   int               `json:"format"` // 1
	Created  time.Time         `json:"created"`
	Store    string            `json:"store"`    // its UUID, in hexadecimal digits
	Segments []ManifestSegment `json:"segments"` // by number
	Copied   int64             `json:"copied"`   // octets that no backup before had
}

// ManifestSegment is a segment as far as it belongs to a backup.
type ManifestSegment struct {
	Number uint32 `json:"number"`
	Size   int64  `json:"size"`
}

// Octets is how much the backup holds.
func (m *Manifest) Octets() (n int64) {
	for _, s := range m.Segments {
		n += s.Size
	}
	return n
}

// Backup copies the store as it is now into a directory that may hold earlier
// backups of it: only what they lack. It holds nobody up but compaction. The
// directory can be opened like a store, best with ReadOnly. The manifest is
// written last, when all else is durable. Errors: Conflict (backups of another
// store, or of a later state).
func (e *Engine) Backup(ctx context.Context, dst vfs.FS, dir string, pace func(octets int64) error) (*Manifest, error) {
	const op = "local.Backup"
	e.compact.Lock()
	defer e.compact.Unlock()
	if err := dst.MkdirAll(path.Join(dir, logDir)); err != nil {
		return nil, errs.As(op, writeKind(err), "the directory cannot be made", err)
	}
	lock, err := dst.Lock(path.Join(dir, lockFile))
	if err != nil {
		return nil, errs.As(op, errs.InUse, "another backup into this directory is under way", err)
	}
	defer lock.Close()
	earlier, err := Manifests(dst, dir)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Format: 1, Created: e.opts.Now().UTC(), Store: fmt.Sprintf("%x", e.uuid)}
	if err := e.copyFormat(dst, dir); err != nil {
		return nil, err
	}
	have := map[uint32]int64{}
	for _, b := range earlier {
		for _, s := range b.Segments {
			have[s.Number] = max(have[s.Number], s.Size)
		}
	}
	for _, seg := range e.allComplete() {
		n := seg.info.number
		if have[n] > seg.size {
			return nil, errs.New(op, errs.Conflict, fmt.Sprintf("the directory holds backups of a later state of this store (segment %d has %d octets there, %d here); name another directory", n, have[n], seg.size))
		}
		if err := e.copySegment(ctx, dst, dir, seg, have[n], pace); err != nil {
			return nil, errs.As(op, cmp.Or(writeKind(err), errs.Temporary), "", fmt.Errorf("copying %s: %w", e.segmentName(n), err))
		}
		m.Copied += seg.size - have[n]
		m.Segments = append(m.Segments, ManifestSegment{n, seg.size})
	}
	if err := dst.SyncDir(path.Join(dir, logDir)); err != nil {
		return nil, errs.As(op, errs.Temporary, "", err)
	}
	b, err := json.MarshalIndent(m, "", " ")
	if err == nil {
		name := manifestPrefix + m.Created.Format(manifestTime) + manifestSuffix
		err = vfs.WriteWhole(dst, path.Join(dir, name), b)
	}
	return m, errs.As(op, errs.Temporary, "the manifest cannot be written", err)
}

// allComplete returns all segments as far as they are durable, at one point in
// time, by number.
func (e *Engine) allComplete() []segment {
	e.mu.Lock()
	numbers := slices.Sorted(maps.Keys(e.mu.segments))
	durable := e.mu.durable
	e.mu.Unlock()
	var all []segment
	for _, n := range numbers {
		seg, ok := e.complete(n)
		if n == durable.segment() {
			seg.size = min(seg.size, durable.offset())
		}
		// A log segment behind the end is not begun.
		if ok && !(seg.info.kind == kindLog && durable != 0 && n > durable.segment()) {
			all = append(all, seg)
		}
	}
	return all
}

// copyFormat writes the store's identity, or compares it.
func (e *Engine) copyFormat(dst vfs.FS, dir string) error {
	const op = "local.Backup"
	name := path.Join(dir, formatFile)
	f, err := dst.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		info := segmentInfo{created: e.opts.Now().Unix()}
		return errs.As(op, errs.Temporary, "", vfs.WriteWhole(dst, name, info.encode(e.uuid)))
	}
	if err != nil {
		return errs.As(op, errs.Temporary, "", err)
	}
	defer f.Close()
	b := make([]byte, segmentHeader)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return errs.As(op, errs.Temporary, "", err)
	}
	if [16]byte(b[16:32]) != e.uuid {
		return errs.New(op, errs.Conflict, "the directory holds backups of another store; name another directory")
	}
	return nil
}

// copySegment copies the octets from the given one on.
func (e *Engine) copySegment(ctx context.Context, dst vfs.FS, dir string, seg segment, from int64, pace func(int64) error) error {
	if from == seg.size {
		return nil
	}
	src, err := e.files.get(seg.info.number)
	if err != nil {
		return err
	}
	defer e.files.done(src)
	name := path.Join(dir, logDir, path.Base(e.segmentName(seg.info.number)))
	out, err := dst.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		out, err = dst.Create(name)
	}
	if err != nil {
		return err
	}
	defer out.Close()
	buf := make([]byte, min(1<<20, seg.size-from))
	for from < seg.size {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), seg.size-from)]
		if _, err := src.ReadAt(b, from); err != nil {
			return err
		}
		if _, err := out.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
		if from%syncStep < int64(len(b)) {
			if err := out.Sync(); err != nil {
				return err
			}
		}
		if err := pace(int64(len(b))); err != nil {
			return err
		}
	}
	if err := out.Truncate(seg.size); err != nil { // what a run that was ended left
		return err
	}
	return out.Sync()
}

// Manifests returns the backups in a directory, oldest first.
func Manifests(fsys vfs.FS, dir string) (all []*Manifest, err error) {
	const op = "local.Manifests"
	names, err := fsys.List(dir)
	if err != nil {
		return nil, errs.As(op, errs.Temporary, "", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, manifestPrefix) || !strings.HasSuffix(name, manifestSuffix) {
			continue
		}
		m, err := readManifest(fsys, path.Join(dir, name))
		if err != nil {
			return nil, errs.As(op, errs.Corrupt, "", fmt.Errorf("%s: %w; move it away to go on without it", path.Join(dir, name), err))
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Manifest) int { return a.Created.Compare(b.Created) })
	return all, nil
}

func readManifest(fsys vfs.FS, name string) (*Manifest, error) {
	b, err := vfs.ReadWhole(fsys, name)
	if err != nil {
		return nil, err
	}
	m := &Manifest{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, err
	}
	if m.Format != 1 {
		return nil, fmt.Errorf("manifest format %d is not known to this version", m.Format)
	}
	return m, nil
}

// PruneBackups deletes the manifests of backups made before a time, but never
// the newest, and the segments that no other backup has.
func PruneBackups(fsys vfs.FS, dir string, before time.Time, dryRun bool) (backups, segments int, err error) {
	const op = "local.PruneBackups"
	all, err := Manifests(fsys, dir)
	if err != nil || len(all) == 0 {
		return 0, 0, err
	}
	wanted, old := map[string]bool{}, []string{}
	for i, m := range all {
		if m.Created.Before(before) && i < len(all)-1 {
			old = append(old, path.Join(dir, manifestPrefix+m.Created.Format(manifestTime)+manifestSuffix))
			continue
		}
		for _, s := range m.Segments {
			wanted[segmentFile(s.Number)] = true
		}
	}
	names, err := fsys.List(path.Join(dir, logDir))
	if err != nil {
		return 0, 0, errs.As(op, errs.Temporary, "", err)
	}
	if len(old) == 0 {
		return 0, 0, nil
	}
	gone := slices.DeleteFunc(names, func(name string) bool { return wanted[name] })
	if dryRun {
		return len(old), len(gone), nil
	}
	// Manifests first: one that is there has all its segments.
	for _, name := range old {
		if err := fsys.Remove(name); err != nil {
			return backups, 0, errs.As(op, errs.Temporary, "", err)
		}
		backups++
	}
	if err := fsys.SyncDir(dir); err != nil {
		return backups, 0, errs.As(op, errs.Temporary, "", err)
	}
	for _, name := range gone {
		if err := fsys.Remove(path.Join(dir, logDir, name)); err != nil {
			return backups, segments, errs.As(op, errs.Temporary, "", err)
		}
		segments++
	}
	return backups, segments, nil
}
