package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/warm"
)

type (
	// AccountID names an account, and its space in the engine. Never reused.
	AccountID uint64
	// MailboxID is the MAILBOXID of RFC 8474. Never reused within an account.
	MailboxID uint64
	// MessageID is the EMAILID of RFC 8474; a copy keeps it.
	MessageID uint64
	// ThreadID is a thread of messages (ThreadOf); of a message alone its MessageID.
	ThreadID uint64
	// Octets counts octets.
	Octets = int64
	// Body is a message's octets.
	Body = engine.Blob
)

// Limits of one account (reliability paper 4.4).
const (
	MailboxesMax = 10_000
	KeywordsMax  = 1_000 // different keywords in one mailbox
	// MessageKeywordsMax is how many keywords a client can give one message.
	MessageKeywordsMax = 100
)

// Options of Open. Zero values mean the defaults.
type Options struct {
	Now                func() time.Time // required
	ExpungeRetention   time.Duration    // how long expunged mail is kept; default 14 days; negative: not at all
	SummaryCacheOctets int64            // default 64 MiB
	Warm               *warm.Folder     // optional: forms of messages outlive a stop in it
	FormsVersion       uint64           // with Warm: another one whenever a server sends other forms of the same summary
	Forms              MakeForms        // optional: makes forms of mail that came, before they are asked for
	Turns              *fair.Queue      // by which that makes pauses; nil: it makes none
	LoadedMessagesMax  int64            // messages in memory above which unwatched mailboxes are let go; default 4 million
	PurgeEvery         time.Duration    // default 1 h; negative: never by itself
	ScrubEvery         time.Duration    // in which time everything is read once; default 7 days; negative: never
	Finding            func(Finding)    // optional: damage was met
}

// MakeForms makes forms of a summary in the memory of buf, and returns it for the next
// call, until which they are good.
type MakeForms func(buf []byte, sum *message.Summary) (forms [FormsMax][]byte, _ []byte)

// Store is safe for concurrent use.
type Store struct {
	engine    engine.Engine
	opts      Options
	registry  registry
	summaries summaryCache
	ahead     ahead
	quota     atomic.Pointer[Quota]                              // of accounts without one of their own; nil: no limits
	pushes    atomic.Pointer[func(a *Account, before *Snapshot)] // WatchPushes
	stop      chan struct{}
	wg        sync.WaitGroup

	mu struct {
		sync.Mutex
		accounts map[AccountID]*Account
		loaded   int64 // messages in loaded lists
	}
}

// Open reads the registry of accounts. The engine stays the caller's to close,
// after the store.
func Open(ctx context.Context, e engine.Engine, o Options) (*Store, error) {
	if o.ExpungeRetention == 0 {
		o.ExpungeRetention = 14 * 24 * time.Hour
	}
	if o.SummaryCacheOctets == 0 {
		o.SummaryCacheOctets = 64 << 20
	}
	if o.LoadedMessagesMax == 0 {
		o.LoadedMessagesMax = 4_000_000
	}
	if o.PurgeEvery == 0 {
		o.PurgeEvery = time.Hour
	}
	if o.ScrubEvery == 0 {
		o.ScrubEvery = 7 * 24 * time.Hour
	}
	s := &Store{engine: e, opts: o, stop: make(chan struct{})}
	s.mu.accounts = map[AccountID]*Account{}
	s.summaries.max = o.SummaryCacheOctets
	if err := s.registry.open(ctx, s); err != nil {
		return nil, err
	}
	s.wg.Go(s.loadWarm)
	if o.Forms != nil {
		s.ahead.begun = make(chan struct{}, 1)
		s.wg.Go(func() { s.aheadLoop(context.WithoutCancel(ctx)) })
	}
	if o.PurgeEvery > 0 {
		s.wg.Go(func() { s.purgeLoop(context.WithoutCancel(ctx)) })
	}
	if o.ScrubEvery > 0 {
		s.wg.Go(func() { s.scrubLoop(context.WithoutCancel(ctx)) })
	}
	return s, nil
}

// Reclaim gives back the octets of erased messages at once, and forgets what is kept of
// them.
func (s *Store) Reclaim(ctx context.Context) error {
	s.forgetMessages()
	return errs.Wrap("store.Reclaim", s.engine.Reclaim(ctx))
}

