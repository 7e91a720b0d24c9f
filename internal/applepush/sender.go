package applepush

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// Apple is where pushes go.
const Apple = "https://api.push.apple.com"

const (
	sendingMax = 8                   // pushes under way
	soonEnds   = 30 * 24 * time.Hour // before a certificate's end, of which the log warns
)

// Options of New. Zero values mean the defaults.
type Options struct {
	Log      *slog.Logger // required
	Events   *telemetry.Sink
	Now      func() time.Time // of certificates; default time.Now
	Endpoint string           // default Apple
	Roots    *x509.CertPool   // of the endpoint's certificate; nil: the system's
	Delay    time.Duration    // from a message to the push that tells of it; default 1 s
	Rest     time.Duration    // between two pushes to a device; default 10 s
	WaitMax  int              // devices that wait; default 10,000
	// BackOff is the time after a first failure, which doubles with each further
	// one up to BackOffMax; defaults 1 s, 5 min.
	BackOff, BackOffMax time.Duration
}

// Sender sends pushes once it has an identity. It is safe for concurrent use.
type Sender struct {
	store  *store.Store
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	signal chan struct{} // that there is something to do

	mu       sync.Mutex
	identity *Identity // nil: off
	client   *http.Client
	looks    map[store.AccountID]look
	queue    queue
	sending  int
	failures int       // in a row, of all pushes
	pause    time.Time // until which nothing is sent after a failure
}

// look is an account that may have new messages, and as it was before.
type look struct {
	acct   *store.Account
	before *store.Snapshot
}

// New returns a sender for the accounts of a store that is off. ctx ends with
// the process at the latest.
func New(ctx context.Context, st *store.Store, o Options) *Sender {
	defaults(&o)
	s := &Sender{store: st, opts: o, signal: make(chan struct{}, 1), looks: map[store.AccountID]look{}, queue: queue{entries: map[target]*entry{}}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.wg.Go(s.run)
	return s
}

func defaults(o *Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Endpoint == "" {
		o.Endpoint = Apple
	}
	if o.Delay == 0 {
		o.Delay = time.Second
	}
	if o.Rest == 0 {
		o.Rest = 10 * time.Second
	}
	if o.WaitMax == 0 {
		o.WaitMax = 10_000
	}
	if o.BackOff == 0 {
		o.BackOff = time.Second
	}
	if o.BackOffMax == 0 {
		o.BackOffMax = 5 * time.Minute
	}
}

// Configure sets who sends from now on; nil turns pushes off, and forgets those
// that wait.
func (s *Sender) Configure(id *Identity) {
	s.mu.Lock()
	old := s.client
	s.identity, s.client, s.failures, s.pause = id, nil, 0, time.Time{}
	if id != nil {
		s.client = newClient(id, &s.opts)
	} else {
		s.looks, s.queue = map[store.AccountID]look{}, queue{entries: map[target]*entry{}}
	}
	s.mu.Unlock()
	if old != nil {
		old.CloseIdleConnections()
	}
	if id == nil {
		s.store.WatchPushes(nil)
		return
	}
	s.store.WatchPushes(s.note)
	s.tellEnd(id)
	s.wake()
}

// tellEnd tells when a certificate is over: Apple gives them for a year.
func (s *Sender) tellEnd(id *Identity) {
	switch now := s.opts.Now(); {
	case id.tokens != nil:
	case !id.Holds(now):
		s.opts.Log.Warn("apple_push: the certificate is not good now, so devices cannot register and nothing is pushed: get a new one from Apple and reload",
			"topic", id.Topic, "from", id.NotBefore, "until", id.NotAfter)
	case !id.Holds(now.Add(soonEnds)):
		s.opts.Log.Warn("apple_push: the certificate ends soon: get a new one from Apple and reload", "topic", id.Topic, "until", id.NotAfter)
	}
}

// Topic returns what devices are told to listen to, "" while there are no
// pushes.
func (s *Sender) Topic() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity == nil || !s.identity.Holds(s.opts.Now()) {
		return ""
	}
	return s.identity.Topic
}

// Waiting returns how many devices wait for a push or rest after one.
func (s *Sender) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue.entries)
}

