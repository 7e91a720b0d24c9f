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
		if q.mu.free != 1 || len(q.mu.order) != 0 || len(q.mu.waiting) != 0 {
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
		if q.mu.free != 1 || len(q.mu.order) != 0 || len(q.mu.waiting) != 0 {
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

// TestNobody: without a queue everybody works.
func TestNobody(t *testing.T) {
	var q *Queue
	turn, err := q.Take(t.Context(), 1)
	if err != nil || turn.Pause(t.Context()) != nil || turn.Waited() != 0 || q.Slots() < 1 {
		t.Error("a nil queue holds somebody up")
	}
	turn.End()
}
