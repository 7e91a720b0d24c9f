// Package local is the embedded engine: an append-only log of checksummed,
// chained records is the truth, and an index (Pebble without its own log) is
// brought up from it. docs/format.md specifies every octet of the log.
//
// Invariants:
//  1. Octets of the log are written once, at the end; nothing is overwritten
//     but the zeros ahead of the end, and the head of a blob that has a segment
//     of its own, before its sync. A large commit is written before the log
//     comes to its place, behind zeros for its header.
//  2. A commit is acknowledged after its record, and all blobs sealed before
//     it, were written and synced, and its rows are in the index.
//  3. Commits reach the index in log order, each batch, or a large commit's tables,
//     with the mark of how far the log is applied. A crash leaves the index at some
//     earlier mark, never with a gap (decision 0019).
//  4. A BlobID is the position of the blob's record at birth, and segment
//     numbers are never used again, so an id never names another blob.
//  5. A segment is deleted only when every blob in it that is kept was copied,
//     read back, and its new place is durable, and a checkpoint behind its
//     last commit is durable. A segment of the log waits until the index has
//     all of it, for the checkpoint is made from the index.
//  6. After the first failed sync, or write but for lack of room, nothing is
//     written any more. What found no room is taken back whole (rewind). Nothing is
//     either after tables of the index could not be written for some time (awaitRetry).
//  7. The first record of a group carries flagGroup: all of the log before it
//     was durable before it was written. So a bad record without such a proof
//     behind it is where the log ends (decision 0010).
//  8. While commits may be lost to damage, no segment is deleted.
//  9. A dense segment needs no octet outside it to be read: its dictionary is in
//     it, twice. A dense frame was decoded and compared before it was written.
//  10. A large commit's batch or tables are made before its turn. It counts references from
//     a snapshot, and again those that commits have changed since: it was told.
//
// Goroutines: flush (writes and syncs groups, and does what apply does for small
// ones while nothing waits), apply (index, wakes committers) and housekeep
// (compaction). A committer who is alone does what flush would (decision 0022).
// Close waits for all of them, and for commits that are being prepared, each in
// its committer's goroutine.
package local
