// Package local is the embedded engine: an append-only log of checksummed,
// chained records is the truth, and an index (Pebble without its own log) is
// brought up from it. docs/format.md specifies every octet of the log.
//
// Invariants:
//  1. Octets of the log are written once, at the end; nothing is overwritten
//     but the head of a blob that has a segment of its own, before its sync.
//  2. A commit is acknowledged after its record, and all blobs sealed before
//     it, were written and synced, and its rows are in the index.
//  3. Commits reach the index in log order, each batch with the mark of how
//     far the log is applied. A crash leaves the index at some earlier mark,
//     never with a gap.
//  4. A BlobID is the position of the blob's record at birth, and segment
//     numbers are never used again, so an id never names another blob.
//  5. A segment is deleted only when every blob in it that is kept was copied,
//     read back, and its new place is durable, and a checkpoint behind its
//     last commit is durable.
//  6. After the first failed write or sync nothing is written any more.
//
// Goroutines: flush (writes and syncs groups), apply (index, wakes committers)
// and housekeep (compaction). Close waits for all of them.
package local
