package local

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/vfs"
)

// keptBlobs makes n small blobs that a space keeps.
func keptBlobs(tb testing.TB, e *engineSpace, n int) []engine.BlobID {
	tb.Helper()
	ids := make([]engine.BlobID, 0, n)
	for part := range slices.Chunk(make([]struct{}, n), 10_000) {
		var b engine.Batch
		var writers []engine.BlobWriter
		for range part {
			id, w := enginetest.MakeBlob(tb, e.engine, []byte("octets"), nil)
			ids, writers = append(ids, id), append(writers, w)
			b.Keep(id)
		}
		e.commit(tb, &b)
		for _, w := range writers {
			w.Release()
		}
	}
	return ids
}

// engineSpace is a space and the version that it is at.
type engineSpace struct {
	engine  *Engine
	space   engine.Space
	version engine.Version
}

func (s *engineSpace) commit(tb testing.TB, b *engine.Batch) {
	version, err := s.space.Commit(context.Background(), s.version, b)
	if err != nil {
		tb.Error(err)
	}
	s.version = version
}

// copyOf is what a copy of many messages commits: for each a reference and two
// rows, some 250 octets of the log.
func copyOf(ids []engine.BlobID, mailbox byte) *engine.Batch {
	var b engine.Batch
	value := make([]byte, 95)
	for i, id := range ids {
		b.Keep(id)
		for _, prefix := range []byte{'E', 'M'} {
			key := append(make([]byte, 0, 13), prefix, 0, 0, 0, 0, 0, 0, 0, mailbox)
			b.Put(binary.BigEndian.AppendUint32(key, uint32(i)), value)
		}
	}
	b.Put([]byte{'A'}, value)
	return &b
}

// BenchmarkLarge commits the copy of 100,000 messages again and again, and shows
// how long a small commit of somebody else takes meanwhile.
func BenchmarkLarge(b *testing.B) {
	o := options()
	o.IndexFS, o.SegmentOctets, o.IndexCache = nil, 0, 0
	e, err := Open(context.Background(), vfs.Disk{}, b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	large := &engineSpace{engine: e, space: enginetest.Space(b, e, 1)}
	small := &engineSpace{engine: e, space: enginetest.Space(b, e, 2)}
	ids := keptBlobs(b, large, 100_000)
	stop, ended := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var times []time.Duration
		for {
			select {
			case <-stop:
				ended <- times
				return
			case <-time.After(2 * time.Millisecond): // a client that thinks
			}
			var batch engine.Batch
			batch.Put([]byte("row"), []byte("value"))
			begun := time.Now()
			small.commit(b, &batch)
			times = append(times, time.Since(begun))
		}
	}()
	b.ResetTimer()
	for i := range b.N {
		large.commit(b, copyOf(ids, byte(i%4)))
	}
	b.StopTimer()
	close(stop)
	times := <-ended
	slices.Sort(times)
	for name, t := range map[string]time.Duration{"p50": times[len(times)/2], "p99": times[len(times)*99/100], "max": times[len(times)-1]} {
		b.ReportMetric(float64(t.Microseconds())/1000, "small-"+name+"-ms")
	}
	b.ReportMetric(float64(len(times))/float64(b.N), "small/op")
}
