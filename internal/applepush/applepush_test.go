package applepush

import (
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/lmtpserver"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

const topic = "com.apple.mail.XServer.0f6a5f6e-0000-4000-8000-2b1d2f3c4d5e"

// MD5 of names, from md5sum.
const (
	md5Inbox = "7E33429F656F1E6E9D79B29C3F82C57E"
	md5Sent  = "7F8C0283F16925CAED8E632086B81B9C"
	md5Übung = "2EA44E645C173CB26E7F116A9FD2F605"
)

// TestPush: a device is told of new messages in the mailboxes that it asked
// for, and of nothing else.
func TestPush(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	ada, bela := w.account("ada"), w.account("bela")
	w.update(ada, func(tx *store.Tx) error { _, err := tx.CreateMailbox("Übung", store.CreateOptions{}); return err })
	w.register(ada, "phone", 2, "INBOX", "Sent", "Übung")
	w.register(bela, "old", 1, "INBOX")
	w.deliver(ada, "INBOX")
	w.apple.expect(t, push("phone", md5Inbox))
	w.deliver(ada, "Archive", "Übung", "Sent")
	w.apple.expect(t, push("phone", md5Sent, md5Übung))
	w.deliver(bela, "INBOX")
	w.apple.expect(t, push("old"))

	// None of these is told; bela's is due after them.
	inbox := must(must(ada.Snapshot()).Mailbox("INBOX"))
	w.deliver(ada, "Archive")
	w.update(ada, func(tx *store.Tx) error {
		_, err := tx.SetFlags(inbox.ID, mail.NewUIDSet(1), store.FlagChange{Op: store.FlagsAdd, Flags: mail.NewFlags(mail.Flagged)})
		return err
	})
	w.update(ada, func(tx *store.Tx) error { _, err := tx.Expunge(inbox.ID, mail.NewUIDSet(1)); return err })
	w.deliver(bela, "INBOX")
	w.apple.expect(t, push("old"))
	w.deliver(bela, "INBOX")
	w.apple.expect(t, push("old"))
	w.counted("sent", 5)
	if got := w.log.String(); strings.Contains(got, hex.EncodeToString([]byte("phone"))) || !strings.Contains(got, "msg=apple_push account=ada@localhost device=70686f6e kind=sent") {
		t.Errorf("the log: %s", got)
	}
}

// TestDebounce: what comes while a device waits or rests is told once, later.
func TestDebounce(t *testing.T) {
	o := quick
	o.Delay, o.Rest = 300*time.Millisecond, 300*time.Millisecond
	w := newWorld(t, mem.New(), o)
	ada := w.account("ada")
	w.register(ada, "phone", 2, "INBOX", "Sent")
	begun := time.Now()
	for range 10 {
		w.deliver(ada, "INBOX")
	}
	w.deliver(ada, "Sent")
	w.apple.expect(t, push("phone", md5Inbox, md5Sent))
	if took := time.Since(begun); took < o.Delay {
		t.Errorf("told after %v", took)
	}
	for range 10 {
		w.deliver(ada, "INBOX")
	}
	w.apple.expect(t, push("phone", md5Inbox))
	if took := time.Since(begun); took < o.Delay+o.Rest {
		t.Errorf("told again after %v", took)
	}
	w.until("forgotten when it has rested", func() bool { return w.sender.Waiting() == 0 })
}

// TestGone: a device that Apple does not know any more is forgotten, for good.
func TestGone(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		kept   bool
	}{
		"410":                  {410, "", false},
		"since now":            {410, fmt.Sprintf(`{"reason":"Unregistered","timestamp":%d}`, servertest.Now.UnixMilli()), false},
		"since before renewal": {410, fmt.Sprintf(`{"reason":"Unregistered","timestamp":%d}`, servertest.Now.UnixMilli()-1), true},
		"bad":                  {400, `{"reason":"BadDeviceToken"}`, false},
		"other topic":          {400, `{"reason":"DeviceTokenNotForTopic"}`, false},
		"refused":              {400, `{"reason":"BadExpirationDate"}`, true},
		"redirected":           {301, ``, true},
		"no JSON":              {413, `<html>`, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := mem.New()
			w := newWorld(t, e, quick)
			ada, bela := w.account("ada"), w.account("bela")
			w.register(ada, "phone", 2, "INBOX")
			w.register(ada, "tablet", 2, "Sent")
			w.register(bela, "old", 2, "INBOX")
			w.apple.answers(tc.status, tc.body)
			w.deliver(ada, "INBOX")
			w.apple.expect(t, push("phone", md5Inbox))
			w.apple.answers(200, "")
			w.deliver(ada, "Sent")
			w.apple.expect(t, push("tablet", md5Sent))
			w.counted("sent", 1)
			if tc.kept && tc.status != 410 {
				w.counted("refused", 1)
			} else {
				w.counted("gone", 1)
			}
			again := must(store.Open(t.Context(), e, store.Options{Now: func() time.Time { return servertest.Now }, PurgeEvery: -1, ScrubEvery: -1}))
			defer again.Close()
			left := must(must(again.Account(t.Context(), ada.ID())).Snapshot()).Pushes()
			if kept := slices.ContainsFunc(left, func(p store.Push) bool { return p.Device == "phone" }); kept != tc.kept || len(left) < 1 {
				t.Errorf("registered after a restart: %+v", left)
			}
		})
	}
}