// Close ends the store's own work.
func (s *Store) Close() error {
	close(s.stop)
	s.wg.Wait()
	s.saveWarm()
	return nil
}

// untilClose returns a context that ends when the store is closed.
func (s *Store) untilClose(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		<-s.stop
		cancel()
	}()
	return ctx
}

// Now is the store's clock.
func (s *Store) Now() time.Time { return s.opts.Now() }

// Account attaches to an account, loading it on first use. Errors: NotFound,
// Corrupt.
func (s *Store) Account(ctx context.Context, id AccountID) (*Account, error) {
	if !s.registry.has(id) {
		return nil, errs.New("store.Account", errs.NotFound, "no such account")
	}
	s.mu.Lock()
	a := s.mu.accounts[id]
	if a == nil {
		a = &Account{s: s, id: id}
		s.mu.accounts[id] = a
	}
	s.mu.Unlock()
	return a, a.load(ctx)
}

// Account is safe for concurrent use: one writer, any number of readers, and
// no reader waits for the writer.
type Account struct {
	s  *Store
	id AccountID

	write sync.Mutex // held by the one writer
	space engine.Space
	state publishedState

	mu struct {
		sync.Mutex
		watchers map[*func()]struct{}
		recent   map[MailboxID]mail.UID // claimed, perhaps not yet durable
		failed   error
	}
}

// ID returns the account's id.
func (a *Account) ID() AccountID { return a.id }

// Name returns the account's name now, "" once it is deleted.
func (a *Account) Name() string { return a.s.registry.byID(a.id).Name }

// load reads the account's rows, if nobody did.
func (a *Account) load(ctx context.Context) error {
	if a.state.Load() != nil {
		return nil
	}
	a.write.Lock()
	defer a.write.Unlock()
	if a.state.Load() != nil {
		return nil
	}
	space, err := a.s.engine.Space(ctx, engine.SpaceID(a.id))
	if err != nil {
		return errs.Wrap("store.load", err)
	}
	a.space = space
	return a.reloadLocked()
}

// reloadLocked reads the state from the engine. Loaded lists are forgotten.
func (a *Account) reloadLocked() error {
	snap, err := a.space.Snapshot()
	if err != nil {
		return errs.Wrap("store.load", err)
	}
	defer snap.Close()
	v, err := readState(a, snap)
	if err != nil {
		return err
	}
	if old := a.state.Load(); old != nil {
		for _, l := range old.lists {
			a.s.unloaded(l)
		}
	}
	a.state.Store(v)
	return nil
}

// Snapshot returns the account as it is now. O(1).
func (a *Account) Snapshot() (*Snapshot, error) {
	if err := a.usable(); err != nil {
		return nil, err
	}
	return a.state.Load(), nil
}

func (a *Account) usable() error {
	if !a.s.registry.has(a.id) {
		return errs.New("store.Account", errs.NotFound, "the account was deleted")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.mu.failed
}

// conflictsMax is how often an Update runs again before it gives up.
const conflictsMax = 100

// Update runs fn and commits what it did as one record with one mod-sequence.
// nil means durable and visible to every session. When fn fails nothing
// happened. A commit without changes returns the current mod-sequence. fn may
// run again, so it has no effects of its own that a second run would not
// overwrite. Errors: fn's own, OverQuota, NoSpace, Temporary, Corrupt.
func (a *Account) Update(ctx context.Context, fn func(*Tx) error) (mail.ModSeq, error) {
	a.write.Lock()
	defer a.write.Unlock()
	for range conflictsMax {
		if err := a.usable(); err != nil {
			return 0, err
		}
		base := a.state.Load()
		tx := begin(ctx, a, base)
		if err := fn(tx); err != nil {
			return 0, err
		}
		if !tx.changed {
			return base.ModSeq(), nil
		}
		if err := tx.checkQuota(base); err != nil {
			return 0, err
		}
		tx.finish()
		if tx.shared {
			if err := a.s.hintShares(ctx, a.id, tx.next.sharees(), false); err != nil {
				return 0, err
			}
		}
		tx.batch.Pace = tx.Pace
		version, err := a.space.Commit(ctx, base.version, &tx.batch)
		if errs.Is(err, errs.Conflict) {
			if err := a.reloadLocked(); err != nil {
				return 0, err
			}
			continue
		}
		if err != nil {
			return 0, errs.Wrap("store.Update", err)
		}
		if version != tx.next.version {
			a.poison(errs.New("store.Update", errs.Corrupt, "the account has to be opened again"))
			return 0, a.usable()
		}
		a.publishLocked(base, tx.next)
		a.s.ahead.add(tx.added)
		if tx.shared {
			// A hint that stays where it failed costs a look.
			_ = a.s.hintShares(ctx, a.id, tx.next.sharees(), true)
		}
		return tx.next.ModSeq(), nil
	}
	return 0, errs.New("store.Update", errs.Temporary, "the account is too busy")
}

// poison makes everything fail until the account is opened again.
func (a *Account) poison(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mu.failed = err
}

// publishLocked makes a durable state visible and wakes whoever watches.
func (a *Account) publishLocked(old, v *Snapshot) {
	delta := int64(0)
	for id, l := range v.lists {
		if was := old.lists[id]; was != l {
			delta += int64(l.Len())
			if was != nil {
				delta -= int64(was.Len())
			}
		}
	}
	a.s.addLoaded(delta)
	a.state.Store(v)
	a.wake()
	a.wakePushes(old, v)
}

// wake tells those who watch that something may have changed.
func (a *Account) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for w := range a.mu.watchers {
		(*w)()
	}
}

