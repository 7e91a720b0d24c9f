package applepush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
)

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
