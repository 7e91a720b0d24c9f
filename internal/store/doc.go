// Package store is what a mailbox is, and the only place where one changes. It
// keeps accounts in an engine: one space each, one commit per Update.
//
// Invariants:
//  1. An account's state is immutable and hangs on one atomic pointer. An
//     Update makes a new one, commits its rows, and only then publishes it:
//     durable before visible, visible before the answer.
//  2. The version of the account's space is its mod-sequence.
//  3. Commit is compare-and-set: when somebody else committed first, the state
//     is read again and the Update's function runs again.
//  4. UIDs, mailbox ids, message ids and UIDVALIDITY come from counters in
//     rows of the same commit and never go back.
//  5. A mailbox's counters are those of its messages in every commit.
//  6. Each message row and each tombstone that holds message rows keeps one
//     reference to the blob; MOVE hands it on, purging drops it.
//  7. Message lists share chunks; a chunk that a published list holds is not
//     changed, except that its array may be appended to behind the list's end.
//  8. A chunk's newest is not below the mod-sequence of any of its messages.
//  9. No Update but an administrator's makes an account hold more than its quota:
//     what it holds is compared against the limits before the commit that 3
//     refuses when anything was added meanwhile.
//  10. A list is read from the engine with the write lock held, so that it is
//     that of the Mailbox which Open returned before.
//  11. Of a message's own row and what a flags row says of it, the one with the larger
//     mod-sequence counts, and the flags row where they are equal. A change of flags
//     writes either; behind a flags row the same Update writes no row of a message in it.
//
// Goroutines: purge, scrub, what makes forms ahead, and those that read lists for Open. Close waits for
// all of them.
package store
