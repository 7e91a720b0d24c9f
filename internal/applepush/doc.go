// Package applepush tells Mail on iPhones and iPads of new messages, through
// Apple's push service (APNs). What a push says is that there is something new
// in mailboxes of an account: Mail then looks itself. Devices register with the
// IMAP command XAPPLEPUSHSERVICE; their registrations are the store's.
//
// Apple has published neither the command nor the form of the pushes. Both are
// as Apple's own server had them and as Mail on iOS takes them: an account by the
// id that the device gave it, mailboxes by the MD5 of their names in UTF-8.
//
// Invariants:
//
//  1. A push is a hint and may be lost, by a crash or when too much waits: Mail
//     finds the message when it looks the next time. A message never waits for
//     a push.
//  2. No lock of the sender is held while the store is used, and what the store
//     calls only notes which account it was.
//  3. Who is pushed to is decided when the push is sent, from the account as it
//     is then: a registration that does not hold any more gets nothing.
//  4. At most Options.WaitMax accounts to be looked at and as many devices that
//     wait are in memory, and at most sendingMax pushes are under way.
//
// Goroutines: one that looks at accounts and begins pushes, and one for each
// push under way. Close ends them.
package applepush
