// Package adminserver does what administrators ask for, a file per command:
// over a UNIX socket while the server runs, and called directly while it does
// not. Who may connect to the socket is decided by the peer's user id.
//
// On the socket a request and its response are one line of JSON each.
//
// Goroutines: one accept loop, and one for each connection, which Close waits
// for.
package adminserver
