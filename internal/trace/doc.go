// Package trace writes what the sessions of one user say and are told, line by
// line, for an administrator who looks for a client's trouble.
//
// Invariants:
//  1. No password, SASL answer or URLAUTH token is written, whatever the options
//     say. What is not understood to be harmless counts as a secret.
//  2. A trace ends by itself: at its time, at its size, and when it cannot be
//     written. The sessions do not notice. When the server stops it pauses.
//  3. One mutex guards a trace with all its taps; nothing is called while it is
//     held but the file and the log.
//
// Goroutines: a tap is told by its session's, a trace is ended by anybody's.
package trace
