package applepush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

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
		if r.Context().Err() != nil { // the sender was stopped, and took it back
			return
		}
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
