package applepush

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"sync"
	"time"
)

// tokenTime is how long a token is used. Apple takes none that is older than an
// hour, and no new one within 20 minutes.
const tokenTime = 40 * time.Minute

// tokens makes JSON Web Tokens (RFC 7519) that authorize pushes.
type tokens struct {
	key         *ecdsa.PrivateKey
	keyID, team string

	mu    sync.Mutex
	token string
	made  time.Time
}

func newTokens(b []byte, keyID, team string) (*tokens, error) {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("it is no ECDSA key on the curve P-256")
	}
	return &tokens{key: key, keyID: keyID, team: team}, nil
}

// at returns the token for a time.
func (t *tokens) at(now time.Time) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if age := now.Sub(t.made); t.token == "" || age >= tokenTime || age < 0 {
		token, err := t.sign(now)
		if err != nil {
			return "", err
		}
		t.token, t.made = token, now
	}
	return t.token, nil
}

// sign makes a token with the algorithm ES256 (RFC 7518 §3.4).
func (t *tokens) sign(now time.Time) (string, error) {
	header, err := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
	}{"ES256", t.keyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(struct {
		Issuer string `json:"iss"`
		Issued int64  `json:"iat"`
	}{t.team, now.Unix()})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, t.key, sum[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature[:]), nil
}