// Close ends pushes; those that wait are lost.
func (s *Sender) Close() {
	s.Configure(nil)
	s.cancel()
	s.wg.Wait()
}

// note is what the store calls (invariants 1, 2 and 4).
func (s *Sender) note(a *store.Account, before *store.Snapshot) {
	s.mu.Lock()
	_, known := s.looks[a.ID()]
	full := !known && len(s.looks) >= s.opts.WaitMax
	if !known && !full {
		s.looks[a.ID()] = look{a, before}
	}
	s.mu.Unlock()
	if full {
		s.opts.Events.ApplePush(telemetry.PushDropped)
	}
	s.wake()
}

func (s *Sender) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

func (s *Sender) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.signal:
		case <-timer.C:
		case <-s.ctx.Done():
			return
		}
		s.lookAll()
		if wait := s.begin(); wait > 0 {
			timer.Reset(wait)
		}
	}
}

// lookAll finds out for whom there is something new.
func (s *Sender) lookAll() {
	s.mu.Lock()
	looks := s.looks
	s.looks = map[store.AccountID]look{}
	s.mu.Unlock()
	for id, l := range looks {
		now, err := l.acct.Snapshot()
		if err != nil {
			continue // the account is gone
		}
		fresh := grown(l.before, now)
		if len(fresh) == 0 {
			continue
		}
		for _, p := range now.Pushes() {
			if mine := common(fresh, p.Mailboxes); len(mine) > 0 {
				s.add(target{id, p.Device, p.AccountID}, l.acct, mine)
			}
		}
	}
}

