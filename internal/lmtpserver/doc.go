// Package lmtpserver takes mail over LMTP (RFC 2033) from an MTA.
//
// Invariants:
//
//  1. A message is staged and parsed once, whatever the number of recipients.
//  2. Each recipient that was accepted gets one reply after the message, and a
//     positive one only after the message is durable in the account.
//  3. Nothing but <CRLF>.<CRLF> ends DATA.
//
// Goroutines: one per connection, which netserver owns, and while a message
// with several recipients is delivered up to deliveriesMax more, which the
// session waits for.
package lmtpserver
