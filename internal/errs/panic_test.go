package errs

import (
	"strings"
	"sync"
	"testing"
)

func stumble() { panic("over a stone") }

// TestPanic: a panic goes from the goroutines that work to the one that waits, with
// the place where it was.
func TestPanic(t *testing.T) {
	var p Panic
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			defer p.Catch()
			if i > 0 {
				stumble()
			}
		})
	}
	wg.Wait()
	defer func() {
		text, _ := recover().(string)
		if !p.Caught() || !strings.Contains(text, "over a stone") || !strings.Contains(text, "errs.stumble") {
			t.Errorf("caught %v: %s", p.Caught(), text)
		}
	}()
	p.Raise()
	t.Error("nothing was raised")
}

// TestNoPanic: without one nothing is raised.
func TestNoPanic(t *testing.T) {
	var p Panic
	func() { defer p.Catch() }()
	if p.Raise(); p.Caught() {
		t.Error("something was caught")
	}
}

// TestRecover: a panic becomes an error with the place where it was, and without one
// the error stays.
func TestRecover(t *testing.T) {
	run := func(fn func()) (err error) {
		defer Recover("test", "it fell", &err)
		err = New("test", Denied, "")
		fn()
		return err
	}
	if err := run(func() {}); KindOf(err) != Denied {
		t.Errorf("of no panic: %v", err)
	}
	err := run(stumble)
	if text := err.Error(); KindOf(err) != Internal || PublicText(err) != "it fell" || !strings.Contains(text, "over a stone") || !strings.Contains(text, "errs.stumble") {
		t.Errorf("%v, %q: %s", KindOf(err), PublicText(err), text)
	}
}
