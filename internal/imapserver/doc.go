// Package imapserver serves IMAP4rev1 (RFC 3501) and the extensions that its
// command table names.
//
// Invariants:
//
//  1. One command at a time per connection, in order of arrival.
//  2. The session goroutine owns state, input and output. Commits only wake it
//     while it waits in IDLE.
//  3. Sequence numbers exist in view.go only; sets are resolved to UIDs before
//     anything else happens.
//  4. EXISTS, EXPUNGE, unsolicited FETCH and the updates of contexts come from
//     sync and from nowhere else, the session's own changes included.
//  5. sync runs after a command and before its tagged line; commands that may
//     not announce expunges keep them back for the next that may.
//  6. Order of untagged lines: REMOVEFROM of what is expunged, expunges, EXISTS,
//     flags, ADDTO and REMOVEFROM.
//  7. No transaction is open while octets go to the network.
//  8. A command that answers NO has committed nothing, FETCH's \Seen excepted:
//     one Update per command.
//
// Goroutine: one per connection, which netserver owns.
package imapserver
