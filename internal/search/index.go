package search

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/internal/warm"
)

// Index knows for accounts that are searched which of their messages can hold
// a text: the messages' trigrams, in a file per account. It also remembers by
// what messages were sorted and threaded.
//
// Invariants:
//
//  1. A message that the index knows and rules out does not hold the text; all
//     others are read.
//  2. The files are disposable: what is damaged, of another version or gone is
//     made anew, and until then the messages are read.
//  3. A published accountIndex is not changed.
//
// Goroutine: one that indexes, for one account after the other, at most half
// of the time.
type Index struct {
	store *store.Store
	fs    vfs.FS
	dir   string
	opts  IndexOptions
	jobs  chan job
	stop  chan struct{}
	wg    sync.WaitGroup

	fields fieldCache // what SORT and THREAD need of messages
	keeper keeper     // what they made of it, and header fields that SEARCH looked at

	mu       sync.Mutex
	accounts map[store.AccountID]*entry
	waiting  map[store.AccountID]bool // in jobs
}

// IndexOptions of NewIndex. Zero values mean the defaults.
type IndexOptions struct {
	Min    int             // unknown messages of a list at which they are indexed; default 200
	Kept   int             // octets that are kept of how mailboxes were sorted and of header fields that were looked through; default 64 MiB
	Fields int             // octets of what they are sorted by that are kept, about; default 64 MiB
	Failed func(err error) // an account could not be indexed; optional
	Turns  *fair.Queue     // by which the work makes pauses; nil: it makes none
	Warm   *warm.Folder    // optional: what is kept outlives a stop in it
}

// entry is what is known of an account's index. It is opened by the first who wants it,
// without the lock: others wait for it only where they want the same one.
type entry struct {
	opened chan struct{} // closed when index is known
	index  *accountIndex // nil: there is none
}

// opened returns an entry that nobody has to open.
func opened(a *accountIndex) *entry {
	e := &entry{make(chan struct{}), a}
	close(e.opened)
	return e
}

// isOf reports whether it is known to be the index in a file.
func (e *entry) isOf(f *indexFile) bool {
	select {
	case <-e.opened:
		return e.index != nil && e.index.file == f
	default:
		return false
	}
}

type job struct {
	account store.AccountID
	list    *store.MessageList
}

// NewIndex returns an index whose files are in dir, until Close.
func NewIndex(ctx context.Context, s *store.Store, fsys vfs.FS, dir string, o IndexOptions) *Index {
	if o.Min == 0 {
		o.Min = 200
	}
	x := &Index{store: s, fs: fsys, dir: dir, opts: o, jobs: make(chan job, 64), stop: make(chan struct{}),
		accounts: map[store.AccountID]*entry{}, waiting: map[store.AccountID]bool{}}
	x.keeper.max, x.fields.max = o.Kept, o.Fields
	x.wg.Go(func() { x.run(context.WithoutCancel(ctx)) })
	return x
}

// Close ends the background work.
func (x *Index) Close() {
	close(x.stop)
	x.wg.Wait()
	x.saveWarm()
}

// Spare lets go of memory: what it held is read or made again when it is needed.
func (x *Index) Spare() {
	x.keeper.drop()
	x.fields.drop()
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.accounts) // searches that have one go on with it
}

func (x *Index) name(id store.AccountID) string {
	return path.Join(x.dir, strconv.FormatUint(uint64(id), 10)+".idx")
}

// Forget removes what the index knows of an account.
func (x *Index) Forget(id store.AccountID) {
	x.keeper.forget(id)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forgetLocked(id)
}

func (x *Index) forgetLocked(id store.AccountID) {
	// Searches that have the file open go on with it.
	delete(x.accounts, id)
	x.fs.Remove(x.name(id))
}

// account returns an account's index, nil when it has none.
func (x *Index) account(id store.AccountID) *accountIndex {
	x.mu.Lock()
	e := x.accounts[id]
	if e != nil {
		x.mu.Unlock()
		<-e.opened
		return e.index
	}
	if len(x.accounts) >= accountsMax {
		clear(x.accounts) // those in use come back at once
	}
	e = &entry{opened: make(chan struct{})}
	x.accounts[id] = e
	x.mu.Unlock()
	x.fill(e, id)
	return e.index
}

// fill opens an account's index for all who wait for it. One that is damaged is removed.
func (x *Index) fill(e *entry, id store.AccountID) {
	defer close(e.opened)
	var err error
	if e.index, err = x.open(id); err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.accounts[id] == e { // not another one, which was made meanwhile
		x.forgetLocked(id)
	}
}

// accountsMax is how many accounts' indexes are in memory.
const accountsMax = 256

// open reads an account's index from its file. That nothing is in it yet is the same
// as that there is none.
func (x *Index) open(id store.AccountID) (*accountIndex, error) {
	f, err := x.fs.Open(x.name(id))
	if err != nil {
		return nil, err
	}
	return readAccount(newIndexFile(f))
}

