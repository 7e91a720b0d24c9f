package errs

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// Recovered makes an error of what recover returned, nil for nil. It is Internal, and
// has the stack for the log: called by the function that is deferred, it is that of
// the panic.
func Recovered(op, public string, p any) error {
	if p == nil {
		return nil
	}
	return As(op, Internal, public, fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
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
