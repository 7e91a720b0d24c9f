package adminserver

import (
	"context"
	"fmt"
	"time"

	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/store"
)

// Check is the argument of "check".
type Check struct {
	Account string `json:"account,omitempty"` // only this one
	Quick   bool   `json:"quick,omitempty"`   // do not read the messages
	Rate    int64  `json:"rate,omitempty"`    // octets read in a second; 0: unbounded
}

// Checked is what "check" found.
type Checked struct {
	Accounts int             `json:"accounts"`
	Octets   int64           `json:"octets"` // read
	Count    int             `json:"count"`  // of findings
	Findings []store.Finding `json:"findings"`
}

const (
	findingsMax   = 10_000 // shown; all are counted
	progressEvery = time.Second
)

// check reads everything and says what is broken.
func check(ctx context.Context, s *Service, a Check) (Checked, error) {
	r := Checked{Findings: []store.Finding{}}
	o := store.CheckOptions{Rows: a.Quick}
	if a.Account != "" {
		name, err := s.qualify(a.Account)
		if err != nil {
			return r, err
		}
		o.Account = name
	}
	began, told := time.Now(), time.Now()
	of := 0
	var turn *fair.Turn
	if s.Net != nil {
		turn = s.Net.Turns().Background()
		defer turn.End()
	}
	o.Done = func(n, all int) { r.Accounts, of = n, all }
	o.Pace = func(n int64) error {
		r.Octets += n
		if time.Since(told) >= progressEvery {
			told = time.Now()
			s.progress(fmt.Sprintf("%d of %d accounts, %d MiB read, %d findings", r.Accounts, of, r.Octets>>20, r.Count))
		}
		if a.Rate == 0 {
			return turn.Pause(ctx)
		}
		due := time.Duration(float64(r.Octets) / float64(a.Rate) * float64(time.Second))
		return wait(ctx, due-time.Since(began))
	}
	for f, err := range s.Store.Check(ctx, o) {
		if err != nil {
			return r, err
		}
		if r.Count++; r.Count <= findingsMax {
			r.Findings = append(r.Findings, f)
		}
	}
	return r, nil
}

// wait waits; less than a few milliseconds are left to add up.
func wait(ctx context.Context, d time.Duration) error {
	if d < 5*time.Millisecond {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
