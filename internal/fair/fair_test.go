package fair

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOrder: turns go round the accounts, whoever asks for how many.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Now)
		first, err := q.NewWork().Take(t.Context(), 9)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var got []uint64
		for _, account := range []uint64{1, 1, 1, 2, 3, 2} {
			go func() {
				turn, err := q.NewWork().Take(t.Context(), account)
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
				turn, err := q.NewWork().Take(t.Context(), account)
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
		turn, err := q.NewWork().Take(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				other, _ := q.NewWork().Take(ctx, 2)
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
	turn, _ := q.NewWork().Take(cancelled, 1)
	cancel()
	if turn.Pause(cancelled) == nil {
		t.Error("work goes on after the end of its context")
	}
	turn.End()
}

// TestGiveWay: where short commands and turns were as many as the processors, who
// has a turn leaves what the short ones need, but takes a quarter of the time. It
// does not matter whether they are at work just when that is looked at.
func TestGiveWay(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		slots, brief int
		until        time.Duration // they come over and over so long
		took         time.Duration // for 60 ms of work
	}{
		{1, 0, 0, 60 * ms},
		{1, 1, time.Second, 237 * ms},         // behind the last millisecond nobody waits
		{1, 1, 39*ms + ms/2, 93 * ms},         // 10 of the 60 were done by then, and one more gives way
		{3, 2, time.Second, 60 * ms},          // a processor is left
		{3, 3, time.Second, 237 * ms},         // nothing would be left for it
		{15, 15, time.Second, 60*ms + 177*ms}, // nor here
	} {
		synctest.Test(t, func(t *testing.T) {
			q := newQueue(c.slots, time.Now)
			begun := time.Now()
			var wg sync.WaitGroup
			for range c.brief {
				wg.Go(func() {
					w := q.NewWork()
					for time.Since(begun) < c.until {
						w.Start()
						time.Sleep(ms / 8)
						w.Rest()
						time.Sleep(ms / 8)
					}
				})
			}
			mine := q.NewWork()
			mine.Start()
			turn, err := mine.Take(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			for range 59 {
				time.Sleep(ms) // the work
				if err := turn.Pause(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(ms)
			turn.End()
			if took := time.Since(begun); took != c.took {
				t.Errorf("%+v: 60 ms of work took %v", c, took)
			}
			mine.Done()
			mine.Rest()
			wg.Wait()
			if q.brief.Load() != 0 || q.held.Load() != 0 {
				t.Errorf("%+v: something is left: %d brief, %d held", c, q.brief.Load(), q.held.Load())
			}
		})
	}
}

// TestWay: many turns leave together what short commands need, but take together a
// quarter of each processor that turns may have.
func TestWay(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		slots, held, brief, behind int32
		worked, way                time.Duration // of a held turn, if there is one
	}{
		{1, 1, 1, 0, ms, 3 * ms},
		{1, 1, 0, 0, ms, 3 * ms}, // there was one a moment ago
		{1, 1, 9, 0, ms, 3 * ms},
		{1, 1, 1, 0, 10 * ms, 3 * workedMax},
		{1, 3, 1, 0, ms, 11 * ms}, // each a twelfth
		{2, 4, 2, 0, ms, 7 * ms},
		{15, 15, 1, 0, 14 * ms / 10, ms / 10},
		{15, 15, 5, 0, ms, ms / 2},
		{15, 15, 15, 0, ms, 3 * ms},
		{15, 3, 20, 0, ms, 3 * ms},
		{15, 8, 8, 0, 14 * ms / 10, ms / 5},
		{15, 2, 8, 0, ms, 0}, // not any more
		{1, 1, 1, 2, ms, 3 * ms},
		{1, 0, 1, 2, ms, 7 * ms},
	} {
		q := newQueue(int(c.slots), time.Now)
		q.held.Store(c.held)
		q.behind.Store(c.behind)
		if q.brief.Store(c.brief); c.brief == 0 {
			q.most.Store(1)
		}
		turn := &Turn{q: q}
		if c.held == 0 {
			turn.free = &q.behind
		}
		if way := turn.way(c.worked); way != c.way {
			t.Errorf("%+v: gives way for %v", c, way)
		}
	}
}

// TestWayCountsItself: a turn is among those that way shares between, whatever begins
// and ends meanwhile.
func TestWayCountsItself(t *testing.T) {
	q := newQueue(1, time.Now)
	turn, err := q.NewWork().Take(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer turn.End()
	q.brief.Store(1)
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !done.Load() {
			q.Background().End()
		}
	})
	defer wg.Wait()
	defer done.Store(true)
	for range 200_000 {
		if way := turn.way(time.Millisecond); way != 3*time.Millisecond {
			t.Fatalf("gives way for %v", way)
		}
	}
}

// TestLoose: a loose turn comes at once, gives way while it is at work, and does not
// while its client is waited for, but for what it takes to send something.
func TestLoose(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Now)
		mine := q.NewWork()
		mine.Start()
		turn := mine.Loose()
		other, err := q.NewWork().Take(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if q.brief.Load() != 0 || q.turns() != 2 {
			t.Errorf("%d brief, %d turns", q.brief.Load(), q.turns())
		}
		begun := time.Now()
		for range 10 {
			time.Sleep(ms)
			if turn.Pause(t.Context()) != nil || other.Pause(t.Context()) != nil {
				t.Fatal("work ends")
			}
		}
		if time.Since(begun) != 10*ms {
			t.Errorf("two turns gave way to nobody for %v", time.Since(begun)-10*ms)
		}
		other.End()
		begun = time.Now()
		step := func(work time.Duration, took time.Duration) {
			t.Helper()
			before := time.Now()
			time.Sleep(work)
			if err := turn.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took != time.Since(before) {
				t.Errorf("%v of work took %v, not %v", work, time.Since(before), took)
			}
		}
		step(ms, ms)
		brief := q.NewWork()
		brief.Start()
		brief.Rest()
		step(ms/2, ms/2)
		turn.Aside(func() {
			time.Sleep(time.Hour)
			if q.turns() != 0 {
				t.Error("it counts while it waits")
			}
		})
		step(ms/4, ms/4)
		const gave = 3 * (ms + asideWork)
		step(ms/4, ms/4+gave)
		if turn.Waited() != gave || time.Since(begun) != time.Hour+2*ms+gave {
			t.Errorf("gave way for %v in %v", turn.Waited(), time.Since(begun))
		}
		turn.End()
		turn.End()
		mine.Done()
		if q.turns() != 0 || q.brief.Load() != 1 {
			t.Errorf("something is left: %d brief, %d turns", q.brief.Load(), q.turns())
		}
	})
}