// TestLater: what Apple does not take now waits, and is told once it does.
func TestLater(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
	}{
		"too many":    {429, `{"reason":"TooManyRequests"}`},
		"busy":        {503, `{"reason":"ServiceUnavailable"}`},
		"broken":      {500, ``},
		"certificate": {403, `{"reason":"BadCertificate"}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mem.New(), quick)
			ada := w.account("ada")
			w.register(ada, "phone", 2, "INBOX", "Sent")
			w.apple.answers(tc.status, tc.body)
			w.deliver(ada, "INBOX")
			for range 4 {
				w.apple.expect(t, push("phone", md5Inbox))
			}
			w.apple.answers(200, "")
			w.deliver(ada, "Sent")
			for want := push("phone", md5Inbox, md5Sent); w.apple.next(t) != want; {
			}
		})
	}
}

// TestDown: while nobody answers pushes wait, and a message takes no longer
// than ever.
func TestDown(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	addr := ln.Addr().String()
	ln.Close()
	w.sender.Close()
	w.start(quick, "https://"+addr)
	ada := w.account("ada")
	w.register(ada, "phone", 2, "INBOX")
	w.deliver(ada, "INBOX")
	w.logs("again_in=20ms", 1) // that of many failures
	if n := w.sender.Waiting(); n != 1 {
		t.Errorf("%d wait", n)
	}
	back := newApple(t, w.ca, must(net.Listen("tcp", addr)))
	back.expect(t, push("phone", md5Inbox))
	w.logs("apple_push_resumed", 1)
}

// TestStrangers: nobody is told who is not Apple, or who does not take us for
// what we are.
func TestStrangers(t *testing.T) {
	other := newAuthority(t)
	for name, change := range map[string]func(p *apple, o *Options){
		"another's certificate": func(p *apple, o *Options) { o.Roots = other.pool() },
		"ours is not known":     func(p *apple, o *Options) { p.TLS.ClientCAs = other.pool() },
		"no HTTP/2":             func(p *apple, o *Options) { p.TLS.NextProtos = []string{"http/1.1"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mem.New(), quick)
			w.sender.Close()
			o := quick
			o.Log, o.Endpoint, o.Roots = slog.New(slog.NewTextHandler(w.log, nil)), w.apple.URL, w.ca.pool()
			change(w.apple, &o)
			sender := New(t.Context(), w.Store, o)
			t.Cleanup(sender.Close)
			sender.Configure(w.ca.identity(t))
			ada := w.account("ada")
			w.register(ada, "phone", 2, "INBOX")
			w.deliver(ada, "INBOX")
			w.logs("apple_push_stopped", 2)
			sender.Close()
			select {
			case got := <-w.apple.got:
				t.Errorf("%s was told", got)
			default:
			}
		})
	}
}

// TestWaitMax: no more wait than may; what is dropped is counted.
func TestWaitMax(t *testing.T) {
	o := quick
	o.WaitMax, o.Delay = 2, 200*time.Millisecond
	w := newWorld(t, mem.New(), o)
	ada := w.account("ada")
	for _, device := range []string{"a", "b", "c", "d"} {
		w.register(ada, device, 1, "INBOX")
	}
	w.deliver(ada, "INBOX")
	w.counted("sent", 2)
	w.counted("dropped", 2)
}

// TestLooksMax: accounts that are to be looked at are as many at most.
func TestLooksMax(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	s := &Sender{opts: Options{WaitMax: 1, Events: w.Events}, signal: make(chan struct{}, 1), looks: map[store.AccountID]look{}}
	ada, bela := w.account("ada"), w.account("bela")
	first, second := must(ada.Snapshot()), must(bela.Snapshot())
	s.note(ada, first)
	s.note(bela, second)
	s.note(ada, second)
	if len(s.looks) != 1 || s.looks[ada.ID()].before != first || !strings.Contains(w.Figures(t), `{result="dropped"} 1`) {
		t.Errorf("%+v", s.looks)
	}
}

// TestRevoked (A27, A29): who lost the account, the mailbox or the registration
// before the push is sent is told nothing.
func TestRevoked(t *testing.T) {
	for name, revoke := range map[string]func(w *world, ada *store.Account) error{
		"password": func(w *world, _ *store.Account) error {
			return w.Store.SetPassword(w.t.Context(), "ada@localhost", "{PLAIN}other")
		},
		"account": func(w *world, _ *store.Account) error { return w.Store.DeleteAccount(w.t.Context(), "ada@localhost") },
		"mailbox": func(w *world, ada *store.Account) error {
			_, err := ada.Update(w.t.Context(), func(tx *store.Tx) error {
				box, err := tx.Snapshot().Mailbox("Sent")
				if err != nil {
					return err
				}
				if err := tx.DeleteMailbox(box.ID); err != nil {
					return err
				}
				_, err = tx.CreateMailbox("Sent", store.CreateOptions{})
				return err
			})
			return err
		},
		"registration": func(w *world, ada *store.Account) error {
			_, err := ada.Update(w.t.Context(), func(tx *store.Tx) error {
				tx.DropPush("phone", "id-of-phone", servertest.Now)
				return nil
			})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := quick
			o.Delay = 100 * time.Millisecond
			w := newWorld(t, mem.New(), o)
			ada, bela := w.account("ada"), w.account("bela")
			w.register(ada, "phone", 2, "Sent")
			w.register(bela, "old", 2, "INBOX")
			w.deliver(ada, "Sent")
			if err := revoke(w, ada); err != nil {
				t.Fatal(err)
			}
			w.deliver(bela, "INBOX") // due after it
			w.apple.expect(t, push("old", md5Inbox))
			w.sender.Close()
			if len(w.apple.got) > 0 {
				t.Errorf("told: %s", <-w.apple.got)
			}
		})
	}
}

// TestOff: without an identity there is no topic and no push; turned on again,
// there is, for what comes then.
func TestOff(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	ada := w.account("ada")
	w.register(ada, "phone", 2, "INBOX", "Sent")
	if got := w.sender.Topic(); got != topic {
		t.Errorf("topic %q", got)
	}
	w.sender.Configure(nil)
	w.deliver(ada, "INBOX")
	if w.sender.Topic() != "" || w.sender.Waiting() != 0 {
		t.Error("it is on")
	}
	w.sender.Configure(w.ca.identity(t))
	w.deliver(ada, "Sent")
	w.apple.expect(t, push("phone", md5Sent))
}

// TestBody: the largest registration fits into Apple's 4 KiB.
func TestBody(t *testing.T) {
	names := make([]string, store.PushMailboxesMax)
	if n := len(body(&store.Push{Version: 2, AccountID: strings.Repeat("x", 100)}, names)); n > 4096 {
		t.Errorf("%d octets", n)
	}
}

// TestBackOff: it doubles up to its limit.
func TestBackOff(t *testing.T) {
	var o Options
	defaults(&o)
	s := &Sender{opts: o}
	for n, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1 << 30: 5 * time.Minute} {
		if got := s.backOff(n); got != want {
			t.Errorf("%d: %v", n, got)
		}
	}
}

// TestProxy: Apple is reached through a proxy, in HTTP/2 all the same.
func TestProxy(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		out, err := net.Dial("tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			t.Error(r.Method, err)
			return
		}
		defer out.Close()
		in, read, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer in.Close()
		io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n") // once nobody else reads what follows
		go io.Copy(out, read)
		io.Copy(in, out)
	}))
	t.Cleanup(proxy.Close)
	through := must(url.Parse(proxy.URL))
	w.sender.mu.Lock()
	w.sender.client.Transport.(*http.Transport).Proxy = http.ProxyURL(through)
	w.sender.mu.Unlock()
	ada := w.account("ada")
	w.register(ada, "phone", 2, "INBOX")
	w.deliver(ada, "INBOX")
	w.apple.expect(t, push("phone", md5Inbox))
	if asked.Load() != 1 {
		t.Errorf("the proxy was asked %d times", asked.Load())
	}
	w.sender.Close()
	w.apple.CloseClientConnections()
}

// TestWhole: a device registers over IMAP, and is told of a message that comes
// over LMTP by the name that it was answered.
func TestWhole(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	imap := imapserver.New(w.Store, w.Auth, imapserver.Options{Log: w.Log, ApplePush: w.sender.Topic})
	lmtp := lmtpserver.New(w.Store, w.Dir, lmtpserver.Options{Events: w.Events})
	c := servertest.Dial(t, w.Listen(t, netserver.ListenerOptions{Protocol: "imap", Handler: imap.On("imap")}))
	servertest.Play(t, []string{
		`S~ \* OK .*`,
		`C: a LOGIN ada secret`,
		`S~ a OK \[CAPABILITY .* XAPPLEPUSHSERVICE.*`,
		`C: b XAPPLEPUSHSERVICE "aps-version" "2" "aps-account-id" "id-of-phone" "aps-device-token" "` + hex.EncodeToString([]byte("phone")) + `" "aps-subtopic" "com.apple.mobilemail" "mailboxes" ("inbox" "Sent")`,
		`S: * XAPPLEPUSHSERVICE "mailbox" "INBOX"`,
		`S: * XAPPLEPUSHSERVICE "mailbox" "Sent"`,
		`S: * XAPPLEPUSHSERVICE "aps-version" "2" "aps-topic" "` + topic + `"`,
		`S: b OK XAPPLEPUSHSERVICE completed`,
	}, func() *servertest.Client { return c })
	l := servertest.Dial(t, w.Listen(t, netserver.ListenerOptions{Protocol: "lmtp", Handler: lmtp.Handle}))
	l.Send(t, "LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\nDATA\r\n")
	for line := ""; !strings.HasPrefix(line, "354"); line = l.Line() {
		if strings.HasPrefix(line, "5") || strings.HasPrefix(line, "<") {
			t.Fatal(line)
		}
	}
	l.Send(t, "Subject: x\r\n\r\nx\r\n.\r\n")
	w.apple.expect(t, push("phone", md5Inbox))
}
