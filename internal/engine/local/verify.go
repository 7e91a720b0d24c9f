package local

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// Verify reads the headers of all segments and all records that are no blobs:
// those of the log, and the dictionaries.
// Blobs are verified one by one by who keeps them.
func (e *Engine) Verify(ctx context.Context, pace func(octets int64) error) iter.Seq2[engine.Damage, error] {
	return func(yield func(engine.Damage, error) bool) {
		e.mu.Lock()
		segments := maps.Clone(e.mu.segments)
		e.mu.Unlock()
		v := &verifier{e: e, pace: pace, yield: yield, last: map[engine.SpaceID]lastCommit{}, begun: map[position]position{}}
		for _, n := range slices.Sorted(maps.Keys(segments)) {
			seg, ok := e.complete(n)
			if !ok {
				continue
			}
			err := v.segment(ctx, seg)
			if errors.Is(err, errStop) {
				return
			}
			if err != nil {
				yield(engine.Damage{}, err)
				return
			}
		}
		for _, g := range v.gaps {
			if g.after >= v.mark && v.report(g.pos, g.space, g.what) != nil {
				return
			}
		}
	}
}

// complete returns a segment as far as it is durable, if it is there.
func (e *Engine) complete(n uint32) (segment, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.mu.segments[n]
	if s == nil {
		return segment{}, false // compacted away
	}
	seg := *s
	if n == e.mu.durable.segment() {
		seg.size = max(seg.size, e.mu.durable.offset())
	}
	return seg, seg.size > 0
}

// errStop says that the caller wants no more.
var errStop = errors.New("stopped")

// verifier goes through the segments in order.
type verifier struct {
	e     *Engine
	pace  func(int64) error
	yield func(engine.Damage, error) bool
	last  map[engine.SpaceID]lastCommit
	begun map[position]position // checkpoints: where, and their marks
	mark  position              // of the last complete checkpoint: older commits may be compacted away
	gaps  []gap
}

// lastCommit is the last commit of a space that was seen.
type lastCommit struct {
	version engine.Version
	pos     position
}

// gap is commits of a space that are not where they should be.
type gap struct {
	after, pos position
	space      engine.SpaceID
	what       string
}

func (v *verifier) report(pos position, space engine.SpaceID, what string) error {
	where := fmt.Sprintf("%s, octet %d", v.e.segmentName(pos.segment()), pos.offset())
	if !v.yield(engine.Damage{Where: where, What: what, Space: space}, nil) {
		return errStop
	}
	return nil
}

func (v *verifier) segment(ctx context.Context, seg segment) error {
	if seg.unfinished() {
		return nil
	}
	n := seg.info.number
	what, err := v.e.verifyHeader(n)
	if errors.Is(err, fs.ErrNotExist) {
		if _, still := v.e.complete(n); !still {
			return nil // compacted away just now
		}
		return v.report(at(n, 0), 0, "the segment is missing")
	}
	if err != nil {
		return v.report(at(n, 0), 0, err.Error())
	}
	if what != "" {
		if err := v.report(at(n, 0), 0, what); err != nil {
			return err
		}
	}
	if seg.info.kind != kindLog {
		damaged, err := v.e.damagedDictionaries(seg)
		if err != nil {
			return err
		}
		for _, pos := range damaged {
			if err := v.report(pos, 0, "the segment's dictionary is damaged there"); err != nil {
				return err
			}
		}
		return v.pace(segmentHeader + seg.own)
	}
	for offset := int64(segmentHeader); offset < seg.size; {
		stop, err := v.e.scan(ctx, seg, offset, false, v.record)
		if err != nil {
			return err
		}
		if offset = seg.size; stop < seg.size {
			if offset, err = v.e.nextRecord(seg, stop, anyRecord); err != nil {
				return err
			}
			if err := v.report(at(n, stop), 0, fmt.Sprintf("%d damaged octets", offset-stop)); err != nil {
				return err
			}
		}
	}
	return nil
}

// record looks for gaps in the versions of a space.
func (v *verifier) record(r record, payload []byte) error {
	switch r.typ {
	case recCommit:
		if space, version, ok := decodeCommitHead(payload); ok {
			v.commit(space, version, r.pos)
		}
	case recCheckBegin:
		if len(payload) >= 8 {
			v.begun[r.pos] = position(binary.LittleEndian.Uint64(payload))
		}
	case recCheckEnd:
		if len(payload) >= 8 {
			v.mark = max(v.mark, v.begun[position(binary.LittleEndian.Uint64(payload))])
		}
	}
	return v.pace(recordHeader + int64(len(payload)))
}

func (v *verifier) commit(space engine.SpaceID, version engine.Version, pos position) {
	was, known := v.last[space]
	v.last[space] = lastCommit{version, pos}
	if known && version > was.version+1 {
		v.gaps = append(v.gaps, gap{was.pos, pos, space, fmt.Sprintf("the commits %d to %d before this one are lost", was.version+1, version-1)})
	}
}

// verifyHeader returns what is wrong with a segment's header.
func (e *Engine) verifyHeader(n uint32) (string, error) {
	f, err := e.files.get(n)
	if err != nil {
		return "", err
	}
	defer e.files.done(f)
	b := make([]byte, segmentHeader)
	if _, err := f.ReadAt(b, 0); err != nil {
		return "", fmt.Errorf("the header cannot be read: %w", err)
	}
	info, what := decodeSegment(b, e.uuid)
	if what == "" && info.number != n {
		what = fmt.Sprintf("the file holds segment %d", info.number)
	}
	return what, nil
}

// Verify reads all of a blob, and compares it with every checksum and with its
// digest. Octets that make it panic are reported and do not end the server, which the
// scrub would bring to them after each start.
func (bs blobs) Verify(ctx context.Context, id engine.BlobID) (octets int64, err error) {
	const op = "local.Verify"
	defer errs.Recover(op, "", &err)
	opened, err := bs.Open(ctx, id, 0)
	if err != nil {
		return 0, err
	}
	defer opened.Close()
	b := opened.(*blob)
	if _, err := b.readSummary(); err != nil {
		return 0, err
	}
	digest := sha256.New()
	for i := range b.frames {
		if err := ctx.Err(); err != nil {
			return 0, errs.Wrap(op, err)
		}
		octets, err := b.frame(i)
		if err != nil {
			return 0, err
		}
		digest.Write(octets)
	}
	if [32]byte(digest.Sum(nil)) != b.head.sha256 {
		return 0, corrupt(op, "the digest is wrong")
	}
	return b.head.size, nil
}