// TestDebt: who has many short turns gives way for what he worked in all of them, and
// less for what was long ago.
func TestDebt(t *testing.T) {
	const ms = time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, time.Now)
		mine, brief := q.NewWork(), q.NewWork()
		begin := map[string]func() *Turn{
			"loose": mine.Loose,
			"held": func() *Turn {
				turn, err := mine.Take(t.Context(), 1)
				if err != nil {
					t.Fatal(err)
				}
				return turn
			},
		}
		for n, c := range []struct {
			kind             string
			idle, work, gave time.Duration
		}{
			{"loose", 0, ms / 2, 0},
			{"loose", 0, ms / 2, 3 * ms},
			{"held", 0, 3 * ms / 4, 0},
			{"loose", 3 * ms / 2, ms / 2, 0}, // of the three quarters one is left
			{"held", 0, ms / 4, 3 * ms},
			{"held", time.Hour, 3 * ms / 4, 0},
			{"held", time.Hour, 3 * ms / 4, 0},
		} {
			time.Sleep(c.idle)
			turn := begin[c.kind]()
			brief.Start()
			brief.Rest()
			begun := time.Now()
			time.Sleep(c.work)
			if err := turn.Pause(t.Context()); err != nil {
				t.Fatal(err)
			}
			if gave := time.Since(begun) - c.work; gave != c.gave {
				t.Errorf("turn %d gave way for %v, not %v", n, gave, c.gave)
			}
			turn.End()
		}
	})
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
	if q := (*Queue)(nil); q.Background() != nil {
		t.Error("no queue gives turns")
	}
	loose, aside := w.Loose(), false
	loose.Aside(func() { aside = true })
	if !aside || loose.Pause(t.Context()) != nil {
		t.Error("nil work is held up")
	}
	loose.End()
	w.Done()
	w.Rest()
}
