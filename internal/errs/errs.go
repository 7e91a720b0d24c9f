// Package errs is the closed list of ways in which an operation can fail, and
// an error that carries two texts: one that a client may read and one for the
// administrator's log.
//
// The zero Kind is Internal, so an error that nobody classified is safe for the
// client and loud in the log.
package errs

import (
	"context"
	"errors"
)

// Kind says what went wrong in words every protocol can translate.
type Kind uint8

const (
	Internal  Kind = iota // ours; also whatever nobody classified
	Temporary             // may work later: lock wait, peer down, disk busy, store stopped
	NotFound              // no such account, mailbox, message, script
	Exists                // name already taken
	Denied                // not allowed to this user
	BadAuth               // wrong credentials
	Invalid               // the request makes no sense here
	OverQuota             // account or mailbox full
	TooBig                // one message or literal over its limit
	Limit                 // too many of something
	InUse                 // held by another session
	Expunged              // the message went away meanwhile
	NotHome               // another node owns this account now
	Corrupt               // stored bytes failed their check
	NoSpace               // the disk is full
	Conflict              // another writer committed first; compute again
	kindCount
)

var kindNames = [kindCount]string{
	"internal error", "temporary failure", "not found", "exists", "denied",
	"bad credentials", "invalid", "over quota", "too big", "limit reached",
	"in use", "expunged", "not home", "corrupt", "no space", "conflict",
}

func (k Kind) String() string {
	if k < kindCount {
		return kindNames[k]
	}
	return "unknown kind"
}

// Kinds returns every kind, so that each protocol can test that its table has
// a row for all of them.
func Kinds() []Kind {
	all := make([]Kind, kindCount)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Error is a classified failure. Public may be sent to a client; Err never is.
type Error struct {
	Op     string // package.Operation, e.g. "store.Append"
	Kind   Kind
	Public string // one line; no names of paths, hosts or other users
	Err    error  // the cause, for the log; may be nil
}

func (e *Error) Error() string {
	s := e.Op + ": " + e.Kind.String()
	if e.Public != "" {
		s += ": " + e.Public
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// New returns a classified error. public may be empty: PublicText then gives
// the kind's own words.
func New(op string, kind Kind, public string) error {
	return &Error{Op: op, Kind: kind, Public: public}
}

// Wrap adds the operation that failed, keeping the kind and public text of err.
// It returns nil for a nil err.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: KindOf(err), Public: publicOf(err), Err: err}
}

// As classifies err as kind, whatever it was before. It returns nil for a nil err.
func As(op string, kind Kind, public string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: kind, Public: public, Err: err}
}

// KindOf returns the kind of the outermost classified error in err's chain.
// A cancelled or expired context is Temporary; anything else is Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Temporary
	}
	return Internal
}

// Is reports whether err is of the kind. A nil err is of no kind.
func Is(err error, kind Kind) bool {
	return err != nil && KindOf(err) == kind
}

// PublicText returns the one line that a client may be sent about err.
func PublicText(err error) string {
	if s := publicOf(err); s != "" {
		return s
	}
	return KindOf(err).String()
}

func publicOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Public
	}
	return ""
}
