// Package inflate decompresses DEFLATE streams (RFC 1951) that come in pieces
// and never end, as protocols with a compression layer send them.
//
// The libraries' readers wait for their input inside a call, hold a window of
// 32 KiB from the start, and show what was sent only behind some of the ways to
// flush. This one can stop behind any octet, so that a waiting connection
// needs no goroutine for it, and holds no more than its peer made it remember.
//
// Invariants:
//
//  1. Each octet of the stream costs a constant amount of work.
//  2. Behind a call, what the octets taken so far say is in the output, unless
//     there was no room for it.
//  3. No octet is taken that the work did not need: behind the end of the
//     stream, or a flush, stands what comes next.
package inflate
