package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

func newAuth(t *testing.T, users ...string) (*Auth, *store.Store, *bytes.Buffer) {
	t.Helper()
	s, err := store.Open(context.Background(), mem.New(), store.Options{Now: time.Now, PurgeEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, u := range users {
		name, hash, _ := strings.Cut(u, ":")
		if _, err := s.CreateAccount(context.Background(), name, hash); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	return New(directory.New(s, "localhost"), Options{Log: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now, NoDelay: true}), s, &log
}

// TestFind: a name is found in any of its forms, but nobody who may not log in.
func TestFind(t *testing.T) {
	a, s, _ := newAuth(t, "a@localhost:{PLAIN}x")
	if _, err := s.CreateAccounts(t.Context(), []store.AccountInfo{{Name: "off@localhost", Password: "{PLAIN}x", Disabled: true}}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "a@localhost", "A@LocalHost": "a@localhost", "off": "", "b": "", "": "", "a@b": ""} {
		id, err := a.Find(t.Context(), name)
		if id.Name != want || (err == nil) != (want != "") || err != nil && !errs.Is(err, errs.NotFound) {
			t.Errorf("%q is %v, %v", name, id, err)
		}
	}
}

// TestQueue: the logins that wait for a hash are limited.
func TestQueue(t *testing.T) {
	a, _, _ := newAuth(t, "a@localhost:{PLAIN}x")
	for waiting, want := range map[int]bool{queueMax - 1: true, queueMax: false, queueMax + 1: false} {
		a.waiting = waiting
		_, err := a.Login(t.Context(), Attempt{User: "a", Password: "x", Mechanism: fmt.Sprint(waiting)})
		if (err == nil) != want || err != nil && !errs.Is(err, errs.Limit) {
			t.Errorf("with %d waiting: %v", waiting, err)
		}
	}
}

// slowAuth has one account with the password x. Its workers are busy until release
// is called.
func slowAuth(t *testing.T) (a *Auth, release func()) {
	t.Helper()
	a, _, _ = newAuth(t, "a@localhost:{PLAIN}x", "b@localhost:{PLAIN}x")
	a.dummy = func() string { return "{PLAIN}none" }
	for range cap(a.workers) {
		a.workers <- struct{}{}
	}
	return a, func() {
		for range cap(a.workers) {
			<-a.workers
		}
	}
}

// TestStorm: logins of one account with the same password wait for one
// verification, however many they are; others wait for their own.
func TestStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, release := slowAuth(t)
		attempts := []Attempt{{User: "a", Password: "x"}, {User: "a@localhost", Password: "x"}, {User: "b", Password: "x"},
			{User: "a", Password: "y"}, {User: "a", Password: "x", Mechanism: "PLAIN"}, {User: "none", Password: "x"}}
		const each = 2 * queueMax
		right, wrong := make([]atomic.Int32, len(attempts)), make([]atomic.Int32, len(attempts))
		for i, attempt := range attempts {
			for range each {
				go func() {
					switch _, err := a.Login(t.Context(), attempt); {
					case err == nil:
						right[i].Add(1)
					case errs.Is(err, errs.BadAuth):
						wrong[i].Add(1)
					default:
						t.Errorf("%+v: %v", attempt, err)
					}
				}()
			}
		}
		synctest.Wait()
		if want := len(attempts) - 1; a.waiting != want { // two are names of one account
			t.Errorf("%d logins wait for a worker, not %d", a.waiting, want)
		}
		release()
		synctest.Wait()
		for i, attempt := range attempts {
			if isRight := attempt.Password == "x" && attempt.User != "none"; right[i].Load() != each && isRight || wrong[i].Load() != each && !isRight {
				t.Errorf("%+v: %d logins were right and %d wrong, of %d", attempt, right[i].Load(), wrong[i].Load(), each)
			}
		}
		if n := a.penalties[netip.Addr{}].failures; n != 2*each { // each attempt is one guess
			t.Errorf("%d failures are counted, not %d", n, 2*each)
		}
		if len(a.running) != 0 || len(a.cache) != 3 {
			t.Errorf("%d verifications go on, %d are remembered", len(a.running), len(a.cache))
		}
	})
}