// Watch has wake called after each commit, and when the account's password or
// name changed, until stop: something may have changed. It carries no data: take a Snapshot. wake is called with locks held:
// it must not wait for anything and not use the account.
func (a *Account) Watch(wake func()) (stop func()) {
	w := &wake
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.watchers == nil {
		a.mu.watchers = map[*func()]struct{}{}
	}
	a.mu.watchers[w] = struct{}{}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.mu.watchers, w)
	}
}

// RecentFrom returns the UID from which on messages are \Recent for the next
// session that claims them (RFC 3501 §2.3.2).
func (a *Account) RecentFrom(box *Mailbox) mail.UID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(box.recentFrom, a.mu.recent[box.ID])
}

// ClaimRecent gives the mailbox's recent messages up to UIDNEXT to the calling
// session: those from the returned UID on. The claim becomes durable with the
// mailbox's next change; a crash before may show messages as recent again,
// which RFC 3501 §2.3.2 allows.
func (a *Account) ClaimRecent(box *Mailbox) mail.UID {
	a.mu.Lock()
	defer a.mu.Unlock()
	from := max(box.recentFrom, a.mu.recent[box.ID])
	if a.mu.recent == nil {
		a.mu.recent = map[MailboxID]mail.UID{}
	}
	a.mu.recent[box.ID] = max(from, box.UIDNext)
	return from
}

func (s *Store) addLoaded(n int64) {
	s.mu.Lock()
	s.mu.loaded += n
	over := n > 0 && s.mu.loaded > s.opts.LoadedMessagesMax
	s.mu.Unlock()
	if over {
		s.wg.Go(s.unloadUnwatched)
	}
}

// Spare lets go of memory: what it held is read again when it is needed.
func (s *Store) Spare() {
	s.unloadUnwatched()
	s.forgetMessages()
}

// forgetMessages lets go of what is kept of messages, and of what would be.
func (s *Store) forgetMessages() {
	s.ahead.drop()
	s.summaries.drop()
}

func (s *Store) unloaded(l *MessageList) { s.addLoaded(-int64(l.Len())) }

// unloadUnwatched lets go of the message lists of accounts that no session
// watches.
func (s *Store) unloadUnwatched() {
	s.mu.Lock()
	var all []*Account
	for _, a := range s.mu.accounts {
		all = append(all, a)
	}
	s.mu.Unlock()
	for _, a := range all {
		a.mu.Lock()
		watched := len(a.mu.watchers) > 0
		a.mu.Unlock()
		if watched || !a.write.TryLock() {
			continue
		}
		if v := a.state.Load(); v != nil && len(v.lists) > 0 {
			bare := *v
			bare.lists = nil
			a.state.Store(&bare)
			for _, l := range v.lists {
				s.unloaded(l)
			}
		}
		a.write.Unlock()
	}
}
