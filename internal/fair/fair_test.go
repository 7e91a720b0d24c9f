package fair

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestOrder: turns go round the accounts, whoever asks for how many.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Now)
		first, err := q.Take(t.Context(), 9)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []uint64
		for _, account := range []uint64{1, 1, 1, 2, 3, 2} {
			go func() {
				turn, err := q.Take(t.Context(), account)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				got = append(got, account)
				mu.Unlock()
				turn.End()
			}()
			synctest.Wait()
		}
		first.End()
		synctest.Wait()
		if want := []uint64{1, 2, 3, 1, 2, 1}; !slices.Equal(got, want) {
			t.Errorf("turns of %v, want %v", got, want)
		}
		if q.held.Load() != 0 || len(q.mu.order) != 0 || len(q.mu.waiting) != 0 {
			t.Errorf("something is left: %+v", &q.mu)
		}
	})
}

// TestSlices: two that compute for long share the time, and one that waits for
// nobody is not disturbed.
func TestSlices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Now)
		done := map[uint64]time.Duration{}
		begun := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		for account, work := range map[uint64]int{1: 1000, 2: 100} {
			wg.Go(func() {
				turn, err := q.Take(t.Context(), account)
				defer turn.End()
				for range work {
					time.Sleep(time.Millisecond) // the work
					if err == nil {
						err = turn.Pause(t.Context())
					}
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				done[account] = time.Since(begun)
				mu.Unlock()
			})
		}
		wg.Wait()
		if done[1] != 1100*time.Millisecond || done[2] > 210*time.Millisecond {
			t.Errorf("1000 ms of work were done after %v, 100 ms after %v", done[1], done[2])
		}
	})
}

// TestCancel: who does not want to wait any more leaves nothing behind, also
// when the turn comes at the same moment.
func TestCancel(t *testing.T) {
	q := newQueue(1, time.Now)
	for range 200 {
		turn, err := q.Take(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				other, _ := q.Take(ctx, 2)
				other.End()
			})
		}
		wg.Go(cancel)
		turn.End()
		wg.Wait()
		if q.held.Load() != 0 || len(q.mu.order) != 0 || len(q.mu.waiting) != 0 {
			t.Fatalf("something is left: %+v", &q.mu)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	turn, _ := q.Take(cancelled, 1)
	cancel()
	if turn.Pause(cancelled) == nil {
		t.Error("work goes on after the end of its context")
	}
	turn.End()
}

// TestGiveWay: while as much short work is done as there are processors, who has
// a turn gets a quarter of the time, and all of it otherwise.
func TestGiveWay(t *testing.T) {
	for _, c := range []struct {
		slots, brief int
		rest         time.Duration // of the short work after so long; 0: it goes on
		took         time.Duration // for 60 ms of work
	}{
		{1, 0, 0, 60 * time.Millisecond},
		{1, 1, 0, 237 * time.Millisecond}, // behind the last millisecond nobody waits
		{1, 1, 38*time.Millisecond + 500*time.Microsecond, 88*time.Millisecond + 500*time.Microsecond},
		{3, 2, 0, 60 * time.Millisecond},
		{3, 3, 0, 237 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(c.slots, time.Now)
			var others []*Work
			for range c.brief {
				others = append(others, q.NewWork())
			}
			for _, w := range others {
				w.Start()
			}
			if c.rest > 0 {
				time.AfterFunc(c.rest, others[0].Rest)
			}
			mine := q.NewWork()
			mine.Start()
			begun := time.Now()
			turn, err := mine.Take(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for range 59 {
				time.Sleep(time.Millisecond) // the work
				if err := turn.Pause(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
			turn.End()
			if took := time.Since(begun); took != c.took {
				t.Errorf("%+v: 60 ms of work took %v", c, took)
			}
			mine.Done()
			for _, w := range append(others, mine) {
				w.Rest()
			}
			if q.brief.Load() != 0 || q.held.Load() != 0 || q.giving.Load() != 0 {
				t.Errorf("%+v: something is left: %d brief, %d held, %d giving way", c, q.brief.Load(), q.held.Load(), q.giving.Load())
			}
		})
	}
}

// TestNobody: without a queue everybody works.
func TestNobody(t *testing.T) {
	var w *Work
	w.Start()
	turn, err := w.Take(t.Context(), 1)
	if err != nil || turn.Pause(t.Context()) != nil || turn.Waited() != 0 || w.Slots() < 1 {
		t.Error("nil work is held up")
	}
	turn.End()
	w.Done()
	w.Rest()
}
