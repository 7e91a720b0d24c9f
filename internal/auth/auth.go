// Package auth answers who may log in: it verifies passwords in a bounded
// number of workers, remembers good ones, slows down guessing, and logs each
// attempt.
//
// Invariants:
//  1. The cache, and a verification that several logins wait for, never answer
//     for another user, password, mechanism or stored hash than those they were
//     made with.
//  2. A user who does not exist costs as much as a wrong password.
//  3. No password is logged or kept.
package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// Limits (reliability paper 4.3 and 4.4).
const (
	queueMax     = 512              // verifications that may wait for a worker (decision 8)
	cacheMax     = 100_000          // remembered good logins
	cacheTime    = time.Hour        // how long one is remembered
	delayFirst   = 2 * time.Second  // after a first failure
	delayMax     = 15 * time.Second // after many
	penaltiesMax = 100_000          // addresses with failures that are remembered
	penaltyTime  = 10 * time.Minute
)

// Attempt is one try to log in.
type Attempt struct {
	Service       string // imap, pop3
	Mechanism     string
	User          string
	Password      string
	Authorize     string // whom to act as; only User itself is allowed
	Remote, Local netip.AddrPort
	TLS           bool
	Session       string
}

// Identity is who logged in.
type Identity struct {
	Name    string
	Account store.AccountID
	hash    string // of the password that was right
}

// Credential stands for the password that was right.
func (id Identity) Credential() store.Credential { return store.CredentialOf(id.hash) }

// Options of New.
type Options struct {
	Log     *slog.Logger
	Now     func() time.Time
	NoDelay bool // failures are not slowed; for tests
	Events  *telemetry.Sink
}

// Auth is safe for concurrent use.
type Auth struct {
	dir     *directory.Directory
	opts    Options
	key     [32]byte // of the cache's MACs, per start
	workers chan struct{}
	dummy   func() string

	mu        sync.Mutex
	waiting   int
	cache     map[[32]byte]time.Time
	running   map[[32]byte]*verification
	penalties map[netip.Addr]penalty
}

// verification is one that goes on, or waits for a worker. done is closed at its
// end; ok and err are read after that.
type verification struct {
	done chan struct{}
	ok   bool
	err  error
}

type penalty struct {
	failures int
	last     time.Time
}

// New returns an Auth over the accounts of a directory.
func New(d *directory.Directory, o Options) *Auth {
	a := &Auth{dir: d, opts: o, workers: make(chan struct{}, runtime.GOMAXPROCS(0)),
		cache: map[[32]byte]time.Time{}, running: map[[32]byte]*verification{}, penalties: map[netip.Addr]penalty{}}
	rand.Read(a.key[:])
	a.dummy = sync.OnceValue(func() string { h, _ := Hash(rand.Text()); return h })
	return a
}

// Login checks an attempt and logs it. Errors: BadAuth, after a delay;
// Temporary; Limit when too many logins wait.
func (a *Auth) Login(ctx context.Context, t Attempt) (Identity, error) {
	start := a.opts.Now()
	id, err := a.login(ctx, t)
	if errs.Is(err, errs.BadAuth) {
		a.delay(ctx, t.Remote.Addr())
	}
	a.log(t, id, err, a.opts.Now().Sub(start))
	return id, err
}

func (a *Auth) login(ctx context.Context, t Attempt) (Identity, error) {
	const op = "auth.Login"
	bad := errs.New(op, errs.BadAuth, "the name or the password is wrong")
	info, err := a.dir.Find(ctx, t.User)
	if err != nil && !errs.Is(err, errs.NotFound) {
		return Identity{}, errs.As(op, errs.Temporary, "logging in is not possible now", err)
	}
	hash := info.Password
	if err != nil || info.Disabled || t.Authorize != "" && a.dir.Qualify(t.Authorize) != a.dir.Qualify(t.User) {
		hash, info.Name = a.dummy(), ""
	}
	ok, err := a.check(ctx, a.mac(t, hash), hash, t.Password)
	switch {
	case err != nil:
		return Identity{}, err
	case !ok || info.Name == "":
		return Identity{}, bad
	}
	return Identity{info.Name, info.ID, hash}, nil
}

// Find finds whose a login name is, without a password. Errors: NotFound, also
// for somebody who may not log in.
func (a *Auth) Find(ctx context.Context, name string) (Identity, error) {
	const op = "auth.Find"
	info, err := a.dir.Find(ctx, name)
	if err != nil {
		return Identity{}, errs.Wrap(op, err)
	}
	if info.Disabled {
		return Identity{}, errs.New(op, errs.NotFound, "no such user")
	}
	return Identity{info.Name, info.ID, info.Password}, nil
}

// Holds reports whether who logged in still could: the account is there, and
// neither it nor its password was taken away (reliability paper A29). It costs
// no I/O.
func (a *Auth) Holds(ctx context.Context, id Identity) bool {
	info, err := a.dir.Find(ctx, id.Name)
	return err == nil && info.ID == id.Account && !info.Disabled && info.Password == id.hash
}

