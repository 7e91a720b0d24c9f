// Package netserver is what all servers share: listeners, TLS, compression,
// connections with pooled buffers that cost little while they idle, the work
// that they take turns with, limits, traces, and a graceful stop. It knows no protocol.
//
// Invariants:
//  1. Reads of a connection belong to one goroutine at a time, writes to one.
//  2. A parked connection holds no buffers and a stack of 4 KiB, and one that
//     sleeps no stack; a compressed one also what its peer may refer to, of input
//     as much as there was up to 32 KiB, and of output sentMax between commands and
//     nothing in ParkForWake.
//  3. Nothing that was read before a TLS handshake is there after it.
//  4. A connection sleeps as long as it is among the sleepers' conns, and no goroutine
//     touches what belongs to it then; who takes it out resumes it.
//
// Goroutines: one accept loop for each listener, one for each connection that does not
// sleep, and one that hears of those that do, all of which Shutdown waits for.
package netserver
