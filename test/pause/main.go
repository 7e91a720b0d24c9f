// Command pause measures how long commits wait while the store is compacted,
// written into a checkpoint and backed up. It fills a store, then commits
// messages with some writers at a time, first alone, then with each of these
// beside it, over and over.
//
//	go run ./test/pause --messages 200000 --seconds 20
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/angarium/angarium/bench/stats"
	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/vfs"
)

const writers = 4

func main() {
	messages := flag.Int("messages", 100_000, "messages in the store before")
	seconds := flag.Float64("seconds", 15, "how long each is measured")
	dir := flag.String("dir", "", "directory on the disk to measure (default: a temporary one)")
	flag.Parse()
	if err := run(*dir, *messages, time.Duration(*seconds*float64(time.Second))); err != nil {
		fmt.Fprintln(os.Stderr, "pause:", err)
		os.Exit(1)
	}
}

func run(dir string, messages int, d time.Duration) error {
	tmp, err := os.MkdirTemp(dir, "angarium-pause-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	ctx := context.Background()
	e, err := local.Open(ctx, vfs.Disk{}, filepath.Join(tmp, "store"), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		return err
	}
	defer e.Close()
	p := &pauses{ctx: ctx, e: e, versions: make([]engine.Version, 64)}
	if err := p.fill(messages); err != nil {
		return err
	}
	backups := 0
	for _, beside := range []struct {
		name string
		run  func() error
	}{
		{"alone", nil},
		{"compaction and checkpoint", func() error { return e.Reclaim(ctx) }},
		{"backup", func() error {
			backups++
			_, err := e.Backup(ctx, vfs.Disk{}, filepath.Join(tmp, fmt.Sprint("backup", backups)), func(int64) error { return nil })
			return err
		}},
	} {
		if err := p.measure(beside.name, d, beside.run); err != nil {
			return err
		}
	}
	return nil
}

// pauses commits messages.
type pauses struct {
	ctx      context.Context
	e        *local.Engine
	versions []engine.Version // of the spaces
}

func (p *pauses) fill(messages int) error {
	failures := make([]error, len(p.versions))
	var wg sync.WaitGroup
	for space := range p.versions {
		wg.Go(func() {
			for range messages / len(p.versions) {
				if failures[space] = p.commit(space); failures[space] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	return nil
}

// commit adds a message of 9 KiB to a space, and in one of three drops it again.
func (p *pauses) commit(space int) error {
	w, err := p.e.Blobs().Create(p.ctx)
	if err != nil {
		return err
	}
	defer w.Release()
	w.Write(make([]byte, 9<<10))
	id, _, err := w.Seal(make([]byte, 500))
	if err != nil {
		return err
	}
	s, err := p.e.Space(p.ctx, engine.SpaceID(space+1))
	if err != nil {
		return err
	}
	var b engine.Batch
	b.Put(fmt.Appendf(nil, "M%08d", p.versions[space]), make([]byte, 60))
	b.Put([]byte("B"), make([]byte, 100))
	b.Keep(id)
	if p.versions[space]%3 == 0 {
		b.Drop(id)
	}
	p.versions[space], err = s.Commit(p.ctx, p.versions[space], &b)
	return err
}

// measure commits for a time, with something else beside it over and over.
func (p *pauses) measure(name string, d time.Duration, beside func() error) error {
	stop := make(chan struct{})
	times := make([][]time.Duration, writers)
	failures := make([]error, writers+1)
	rounds := 0
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				begin := time.Now()
				if failures[i] = p.commit(i); failures[i] != nil {
					return
				}
				times[i] = append(times[i], time.Since(begin))
			}
		})
	}
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		if beside == nil {
			time.Sleep(time.Until(end)) // the writers are what is measured
			break
		}
		if failures[writers] = beside(); failures[writers] != nil {
			break
		}
		rounds++
	}
	close(stop)
	wg.Wait()
	for _, err := range failures {
		if err != nil {
			return err
		}
	}
	all := slices.Concat(times...)
	slices.Sort(all)
	at := func(share float64) float64 {
		return float64(stats.Percentile(all, share).Microseconds()) / 1000
	}
	fmt.Printf("%-26s %3d times beside %7d commits: median %6.2f ms, p99 %6.2f, p99.9 %6.2f, longest %6.2f\n",
		name, rounds, len(all), at(0.5), at(0.99), at(0.999), at(1))
	return nil
}
