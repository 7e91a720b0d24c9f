// Package pop3server serves POP3 (RFC 1939) from the INBOX.
//
// Invariants:
//
//  1. A session is a snapshot taken at login: numbers and sizes do not change.
//  2. Everything that a session changes is one Update at QUIT; a connection
//     that ends otherwise has changed nothing (RFC 1939 §3, §6).
//  3. One session per account at a time (RFC 1939 §4), unless the options say
//     otherwise. IMAP sessions do not count.
//
// Goroutine: one per connection, which netserver owns.
package pop3server
