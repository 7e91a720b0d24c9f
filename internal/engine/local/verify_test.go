package local

import (
	"bytes"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// TestVerifyReadsAll: whichever octet of a blob's record is damaged, Verify tells, but
// for the padding. The summary is within what is read first, or beyond.
func TestVerifyReadsAll(t *testing.T) {
	for _, summary := range []int{10, firstRead} {
		fs := vfs.NewMem()
		e := open(t, fs, options())
		octets := bytes.Repeat([]byte("octets "), 100)
		id, w := enginetest.MakeBlob(t, e, octets, bytes.Repeat([]byte("s"), summary))
		var b engine.Batch
		b.Keep(id)
		if _, err := enginetest.Space(t, e, 16).Commit(t.Context(), 0, &b); err != nil {
			t.Fatal(err)
		}
		w.Release()
		if n, err := e.Blobs().Verify(t.Context(), id); n != int64(len(octets)) || err != nil {
			t.Fatal(n, err)
		}
		f, err := fs.Open(e.segmentName(position(id).segment()))
		if err != nil {
			t.Fatal(err)
		}
		length := int64(recordHeader + blobHead + summary + frameEntry + len(octets))
		for at := int64(0); at < length; at += 1 + int64(summary)/50 {
			was := make([]byte, 1)
			f.ReadAt(was, position(id).offset()+at)
			f.WriteAt([]byte{was[0] ^ 1}, position(id).offset()+at)
			if _, err := e.Blobs().Verify(t.Context(), id); !errs.Is(err, errs.Corrupt) {
				t.Errorf("summary of %d octets, octet %d is damaged: %v", summary, at, err)
			}
			f.WriteAt(was, position(id).offset()+at)
		}
		e.Close()
	}
}
