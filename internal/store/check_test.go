package store

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
)

// BenchmarkCheck reads everything once, which the scrub does all the time beside the
// server: what it allocates is what the collector has to do then.
func BenchmarkCheck(b *testing.B) {
	e, err := local.Open(ctx, vfs.Disk{}, filepath.Join(b.TempDir(), "store"), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	s := openStore(b, e)
	a := account(b, s, "a@b")
	const messages = 2000
	for i := range messages {
		deliver(b, s, a, "INBOX", fmt.Sprintf("From: a@b\r\nTo: c@d\r\nSubject: number %d\r\n\r\n%0700d\r\n", i, i), mail.Flags{})
	}
	b.ReportAllocs()
	for b.Loop() {
		for f, err := range s.Check(ctx, CheckOptions{}) {
			b.Fatal(f, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages, "ns/message")
}
