package errs

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// Recover is deferred, and makes an error of a panic: Internal, with the stack for the
// log.
func Recover(op, public string, err *error) {
	if p := recover(); p != nil {
		*err = As(op, Internal, public, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	}
}

// Panic takes a panic from goroutines that work for another one to that one, which
// knows what it ends: in a goroutine of its own, it would end the program. The zero
// value is ready.
type Panic struct{ first atomic.Pointer[string] }

// Catch is deferred by those that work.
func (p *Panic) Catch() {
	if v := recover(); v != nil {
		text := fmt.Sprintf("%v\n\nin another goroutine:\n%s", v, debug.Stack())
		p.first.CompareAndSwap(nil, &text)
	}
}

// Caught reports whether there was one.
func (p *Panic) Caught() bool { return p.first.Load() != nil }

// Raise is called when they have ended, and panics when one of them did.
func (p *Panic) Raise() {
	if text := p.first.Load(); text != nil {
		panic(*text)
	}
}
