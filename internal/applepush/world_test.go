package applepush

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// logged is a log in memory.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a store with devices, a sender and Apple.
type world struct {
	*servertest.Server
	t      testing.TB
	ca     *authority
	apple  *apple
	sender *Sender
	log    *logged
}

// quick are short times.
var quick = Options{Delay: 10 * time.Millisecond, Rest: time.Millisecond, BackOff: time.Millisecond, BackOffMax: 20 * time.Millisecond}

func newWorld(t testing.TB, e engine.Engine, o Options) *world {
	t.Helper()
	w := &world{Server: servertest.NewOn(t, e), t: t, ca: newAuthority(t), log: &logged{}}
	w.apple = newApple(t, w.ca, nil)
	w.start(o, w.apple.URL)
	return w
}

// start gives the world a sender of its own.
func (w *world) start(o Options, endpoint string) {
	w.t.Helper()
	o.Log, o.Events, o.Endpoint, o.Roots = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})), w.Events, endpoint, w.ca.pool()
	w.sender = New(w.t.Context(), w.Store, o)
	w.t.Cleanup(w.sender.Close)
	w.sender.Configure(w.ca.identity(w.t))
}

func (w *world) account(name string) *store.Account {
	w.t.Helper()
	info, err := w.Store.AccountInfo(w.t.Context(), name+"@localhost")
	if err != nil {
		w.t.Fatal(err)
	}
	a, err := w.Store.Account(w.t.Context(), info.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) update(a *store.Account, fn func(tx *store.Tx) error) {
	w.t.Helper()
	if _, err := a.Update(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// register registers a device with the account's password of now.
func (w *world) register(a *store.Account, device string, version int, mailboxes ...string) {
	w.t.Helper()
	info, err := w.Store.AccountInfo(w.t.Context(), a.Name())
	if err != nil {
		w.t.Fatal(err)
	}
	w.update(a, func(tx *store.Tx) error {
		p := store.Push{Device: device, AccountID: "id-of-" + device, Version: version, Credential: store.CredentialOf(info.Password)}
		for _, name := range mailboxes {
			box, err := tx.Snapshot().Mailbox(name)
			if err != nil {
				return err
			}
			p.Mailboxes = append(p.Mailboxes, box.ID)
		}
		return tx.RegisterPush(p)
	})
}

func (w *world) deliver(a *store.Account, mailboxes ...string) {
	w.t.Helper()
	st, err := w.Store.Stage(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer st.Discard()
	io.WriteString(st, "Subject: x\r\n\r\nx\r\n")
	staged, err := st.Seal()
	if err != nil {
		w.t.Fatal(err)
	}
	w.update(a, func(tx *store.Tx) error {
		for _, name := range mailboxes {
			box, err := tx.Snapshot().Mailbox(name)
			if err != nil {
				return err
			}
			if _, err := tx.Append(box.ID, staged, store.AppendOptions{InternalDate: servertest.Now}); err != nil {
				return err
			}
		}
		return nil
	})
}

// until waits for something.
func (w *world) until(what string, is func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not %s; the log: %s", what, w.log)
		}
	}
}

// counted waits until so many pushes came to a result.
func (w *world) counted(result string, n int) {
	w.t.Helper()
	line := fmt.Sprintf("angarium_apple_pushes_total{result=%q} %d\n", result, n)
	w.until(line, func() bool { return strings.Contains(w.Figures(w.t), line) })
}

// logs waits until the log says something so often.
func (w *world) logs(text string, n int) {
	w.t.Helper()
	w.until(text, func() bool { return strings.Count(w.log.String(), text) >= n })
}

// push is what Apple gets for a device that is told of mailboxes by their MD5.
func push(device string, hashes ...string) string {
	m := ""
	if len(hashes) > 0 {
		m = `,"m":["` + strings.Join(hashes, `","`) + `"]`
	}
	return hex.EncodeToString([]byte(device)) + ` {"aps":{"account-id":"id-of-` + device + `"` + m + `}}`
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