// candidates returns which messages of a list can hold a text, as bits, nil
// for all of them, and has those indexed that are not.
func (x *Index) candidates(id store.AccountID, list *store.MessageList, needle []byte) []uint64 {
	a := x.account(id)
	if a == nil {
		x.want(id, list, list.Len())
		return nil
	}
	have, err := a.lookUp(needle)
	if err != nil {
		x.Forget(id)
		return nil
	}
	bits, unknown := make([]uint64, (list.Len()+63)/64), 0
	a.each(list, func(i int, _ *store.Message, d *doc) {
		if d == nil {
			unknown++
		} else if have[d.block][d.n/64]&(1<<(d.n%64)) == 0 {
			return
		}
		bits[i/64] |= 1 << (i % 64)
	})
	x.want(id, list, unknown)
	return bits
}

// want has a list indexed, unless few of its messages are unknown.
func (x *Index) want(id store.AccountID, list *store.MessageList, unknown int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if unknown < x.opts.Min || x.waiting[id] {
		return
	}
	select {
	case x.jobs <- job{id, list}:
		x.waiting[id] = true
	default: // the next search asks again
	}
}

func (x *Index) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-x.stop
		cancel()
	}()
	x.loadWarm()
	x.RemoveGone(ctx)
	for {
		select {
		case <-x.stop:
			return
		case j := <-x.jobs:
			err := x.index(ctx, j)
			x.mu.Lock()
			delete(x.waiting, j.account)
			x.mu.Unlock()
			if err != nil && ctx.Err() == nil && x.opts.Failed != nil {
				x.opts.Failed(err)
			}
		}
	}
}

// RemoveGone deletes the files of accounts that there are no more.
func (x *Index) RemoveGone(ctx context.Context) {
	names, err := x.fs.List(x.dir)
	if err != nil {
		return
	}
	have := map[string]bool{}
	for info := range x.store.AccountInfos(ctx) {
		have[path.Base(x.name(info.ID))] = true
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".idx") && !have[name] && ctx.Err() == nil {
			x.fs.Remove(path.Join(x.dir, name))
		}
	}
}

// index adds the unknown messages of a list. One that makes it panic ends nothing else.
func (x *Index) index(ctx context.Context, j job) (err error) {
	defer errs.Recover("search.index", "", &err)
	a, err := x.toExtend(ctx, j.account)
	if err != nil {
		return err
	}
	var unknown []*store.Message
	octets := int64(0)
	a.each(j.list, func(_ int, m *store.Message, d *doc) {
		if d == nil {
			unknown, octets = append(unknown, m), octets+m.Size
		}
	})
	b := newBuilder(octets)
	c := (&Query{Store: x.store}).newCursor(ctx, nil)
	defer c.close()
	turn := x.opts.Turns.Background()
	defer turn.End()
	for i, m := range unknown {
		_, err := c.walk(m, true, visitor{gramOctets - 1, func(folded []byte) bool {
			b.add(folded)
			return false
		}})
		if passOver(err) != nil {
			return err
		}
		if err == nil {
			b.end(keyOf(m))
		} else {
			b.drop()
		}
		if b.full() || i == len(unknown)-1 && len(b.docs) > 0 {
			if a, err = x.extend(j.account, a, b); a == nil {
				return err
			}
		}
		if err := turn.Pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// toExtend returns an account's index, a new one when there is none or when
// most of it is of messages that are gone.
func (x *Index) toExtend(ctx context.Context, id store.AccountID) (*accountIndex, error) {
	acct, err := x.store.Account(ctx, id)
	if err != nil {
		return nil, err
	}
	now, err := acct.Snapshot()
	if err != nil {
		return nil, err
	}
	messages, _ := now.Usage()
	if a := x.account(id); a != nil && int64(a.len()) <= 2*messages+2*blockDocs {
		return a, nil
	}
	x.Forget(id)
	if err := x.fs.MkdirAll(x.dir); err != nil {
		return nil, errs.As("search.index", errs.Temporary, "", err)
	}
	f, err := x.fs.Create(x.name(id))
	if err != nil {
		return nil, errs.As("search.index", errs.Temporary, "", err)
	}
	a := &accountIndex{file: newIndexFile(f)}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.accounts[id] = opened(a)
	return a, nil
}

// extend writes a block behind the others and publishes it. It returns nil
// when the index was forgotten meanwhile. Nothing is synced: what a crash
// leaves is checked when it is read.
func (x *Index) extend(id store.AccountID, a *accountIndex, b *builder) (*accountIndex, error) {
	octets := b.encode()
	if _, err := a.file.WriteAt(octets, a.end); err != nil {
		x.Forget(id)
		return nil, errs.As("search.index", errs.Temporary, "", err)
	}
	written, docs, end, err := readBlock(a.file, a.end)
	if err != nil {
		x.Forget(id)
		return nil, errs.As("search.index", errs.Temporary, "", err)
	}
	next := a.with(written, docs, end)
	x.mu.Lock()
	defer x.mu.Unlock()
	if now := x.accounts[id]; now == nil || !now.isOf(a.file) {
		return nil, nil
	}
	x.accounts[id] = opened(next)
	return next, nil
}
