package local

import (
	"encoding/binary"

	"github.com/angarium/angarium/internal/engine"
)

// commitHead is how many octets of a commit's payload come before its operations.
const commitHead = 16

// commitLength is the length of a commit's payload. Its error is that of pause.
func commitLength(ops []engine.Op, pause func(i int) error) (int64, error) {
	n := int64(commitHead)
	for i := range ops {
		if err := pause(i); err != nil {
			return 0, err
		}
		op := &ops[i]
		n += 1 + 8 + int64(len(op.Key)) + int64(len(op.Value))
		if op.Kind == engine.OpKeep || op.Kind == engine.OpDrop {
			n += 8
		}
	}
	return n, nil
}

// appendCommit appends a commit's payload: space, version, and each operation
// with its lengths. Keep carries the size of the blob's record.
func appendCommit(dst []byte, w *waiter, size func(engine.BlobID) int64) []byte {
	dst = appendCommitHead(dst, w)
	for i := range w.ops {
		dst = appendOp(dst, &w.ops[i], size)
	}
	return dst
}

func appendCommitHead(dst []byte, w *waiter) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(w.space))
	return binary.LittleEndian.AppendUint64(dst, uint64(w.version))
}

func appendOp(dst []byte, op *engine.Op, size func(engine.BlobID) int64) []byte {
	dst = append(dst, byte(op.Kind))
	if op.Kind == engine.OpKeep || op.Kind == engine.OpDrop {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(op.Blob))
		return binary.LittleEndian.AppendUint64(dst, uint64(size(op.Blob)))
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(op.Key)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(op.Value)))
	return append(append(dst, op.Key...), op.Value...)
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
	space, version, ok := decodeCommitHead(b)
	if !ok {
		return nil, false
	}
	w := &waiter{space: space, version: version}
	for b = b[commitHead:]; len(b) > 0; {
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
	return w, true
}

// decodeCommitHead reads what appendCommitHead made.
func decodeCommitHead(b []byte) (space engine.SpaceID, version engine.Version, ok bool) {
	if len(b) < commitHead {
		return 0, 0, false
	}
	space, version = engine.SpaceID(binary.LittleEndian.Uint64(b)), engine.Version(binary.LittleEndian.Uint64(b[8:]))
	return space, version, space != 0
}
