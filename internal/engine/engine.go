// Package engine is the waist between mail and octets: ordered keys inside one
// space (an account), an atomic durable commit, and blobs. It knows no word of
// mail. Implementations live in the folders below; enginetest holds the suite
// that each of them passes.
//
// Invariants:
//  1. Commit is the only durability point. When it returns nil, the batch and
//     every blob it keeps survive power loss.
//  2. A space's version counts its commits: 0 before the first, then 1, 2, 3 …
//     Commit is compare-and-set on it.
//  3. Snapshots are points in time, never wait for Commit, and see a commit
//     only after it is durable. A commit that returned is seen by every
//     snapshot taken afterwards.
//  4. A blob is immutable and its BlobID is never given to another blob. It
//     exists from Seal on, and until its writer releases it or, when some
//     commit kept it, until the last Keep was matched by a Drop.
//  5. After a failed sync nothing is acknowledged any more: every later Commit
//     fails, and reads go on. A commit that finds the disk full fails alone.
package engine

import (
	"context"
	"io"
	"iter"
	"slices"
)

type (
	// SpaceID names a space. Never reused by callers.
	SpaceID uint64
	// Version is the number of commits that a space has had.
	Version uint64
	// BlobID names a blob within one engine; 0 is none.
	BlobID uint64
)

// Engine is safe for concurrent use.
type Engine interface {
	// Space attaches to a space, which exists, empty and at version 0, for
	// every id.
	Space(ctx context.Context, id SpaceID) (Space, error)
	// Spaces yields the ids of all spaces that ever had a commit, ascending.
	Spaces(ctx context.Context) iter.Seq2[SpaceID, error]
	Blobs() Blobs
	// Verify reads what the engine keeps beside blobs and yields what is
	// damaged in it, and leaves it as it is. pace is called with the octets
	// that were read, and may wait; its error ends the reading.
	Verify(ctx context.Context, pace func(octets int64) error) iter.Seq2[Damage, error]
	// Reclaim gives back what nobody keeps any more, soon instead of in the
	// background, however much work that is.
	Reclaim(ctx context.Context) error
	// Close waits for running commits. Afterwards everything fails.
	Close() error
}

// Damage is a place that the engine cannot vouch for.
type Damage struct {
	Where string  // for the administrator
	What  string  // likewise
	Space SpaceID // whose commits are lost; 0: not known
}

// Space is safe for concurrent use.
type Space interface {
	// Snapshot is a point in time. It must be closed.
	Snapshot() (Snapshot, error)
	// Commit applies b whole or not at all, if the space still is at version
	// expect, and returns the new version, expect+1. ctx is obeyed only before
	// the point of no return. Errors: Conflict (another commit came first;
	// nothing happened), NoSpace (nothing happened), Temporary (the engine has
	// stopped after a failed write). A Drop that matches no Keep does nothing.
	//
	// Further commits may be issued while earlier ones wait, each naming the
	// version that the one before will have; they become durable in order, or,
	// when one fails, all after it fail.
	Commit(ctx context.Context, expect Version, b *Batch) (Version, error)
	Close() error
}

// Snapshot is a point in time of one space. It is safe for concurrent use.
type Snapshot interface {
	Version() Version
	// Get returns the value of key: errs.NotFound when there is none,
	// errs.Corrupt when its bytes are damaged. The value may be kept.
	Get(key []byte) ([]byte, error)
	// Scan yields the pairs with from <= key < to in ascending order. A nil to
	// means to the end. A pair is valid until the next one. After Close it
	// yields one error.
	Scan(from, to []byte) iter.Seq2[Pair, error]
	Close()
}

// Pair is one key with its value.
type Pair struct{ Key, Value []byte }

// OpKind says what one operation of a batch does.
type OpKind uint8

const (
	OpPut         OpKind = iota + 1 // Key, Value
	OpDelete                        // Key
	OpDeleteRange                   // Key (from, included), Value (to, excluded)
	OpKeep                          // Blob
	OpDrop                          // Blob
)

