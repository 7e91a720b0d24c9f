package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// pushCertificate writes a certificate for a topic, and its key.
func pushCertificate(t *testing.T, topic string, notAfter time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: notAfter.AddDate(-1, 0, 0), NotAfter: notAfter,
		Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}}}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "push.pem"), filepath.Join(dir, "push.key")
	os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600)
	os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return certFile, keyFile
}

// TestApplePush: the switch, its certificate, and what a reload does to both.
func TestApplePush(t *testing.T) {
	s, err := harness.New(theBinary(t), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.toml")
	s.Args = append(s.Args, "--config", file)
	configure := func(enabled bool, cert, key string) {
		t.Helper()
		if err := os.WriteFile(file, fmt.Appendf(nil, "config_version = 1\n[apple_push]\nenabled = %v\ncertificate = %q\nkey = %q\n", enabled, cert, key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, goodKey := pushCertificate(t, "com.apple.mail.XServer.test", time.Now().AddDate(0, 6, 0))
	old, oldKey := pushCertificate(t, "com.apple.mail.XServer.test", time.Now().AddDate(0, 0, -1))
	wrong, wrongKey := pushCertificate(t, "com.example.app", time.Now().AddDate(0, 6, 0))
	configure(true, good, goodKey)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	if err := s.Import("ada:secret"); err != nil {
		t.Fatal(err)
	}
	advertised := func() bool {
		t.Helper()
		return strings.Contains(strings.Join(imapDo(t, s, "ada", "CAPABILITY"), "\n"), " XAPPLEPUSHSERVICE")
	}
	if !advertised() {
		t.Fatal("it is on, and not advertised")
	}
	imapDo(t, s, "ada", "XAPPLEPUSHSERVICE aps-version 2 aps-account-id A aps-device-token 2918390218 aps-subtopic com.apple.mobilemail mailboxes (INBOX Sent)")
	if out, code := command(t, "", "user", "show", "ada", "--data", s.Data); code != 0 || !strings.Contains(out, "  device 29183902, registered "+time.Now().Format("2006")) || !strings.Contains(out, "is told of new messages in INBOX, Sent\n") {
		t.Errorf("%s, code %d", out, code)
	}

	const refused = `the user id in its subject is "com.example.app", and Mail only takes pushes of topics that begin with com.apple.mail. or`
	token := fmt.Sprintf("config_version = 1\n[apple_push]\nenabled = true\ntoken_key = %q\ntoken_key_id = \"K\"\nteam_id = \"T\"\ntopic = \"com.apple.mail.other\"\n", goodKey)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := command(t, "", "reload", "--data", s.Data); code != 0 {
		t.Errorf("%s, code %d", out, code)
	}
	if got := strings.Join(imapDo(t, s, "ada", "XAPPLEPUSHSERVICE aps-version 1 aps-account-id A aps-device-token 29 aps-subtopic com.apple.mobilemail"), "\n"); !strings.Contains(got, `"aps-topic" "com.apple.mail.other"`) {
		t.Errorf("with a key for tokens: %s", got)
	}

	configure(true, wrong, wrongKey)
	for _, args := range [][]string{{"reload", "--data", s.Data}, {"config", "check", "--config", file}} {
		if out, code := command(t, "", args...); code != 1 || !strings.Contains(out, refused) {
			t.Errorf("%v: %s, code %d", args, out, code)
		}
	}
	if !advertised() {
		t.Error("a bad file turned it off")
	}
	for name, off := range map[string]func(){"expired": func() { configure(true, old, oldKey) }, "off": func() { configure(false, good, goodKey) }} {
		off()
		if out, code := command(t, "", "reload", "--data", s.Data); code != 0 {
			t.Errorf("%s: %s", name, out)
		}
		if advertised() {
			t.Errorf("%s, and advertised", name)
		}
		configure(true, good, goodKey)
		if out, code := command(t, "", "reload", "--data", s.Data); code != 0 || !advertised() {
			t.Errorf("after %s: %s", name, out)
		}
	}
}
