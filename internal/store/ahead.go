package store

import (
	"context"
	"sync"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// Forms of mail that came are made before a client asks for them, so that the first
// FETCH of a mailbox reads memory instead of a summary for each message. That is not
// done while mail comes (decision 25), and it pushes out nothing that is kept.

const (
	aheadAfter = 5 * time.Second // from the first message on
	aheadBusy  = 1_000           // messages within aheadAfter from which on mail comes
	aheadMax   = 1 << 18         // messages that wait: 2 MiB
	aheadPiece = 256             // messages whose forms are made although drop was called
)

// ahead is what waits for having its forms made.
type ahead struct {
	begun chan struct{} // holds something when the first begins to wait

	mu   sync.Mutex
	ids  []engine.BlobID
	came int // since busy was called
}

// add has forms of some blobs made. The oldest do without when too many wait.
func (q *ahead) add(ids []engine.BlobID) {
	if q.begun == nil || len(ids) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ids) == 0 {
		select {
		case q.begun <- struct{}{}:
		default: // it has not seen yet that there were others before
		}
	}
	if len(q.ids)+len(ids) > aheadMax {
		q.ids = append(q.ids[:0], q.ids[len(q.ids)/2:]...)
	}
	q.ids = append(q.ids, ids...)
	q.came += len(ids)
}

// busy reports whether many came since it was called last.
func (q *ahead) busy() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	came := q.came
	q.came = 0
	return came >= aheadBusy
}

// take returns up to aheadPiece of those that wait, the oldest, which do so no more.
func (q *ahead) take() (ids []engine.BlobID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.ids), aheadPiece)
	if ids, q.ids = q.ids[:n], q.ids[n:]; len(q.ids) == 0 {
		q.ids = nil
	}
	return ids
}

// drop has nobody wait any more.
func (q *ahead) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ids = nil
}

// aheadLoop makes forms whenever little mail comes.
func (s *Store) aheadLoop(ctx context.Context) {
	ctx = s.untilClose(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.ahead.begun:
		}
		for busy := true; busy; busy = s.ahead.busy() {
			if !sleep(ctx, aheadAfter) {
				return
			}
		}
		s.makeAhead(ctx)
	}
}

// makeAhead makes the forms of those that wait, as long as there is room for them.
func (s *Store) makeAhead(ctx context.Context) {
	scan := s.Scan()
	defer scan.Close()
	turn := s.opts.Turns.Background()
	defer turn.End()
	var buf []byte
	for ids := s.ahead.take(); len(ids) > 0; ids = s.ahead.take() {
		for _, id := range ids {
			if turn.Pause(ctx) != nil {
				return
			}
			if !s.summaries.hasRoom() {
				s.ahead.drop()
				return
			}
			if _, known := s.summaries.get(id); known {
				continue
			}
			// What cannot be read or is gone is told to who asks for it.
			if k, err := s.makeForms(ctx, scan, id, &buf); err == nil {
				s.summaries.put(id, k)
			}
		}
	}
}

// makeForms makes the forms of a blob, in memory that serves the next one, too. One that
// makes it panic ends nothing else.
func (s *Store) makeForms(ctx context.Context, scan *Scan, id engine.BlobID, buf *[]byte) (k Known, err error) {
	defer errs.Recover("store.makeForms", "", &err)
	sum, err := scan.decode(ctx, id)
	if err != nil {
		return k, err
	}
	var forms [FormsMax][]byte
	forms, *buf = s.opts.Forms(*buf, sum)
	k.AddForms(forms)
	return k, nil
}