// mac names one good login without telling what it is. The stored hash is in
// it, so that a changed password ends what was remembered.
func (a *Auth) mac(t Attempt, hash string) (sum [32]byte) {
	var b []byte
	for _, s := range []string{a.dir.Qualify(t.User), t.Password, t.Mechanism, t.Authorize, hash} {
		b = append(binary.BigEndian.AppendUint64(b, uint64(len(s))), s...)
	}
	m := hmac.New(sha256.New, a.key[:])
	m.Write(b)
	m.Sum(sum[:0])
	return sum
}

// check reports whether a password is right. A mail program opens several sessions
// at once: those that ask for the same thing wait for one verification, and each of
// them hears what it found.
func (a *Auth) check(ctx context.Context, mac [32]byte, hash, password string) (bool, error) {
	for {
		v, leads := a.join(mac)
		if leads {
			v.ok, v.err = a.verify(ctx, hash, password)
			a.end(mac, v)
			return v.ok, v.err
		}
		select {
		case <-v.done:
		case <-ctx.Done():
			return false, errs.Wrap("auth.check", ctx.Err())
		}
		if v.err == nil {
			return v.ok, nil
		}
		// Who led it has hung up, or was one too many: that is nothing to the others.
	}
}

// join returns the verification that answers for a MAC, and whether the caller is
// the one to make it.
func (a *Auth) join(mac [32]byte) (v *verification, leads bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v = a.running[mac]; v != nil {
		return v, false
	}
	v = &verification{done: make(chan struct{})}
	if until, ok := a.cache[mac]; ok && a.opts.Now().Before(until) {
		v.ok = true
		close(v.done)
		return v, false
	}
	a.running[mac] = v
	return v, true
}

// end tells those who wait, and remembers what was right.
func (a *Auth) end(mac [32]byte, v *verification) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, mac)
	if v.ok {
		if len(a.cache) >= cacheMax {
			clear(a.cache)
		}
		a.cache[mac] = a.opts.Now().Add(cacheTime)
	}
	close(v.done)
}

// verify checks a password in one of the workers: hashing takes memory and
// time, which must stay bounded.
func (a *Auth) verify(ctx context.Context, hash, password string) (bool, error) {
	a.mu.Lock()
	full := a.waiting >= queueMax
	if !full {
		a.waiting++
	}
	a.mu.Unlock()
	if full {
		return false, errs.New("auth.verify", errs.Limit, "too many are logging in; try again")
	}
	defer func() {
		a.mu.Lock()
		a.waiting--
		a.mu.Unlock()
	}()
	select {
	case a.workers <- struct{}{}:
	case <-ctx.Done():
		return false, errs.Wrap("auth.verify", ctx.Err())
	}
	result := make(chan bool, 1)
	// On a goroutine of its own, so that the session's stack stays small.
	go func() {
		defer func() { <-a.workers }()
		result <- Verify(hash, password)
	}()
	return <-result, nil
}

// delay waits longer with each failure from an address.
func (a *Auth) delay(ctx context.Context, from netip.Addr) {
	a.mu.Lock()
	now := a.opts.Now()
	p := a.penalties[from]
	if now.Sub(p.last) > penaltyTime {
		p = penalty{}
	}
	p.failures++
	p.last = now
	if len(a.penalties) >= penaltiesMax {
		clear(a.penalties)
	}
	a.penalties[from] = p
	a.mu.Unlock()
	if a.opts.NoDelay {
		return
	}
	select {
	case <-time.After(min(delayFirst*time.Duration(p.failures), delayMax)):
	case <-ctx.Done():
	}
}

// log writes one line for each attempt, in the wording that the stock fail2ban
// filter for this kind of server matches.
func (a *Auth) log(t Attempt, id Identity, err error, took time.Duration) {
	a.opts.Events.Login(t.Service, err)
	tls := ""
	if t.TLS {
		tls = ", TLS"
	}
	who := fmt.Sprintf("user=<%s>, method=%s, rip=%s, lip=%s%s, session=<%s>", escape(t.User), escape(t.Mechanism), addr(t.Remote), addr(t.Local), tls, t.Session)
	switch {
	case err == nil:
		a.opts.Log.Info(t.Service+"-login: Login: "+who, "account", id.Name)
	case errs.Is(err, errs.BadAuth):
		a.opts.Log.Info(fmt.Sprintf("%s-login: Aborted login (auth failed, 1 attempts in %d secs): %s", t.Service, int(took.Seconds()), who))
	default:
		a.opts.Log.Warn(t.Service+"-login: Login could not be checked: "+who, "error", err)
	}
}

func addr(a netip.AddrPort) string {
	if !a.IsValid() {
		return "127.0.0.1" // a UNIX socket
	}
	return a.Addr().String()
}

// escape keeps a client from forging parts of the line.
func escape(s string) string {
	if len(s) > 320 {
		s = s[:320]
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '<' || r == '>' || r == ',' || r == '=' || r >= 0x2028 && r <= 0x202f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
