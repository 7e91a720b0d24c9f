package applepush

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/lmtpserver"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

const topic = "com.apple.mail.XServer.0f6a5f6e-0000-4000-8000-2b1d2f3c4d5e"

// authority is a CA of the test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{}
	cert, key := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = cert, key
	return a
}

// issue makes a certificate; the first is the authority's own.
func (a *authority) issue(t testing.TB, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	template.NotBefore = template.NotAfter.AddDate(-1, 0, 0)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// files writes a push certificate for a topic.
func (a *authority) files(t testing.TB, topic string, notAfter time.Time) (cert, key string) {
	t.Helper()
	subject := pkix.Name{CommonName: "APSP:test"}
	if topic != "" {
		subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}}
	}
	c, k := a.issue(t, &x509.Certificate{Subject: subject, NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "push.pem"), filepath.Join(dir, "push.key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Raw}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func (a *authority) identity(t testing.TB) *Identity {
	t.Helper()
	id, err := LoadCertificate(a.files(t, topic, time.Time{}))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// apple stands for Apple's server: TLS, HTTP/2, certificates of one authority.
type apple struct {
	*httptest.Server
	got chan string // what came: device and body

	mu     sync.Mutex
	public *ecdsa.PublicKey // of tokens, which take the place of a certificate
	answer func(device string) (status int, body string)
}

func newApple(t testing.TB, a *authority, ln net.Listener) *apple {
	t.Helper()
	p := &apple{got: make(chan string, 1000), answer: func(string) (int, string) { return 200, "" }}
	cert, key := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "apple"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	p.Server = httptest.NewUnstartedServer(p.serve(t))
	if ln != nil {
		p.Listener.Close()
		p.Listener = ln
	}
	p.EnableHTTP2 = true
	p.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	p.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.pool()}
	p.StartTLS()
	t.Cleanup(p.Close)
	return p
}

func (p *apple) serve(t testing.TB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		device, ok := strings.CutPrefix(r.URL.Path, "/3/device/")
		h := r.Header
		if err != nil || !ok || r.Method != "POST" || r.ProtoMajor != 2 || h.Get("apns-topic") != topic || h.Get("apns-push-type") != "background" || h.Get("apns-expiration") == "" {
			t.Errorf("%s %s %s: %v, %v", r.Proto, r.Method, r.URL, h, err)
		}
		p.mu.Lock()
		status, text := p.answer(device)
		public := p.public
		p.mu.Unlock()
		if ours := len(r.TLS.PeerCertificates) > 0; ours == (public != nil) || public != nil && !goodToken(t, public, h.Get("authorization")) {
			http.Error(w, `{"reason":"BadCertificate"}`, http.StatusForbidden)
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, text)
		p.got <- device + " " + string(b)
	}
}