// Op is one operation of a batch.
type Op struct {
	Kind       OpKind
	Key, Value []byte
	Blob       BlobID
}

// Batch is a list of changes to one space, applied in order. Keys and values
// are kept, not copied: the caller leaves them alone until Commit returned.
type Batch struct {
	Ops []Op
	// Pace, unless it is nil, is called now and then while a large commit is made
	// ready, and may wait. Its error ends the commit, of which nothing is there then.
	Pace func() error
}

// Grow makes room for n further operations, and for a few more, which everybody has to
// make in the end: a list of 200,000 that grows by itself leaves five times as much behind,
// and while one of two million is copied for the last of them, nobody else runs for half a
// second, since Go interrupts no copy to collect garbage.
func (b *Batch) Grow(n int) { b.Ops = slices.Grow(b.Ops, n+growMore) }

const growMore = 64

func (b *Batch) Put(key, value []byte) {
	b.Ops = append(b.Ops, Op{Kind: OpPut, Key: key, Value: value})
}
func (b *Batch) Delete(key []byte) { b.Ops = append(b.Ops, Op{Kind: OpDelete, Key: key}) }

// DeleteRange deletes all keys with from <= key < to.
func (b *Batch) DeleteRange(from, to []byte) {
	b.Ops = append(b.Ops, Op{Kind: OpDeleteRange, Key: from, Value: to})
}

// Keep adds one reference to a blob, so that it lives as long as the commit.
func (b *Batch) Keep(id BlobID) { b.Ops = append(b.Ops, Op{Kind: OpKeep, Blob: id}) }

// Drop takes back one reference. A blob without references is reclaimed in the
// background; readers that have it open are not disturbed.
func (b *Batch) Drop(id BlobID) { b.Ops = append(b.Ops, Op{Kind: OpDrop, Blob: id}) }

// Blobs is safe for concurrent use.
type Blobs interface {
	// Create starts a blob. Memory is bounded whatever is written.
	Create(ctx context.Context) (BlobWriter, error)
	// Open opens a blob's octets. That they are so many, if it is known, tells how
	// much to read at once; 0 otherwise. Errors: NotFound, Corrupt.
	Open(ctx context.Context, id BlobID, octets int64) (Blob, error)
	// Summary returns the bytes that were given to Seal, at the cost of one
	// small read and without touching the octets. The value may be kept.
	// Errors: NotFound, Corrupt.
	Summary(ctx context.Context, id BlobID) ([]byte, error)
	// Summaries returns a reader of many summaries, which must be closed.
	Summaries() Summaries
	// Verify reads all of a blob and returns its size. Errors: NotFound,
	// Corrupt.
	Verify(ctx context.Context, id BlobID) (octets int64, err error)
}

// Summaries reads summaries one after the other, those of blobs that were
// written one after the other with few reads. It is used by one goroutine.
type Summaries interface {
	// Read is Blobs.Summary, but that the value is valid until the next call.
	Read(ctx context.Context, id BlobID) ([]byte, error)
	Close()
}

// BlobWriter writes one blob. It is used by one goroutine.
type BlobWriter interface {
	io.Writer
	// Seal ends the blob: readable at once, durable with the first Commit that
	// keeps it. summary is a few KiB derived from the octets, stored beside
	// them. The size is in octets. Errors: NoSpace, Temporary.
	Seal(summary []byte) (id BlobID, size int64, err error)
	// Release must be called once at the end, sealed or not. Before Seal it
	// throws the octets away. After Seal it says that the writer will not hand
	// the id to further commits: a blob that no commit kept is garbage then.
	Release()
}

// Blob is an open blob. Reads fail with errs.Corrupt when the octets do not
// match their checksum; no unverified octet is ever returned.
type Blob interface {
	io.ReaderAt
	Size() int64 // octets
	// Summary returns the blob's summary, until Close, if it came with what opening
	// the blob has read, and nil otherwise. It is read-only.
	Summary() []byte
	Close() error
}