// grown returns the mailboxes that messages were put into, sorted.
func grown(before, now *store.Snapshot) (ids []store.MailboxID) {
	for _, c := range store.DiffMailboxes(before, now) {
		if c.New == nil || c.New.NoSelect {
			continue
		}
		if c.Old == nil && c.New.UIDNext > 1 || c.Old != nil && (c.New.UIDNext > c.Old.UIDNext || c.New.UIDValidity != c.Old.UIDValidity) {
			ids = append(ids, c.New.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// common returns what is in two sorted lists.
func common(a, b []store.MailboxID) (both []store.MailboxID) {
	for _, id := range a {
		if _, ok := slices.BinarySearch(b, id); ok {
			both = append(both, id)
		}
	}
	return both
}

func (s *Sender) add(t target, a *store.Account, fresh []store.MailboxID) {
	s.mu.Lock()
	ok := s.identity == nil || s.queue.add(t, a, fresh, time.Now().Add(s.opts.Delay), s.opts.WaitMax)
	s.mu.Unlock()
	if !ok {
		s.opts.Events.ApplePush(telemetry.PushDropped)
	}
}

// begin begins the pushes that are due, not too many at a time (invariant 4), and
// returns in which time to look again; 0: when something happens.
func (s *Sender) begin() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now := time.Now()
		most := sendingMax
		if s.failures > 0 {
			most = 1 // to see whether it works again
		}
		switch {
		case s.identity == nil, s.sending >= most:
			return 0
		case now.Before(s.pause):
			return s.pause.Sub(now)
		}
		e, fresh := s.queue.take(now)
		if e == nil {
			if len(s.queue.due) == 0 {
				return 0
			}
			return max(s.queue.due[0].due.Sub(now), time.Millisecond)
		}
		s.sending++
		id, client := s.identity, s.client
		s.wg.Go(func() { s.send(e, fresh, id, client) })
	}
}

// send sends one push and does what its answer asks for.
func (s *Sender) send(e *entry, fresh []store.MailboxID, id *Identity, client *http.Client) {
	begun := time.Now()
	p, names := current(e, fresh)
	var a answer
	var err error
	v := void
	switch now := s.opts.Now(); {
	case p == nil:
	case !id.Holds(now):
		v, a.Reason = nobody, "the certificate is not good now"
	default:
		a, err = post(s.ctx, client, s.opts.Endpoint, id, p.Device, body(p, names), now)
		if v = a.verdict(); err != nil {
			v = nobody
		}
	}
	if v == gone {
		s.drop(e, p, &a)
	}
	n := s.settle(e, fresh, v, client)
	if p != nil {
		s.tell(e, p, v, &a, err, time.Since(begun))
	}
	s.tellNews(n, &a, err)
	s.wake()
}

// current returns an entry's registration as it is now, with the names of those
// of the mailboxes that it is still for; nil if nobody is to be told (invariant
// 3).
func current(e *entry, fresh []store.MailboxID) (p *store.Push, names []string) {
	v, err := e.acct.Snapshot()
	if err != nil {
		return nil, nil
	}
	for _, have := range v.Pushes() {
		if have.Device != e.device || have.AccountID != e.accountID {
			continue
		}
		for _, id := range common(fresh, have.Mailboxes) {
			if box, err := v.MailboxByID(id); err == nil && !box.NoSelect {
				names = append(names, box.Name)
			}
		}
		if len(names) > 0 {
			return &have, names
		}
	}
	return nil, nil
}

// drop removes a registration whose device takes no pushes any more.
func (s *Sender) drop(e *entry, p *store.Push, a *answer) {
	_, err := e.acct.Update(s.ctx, func(tx *store.Tx) error {
		tx.DropPush(p.Device, p.AccountID, a.since(p))
		return nil
	})
	if err != nil && s.ctx.Err() == nil {
		s.opts.Log.Warn("apple_push: the registration of a device that is gone could not be removed; the next message tries again", "account", e.acct.Name(), "error", err)
	}
}

// news is whether Apple takes pushes, where that changed.
type news struct {
	stopped time.Duration // for how long nothing is sent; 0: not stopped
	resumed bool
	waiting int
}

// settle decides what becomes of an entry whose push is over.
func (s *Sender) settle(e *entry, fresh []store.MailboxID, v verdict, client *http.Client) (n news) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending--
	if s.queue.entries[e.target] != e {
		return n // pushes were turned off meanwhile
	}
	now := time.Now()
	switch v {
	case sent:
		e.tries = 0
		s.queue.again(e, now.Add(s.opts.Rest))
	case later:
		e.merge(fresh)
		e.tries++
		s.queue.again(e, now.Add(s.backOff(e.tries)))
	case nobody:
		e.merge(fresh)
		s.queue.again(e, now)
		if client == s.client && !now.Before(s.pause) { // else it failed with another that was counted
			s.failures++
			n.stopped = s.backOff(s.failures)
			s.pause = now.Add(n.stopped)
		}
	default:
		s.queue.forget(e)
	}
	if v != nobody && v != void && s.failures > 0 {
		n.resumed, s.failures, s.pause = true, 0, time.Time{}
	}
	n.waiting = len(s.queue.entries)
	return n
}

// tellNews logs it, without a lock: the log may be slow.
func (s *Sender) tellNews(n news, a *answer, err error) {
	switch {
	case n.stopped > 0:
		s.opts.Log.Warn("apple_push_stopped: Apple takes no pushes, so they wait", "again_in", n.stopped, "waiting", n.waiting, "status", a.status, "reason", a.Reason, "error", err)
	case n.resumed:
		s.opts.Log.Info("apple_push_resumed: Apple takes pushes again", "waiting", n.waiting)
	}
}

// backOff is how long to wait after so many failures in a row.
func (s *Sender) backOff(failures int) time.Duration {
	d := s.opts.BackOff
	for range failures - 1 {
		if d *= 2; d >= s.opts.BackOffMax {
			return s.opts.BackOffMax
		}
	}
	return d
}

// results are how verdicts are counted and logged.
var results = [...]string{sent: telemetry.PushSent, gone: telemetry.PushGone, later: telemetry.PushLater, nobody: telemetry.PushLater, refused: telemetry.PushRefused}

// tell counts and logs a push.
func (s *Sender) tell(e *entry, p *store.Push, v verdict, a *answer, err error, took time.Duration) {
	s.opts.Events.ApplePush(results[v])
	level := slog.LevelDebug
	switch v {
	case gone:
		level = slog.LevelInfo
	case refused:
		level = slog.LevelWarn
	}
	s.opts.Log.Log(s.ctx, level, "apple_push", "account", e.acct.Name(), "device", p.Short(), "kind", results[v], "took", took, "status", a.status, "reason", a.Reason, "error", err)
}