// goodToken checks a token as Apple does.
func goodToken(t testing.TB, public *ecdsa.PublicKey, header string) bool {
	token, bearer := strings.CutPrefix(header, "bearer ")
	parts := strings.Split(token, ".")
	if !bearer || len(parts) != 3 {
		return false
	}
	var decoded [3][]byte
	for i := range parts {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Error(err)
		}
		decoded[i] = b
	}
	sum, sig := sha256.Sum256([]byte(parts[0]+"."+parts[1])), decoded[2]
	return string(decoded[0]) == `{"alg":"ES256","kid":"KEY"}` && strings.HasPrefix(string(decoded[1]), `{"iss":"TEAM","iat":1`) && len(sig) == 64 &&
		ecdsa.Verify(public, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

func (p *apple) answers(status int, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(string) (int, string) { return status, body }
}

// next waits for a push.
func (p *apple) next(t testing.TB) string {
	t.Helper()
	select {
	case got := <-p.got:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("no push came")
		return ""
	}
}

func (p *apple) expect(t testing.TB, want string) {
	t.Helper()
	if got := p.next(t); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
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

// TestCertificate: what can be a push certificate, and when it holds.
func TestCertificate(t *testing.T) {
	ca := newAuthority(t)
	end := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	id, err := LoadCertificate(ca.files(t, topic, end))
	if err != nil || id.Topic != topic {
		t.Fatal(id, err)
	}
	for _, tc := range []struct {
		at   time.Time
		want bool
	}{{end, true}, {end.Add(time.Second), false}, {end.AddDate(-1, 0, 0), true}, {end.AddDate(-1, 0, -1), false}} {
		if id.Holds(tc.at) != tc.want {
			t.Errorf("%v: %v", tc.at, !tc.want)
		}
	}
	for name, wrong := range map[string]string{"no topic": "", "another app": "com.example.app", "no end": "com.apple.mail", "quote": `com.apple.mail.a"b`, "long": "com.apple.mail." + strings.Repeat("x", 200)} {
		if _, err := LoadCertificate(ca.files(t, wrong, end)); err == nil || !strings.Contains(err.Error(), "com.apple.mail. or") {
			t.Errorf("%s: %v", name, err)
		}
	}
	cert, _ := ca.files(t, topic, end)
	_, key := ca.files(t, topic, end)
	if _, err := LoadCertificate(cert, key); err == nil || !strings.Contains(err.Error(), cert) {
		t.Errorf("another key: %v", err)
	}
	if _, err := LoadCertificate(cert, "/nowhere"); err == nil {
		t.Error("no key is good")
	}
}

// TestExpired: with a certificate that is over nothing is offered or sent, and
// the log says so; its successor takes over what waits.
func TestExpired(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	ada := w.account("ada")
	w.register(ada, "phone", 2, "INBOX")
	old := must(LoadCertificate(w.ca.files(t, topic, time.Now().Add(-time.Minute))))
	soon := must(LoadCertificate(w.ca.files(t, topic, time.Now().Add(time.Hour))))
	w.sender.Configure(old)
	w.deliver(ada, "INBOX")
	w.logs("apple_push_stopped", 2)
	if w.sender.Topic() != "" || !strings.Contains(w.log.String(), "is not good now, so devices cannot register") {
		t.Error("an old certificate is good")
	}
	w.sender.Configure(soon)
	w.apple.expect(t, push("phone", md5Inbox))
	if w.sender.Topic() != topic || !strings.Contains(w.log.String(), "the certificate ends soon") {
		t.Error(w.log.String())
	}
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

// tokenKey writes a key for tokens.
func tokenKey(t testing.TB, curve elliptic.Curve) (file string, public *ecdsa.PublicKey) {
	t.Helper()
	key := must(ecdsa.GenerateKey(curve, rand.Reader))
	file = filepath.Join(t.TempDir(), "AuthKey_KEY.p8")
	block := &pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, &key.PublicKey
}

// TestToken: a key that signs tokens takes the place of the certificate.
func TestToken(t *testing.T) {
	w := newWorld(t, mem.New(), quick)
	file, public := tokenKey(t, elliptic.P256())
	w.apple.mu.Lock()
	w.apple.public = public
	w.apple.mu.Unlock()
	w.sender.Configure(must(LoadKey(file, "KEY", "TEAM", topic)))
	ada := w.account("ada")
	w.register(ada, "phone", 2, "INBOX")
	w.deliver(ada, "INBOX")
	w.apple.expect(t, push("phone", md5Inbox))
	if w.sender.Topic() != topic {
		t.Error("no topic")
	}
	other, _ := tokenKey(t, elliptic.P256())
	w.sender.Configure(must(LoadKey(other, "KEY", "TEAM", topic)))
	w.deliver(ada, "INBOX")
	w.logs("reason=BadCertificate", 1)
}

// TestTokenTime: a token is used for some time, and not for longer.
func TestTokenTime(t *testing.T) {
	file, public := tokenKey(t, elliptic.P256())
	id := must(LoadKey(file, "KEY", "TEAM", topic))
	at := time.Unix(1_800_000_000, 0)
	first := must(id.authorization(at))
	for after, same := range map[time.Duration]bool{0: true, tokenTime - 1: true, tokenTime: false, -1: false} {
		id.tokens.token, id.tokens.made = strings.TrimPrefix(first, "bearer "), at
		got := must(id.authorization(at.Add(after)))
		if (got == first) != same || !goodToken(t, public, got) {
			t.Errorf("after %v: %s", after, got)
		}
	}
}

// TestKey: what can be such a key.
func TestKey(t *testing.T) {
	good, _ := tokenKey(t, elliptic.P256())
	curve, _ := tokenKey(t, elliptic.P384())
	text := filepath.Join(t.TempDir(), "text")
	os.WriteFile(text, []byte("text"), 0o600)
	cert, _ := newAuthority(t).files(t, topic, time.Time{})
	for _, tc := range []struct{ file, topic, want string }{
		{good, topic, ""},
		{good, "com.example", `the push topic "com.example" cannot be used: Mail only takes`},
		{curve, topic, "no ECDSA key on the curve P-256"},
		{text, topic, "it is not PEM"},
		{cert, topic, "cannot be used: "},
		{"/nowhere", topic, "no such file"},
	} {
		id, err := LoadKey(tc.file, "KEY", "TEAM", tc.topic)
		if tc.want == "" && (err != nil || !id.Holds(time.Time{})) || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasSuffix(err.Error(), "nothing was changed")) {
			t.Errorf("%s: %v", tc.file, err)
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
		rw.WriteHeader(http.StatusOK)
		in, _, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer in.Close()
		go io.Copy(out, in)
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
