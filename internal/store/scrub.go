package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
)

// rowScrub in the registry's space tells how far the scrub is.
const rowScrub = 's'

const (
	scrubRateMin = 1 << 20         // octets a second
	scrubStep    = 1 << 20         // octets between two sleeps
	scrubSave    = 5 * time.Minute // how often the progress is noted
)

// scrubState is the progress of reading everything, over restarts.
type scrubState struct {
	began int64     // of this pass, seconds since 1970; 0: none is under way
	next  AccountID // accounts below it are done
	ended int64     // of the last whole pass
}

func (st *scrubState) encode() []byte {
	return putInt(putUint(putInt([]byte{rowVersion}, st.began), uint64(st.next)), st.ended)
}

func decodeScrub(b []byte) (st scrubState) {
	if len(b) == 0 || b[0] != rowVersion {
		return st
	}
	r := row{b: b[1:]}
	return scrubState{r.int(), AccountID(r.uint()), r.int()}
}

// scrubLoop reads everything once in each ScrubEvery, slowly, so that damage is
// found while there is still another copy.
func (s *Store) scrubLoop(ctx context.Context) {
	ctx = s.untilClose(ctx)
	for {
		st := s.loadScrub()
		wait := time.Minute
		if st.began == 0 {
			due := time.Unix(st.ended, 0).Add(s.opts.ScrubEvery)
			wait = max(wait, due.Sub(s.opts.Now()))
		}
		if !sleep(ctx, wait) {
			return
		}
		// What failed is tried again a minute later.
		_ = s.scrub(ctx, st)
	}
}

// sleep waits, and reports whether it may go on.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// scrubPace holds the scrub to a rate.
type scrubPace struct {
	rate  float64 // octets a second
	read  int64   // octets since it slept
	sleep func(ctx context.Context, d time.Duration) bool
}

// take is called with how many octets were read. It sleeps once for scrubStep of
// them: to sleep after each of the log's records, most of which are short, took
// nine percent of a processor. Its error is that of ctx.
func (p *scrubPace) take(ctx context.Context, n int64) error {
	if p.read += n; p.read < scrubStep {
		return ctx.Err()
	}
	d := time.Duration(float64(p.read) / p.rate * float64(time.Second))
	p.read = 0
	if !p.sleep(ctx, d) {
		return ctx.Err()
	}
	return nil
}

func (s *Store) loadScrub() scrubState {
	snap, err := s.registry.space.Snapshot()
	if err != nil {
		return scrubState{}
	}
	defer snap.Close()
	b, err := snap.Get([]byte{rowScrub})
	if err != nil {
		return scrubState{}
	}
	return decodeScrub(b)
}

func (s *Store) saveScrub(ctx context.Context, st scrubState) error {
	return s.registry.update(ctx, func(b *engine.Batch) error {
		b.Put([]byte{rowScrub}, st.encode())
		return nil
	})
}

// scrub begins or goes on with a pass, and reports what it finds.
func (s *Store) scrub(ctx context.Context, st scrubState) error {
	all, err := s.restorable("")
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b AccountInfo) int { return cmp.Compare(a.ID, b.ID) })
	report := func(f Finding, _ error) bool {
		if s.opts.Finding != nil {
			s.opts.Finding(f)
		}
		return true
	}
	pace := scrubPace{rate: s.scrubRate(ctx, all), sleep: sleep}
	c := &checker{s: s, ctx: ctx, yield: report, o: CheckOptions{Pace: func(n int64) error { return pace.take(ctx, n) }}}
	if st.began == 0 {
		st = scrubState{began: s.opts.Now().Unix(), ended: st.ended}
		if err := c.files(all); err != nil {
			return err
		}
	}
	saved := s.opts.Now()
	for _, info := range all {
		if info.ID < st.next {
			continue
		}
		if err := c.account(info); err != nil {
			return err
		}
		st.next = info.ID + 1
		if now := s.opts.Now(); now.Sub(saved) >= scrubSave {
			saved = now
			if err := s.saveScrub(ctx, st); err != nil {
				return err
			}
		}
	}
	return s.saveScrub(ctx, scrubState{ended: s.opts.Now().Unix()})
}

// Usage returns what an account holds, without loading it. Errors: NotFound,
// Corrupt.
func (s *Store) Usage(ctx context.Context, id AccountID) (messages int64, octets Octets, err error) {
	const op = "store.Usage"
	space, err := s.engine.Space(ctx, engine.SpaceID(id))
	if err != nil {
		return 0, 0, errs.Wrap(op, err)
	}
	snap, err := space.Snapshot()
	if err != nil {
		return 0, 0, errs.Wrap(op, err)
	}
	defer snap.Close()
	b, err := snap.Get([]byte{rowAccount})
	if err != nil {
		return 0, 0, errs.Wrap(op, err)
	}
	a, ok := decodeAccount(b)
	if !ok {
		return 0, 0, corruptRow(op, "the account row cannot be read")
	}
	return int64(a.messages), int64(a.octets), nil
}

// scrubRate is how many octets a second read everything in the time.
func (s *Store) scrubRate(ctx context.Context, all []AccountInfo) float64 {
	total := int64(0)
	for _, info := range all {
		if _, octets, err := s.Usage(ctx, info.ID); err == nil {
			total += octets
		}
	}
	return max(scrubRateMin, 1.2*float64(total)/s.opts.ScrubEvery.Seconds())
}