// TestStormLeaderGone: who hangs up while others wait for the same verification
// takes nothing away from them.
func TestStormLeaderGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, release := slowAuth(t)
		login := func(ctx context.Context) <-chan error {
			done := make(chan error, 1)
			go func() {
				_, err := a.Login(ctx, Attempt{User: "a", Password: "x"})
				done <- err
			}()
			synctest.Wait()
			return done
		}
		ctx, hangUp := context.WithCancel(t.Context())
		first := login(ctx)
		others := []<-chan error{login(t.Context()), login(t.Context())}
		hangUp()
		if err := <-first; err == nil {
			t.Error("who hung up is logged in")
		}
		synctest.Wait()
		if a.waiting != 1 {
			t.Errorf("%d logins wait for a worker", a.waiting)
		}
		release()
		for _, done := range others {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestSchemes(t *testing.T) {
	argon, err := Hash("secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{
		argon, "{ARGON2ID}" + argon, "{PLAIN}secret",
		// Made with openssl passwd -6 and -5.
		"{SHA512-CRYPT}$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.",
		"{CRYPT}$5$saltstring$C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi.", "{SHA256-CRYPT}$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA",
		// With openssl passwd -1.
		"{MD5-CRYPT}$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1", "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
		// With crypt(3) of Debian 12; other programs write 2a and 2y for the same.
		"{BLF-CRYPT}$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "{BLF-CRYPT}$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
		"$2a$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
		// With hashlib of Python.
		"{PBKDF2}$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0c2FsdA$dClvKSmj66n6MdMWNv3Go4mvH1Ym2WIGiJvquqa.mfE",
	} {
		stored, err := ImportHash(h)
		if err != nil {
			t.Errorf("%s: %v", h, err)
			continue
		}
		ok := Verify(stored, "secret")
		if !ok || Verify(stored, "Secret") || Verify(stored, "") {
			t.Errorf("%s", h)
		}
	}
	for _, bad := range []string{"{NOPE}x", "$9$x"} {
		if _, err := ImportHash(bad); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, p := range []string{"", "a\x00b", "a\nb", strings.Repeat("x", PasswordMax+1)} {
		if _, err := Hash(p); !errs.Is(err, errs.Invalid) {
			t.Errorf("Hash(%.10q): %v", p, err)
		}
	}
}

func TestLogin(t *testing.T) {
	a, s, log := newAuth(t, "bob@localhost:{PLAIN}pw", "eve@example.org:{PLAIN}other")
	try := func(user, password, authorize string) error {
		_, err := a.Login(context.Background(), Attempt{Service: "imap", Mechanism: "PLAIN", User: user, Password: password, Authorize: authorize,
			Remote: netip.MustParseAddrPort("192.0.2.1:99"), Session: "abc"})
		return err
	}
	for range 2 { // the second time from the cache
		if err := try("BOB", "pw", ""); err != nil {
			t.Fatal(err)
		}
		if err := try("bob@localhost", "pw", "bob"); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range [][3]string{{"bob", "PW", ""}, {"bob", "other", ""}, {"none", "pw", ""}, {"bob", "pw", "eve@example.org"}, {"", "", ""}} {
		if err := try(bad[0], bad[1], bad[2]); !errs.Is(err, errs.BadAuth) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := s.SetPassword(context.Background(), "bob@localhost", "{PLAIN}new"); err != nil {
		t.Fatal(err)
	}
	if err := try("bob", "pw", ""); !errs.Is(err, errs.BadAuth) {
		t.Fatalf("the old password after a change: %v", err)
	}
	if strings.Contains(log.String(), "pw\"") || strings.Contains(log.String(), "other") {
		t.Fatal("a password is in the log")
	}
}

// The stock fail2ban filter's expression for failed logins, reduced to its
// essential part; and what a client may try to forge.
func TestLogLine(t *testing.T) {
	a, _, log := newAuth(t)
	filter := regexp.MustCompile(`(?:pop3|imap|managesieve|submission)-login: (?:Aborted login|Disconnected|Login aborted).*\((?:auth failed, \d+ attempts(?: in \d+ secs)?)[^)]*\):(?: user=<[^>]*>,)?(?: method=\S+,)? rip=([0-9.a-f:]+)(?:, lip=|,)`)
	for _, user := range []string{"bob", "x>, rip=10.0.0.1, y=<", "a\r\nimap-login: Login: user=<root>", "\u2028", "rip=1.1.1.1"} {
		log.Reset()
		a.Login(context.Background(), Attempt{Service: "imap", Mechanism: "PLAIN", User: user, Password: "x", Remote: netip.MustParseAddrPort("192.0.2.7:1"), Local: netip.MustParseAddrPort("192.0.2.8:143"), Session: "s"})
		m := filter.FindStringSubmatch(log.String())
		if m == nil || m[1] != "192.0.2.7" || strings.Count(log.String(), "\n") != 1 {
			t.Errorf("%q: %s", user, log.String())
		}
	}
}

// A cached answer is what the answer without a cache would be.
func TestCacheAgrees(t *testing.T) {
	names := []string{"a", "ab", "b", "a@localhost"}
	a, _, _ := newAuth(t, "a@localhost:{PLAIN}x", "ab@localhost:{PLAIN}bx", "b@localhost:{PLAIN}xa")
	a.dummy = func() string { return "{PLAIN}none" } // argon2id would take a minute and a half
	rng := rand.New(rand.NewPCG(1, 1))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	for range 5000 {
		t1 := Attempt{User: pick(names...), Password: pick("x", "bx", "xa", "", "b"), Mechanism: pick("PLAIN", "LOGIN"), Authorize: pick("", "a", "b")}
		_, cached := a.login(context.Background(), t1)
		a.mu.Lock()
		saved := a.cache
		a.cache = map[[32]byte]time.Time{}
		a.mu.Unlock()
		_, fresh := a.login(context.Background(), t1)
		a.mu.Lock()
		a.cache = saved
		a.mu.Unlock()
		if fmt.Sprint(cached) != fmt.Sprint(fresh) {
			t.Fatalf("%+v: cached %v, fresh %v", t1, cached, fresh)
		}
	}
}
