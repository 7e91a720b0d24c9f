// Package sasl holds the server sides of SASL mechanisms as machines that
// decide without I/O: a response goes in, a challenge comes out.
package sasl

import (
	"bytes"
	"encoding/base64"
	"errors"
	"unicode/utf8"
)

// Limits of an exchange (reliability paper 4.4).
const (
	ResponseMax = 8 << 10 // octets of one response, before decoding
	FieldMax    = 1024    // octets of a name or password, with LOGIN of IMAP too
)

// ErrMalformed is a response that is none of the mechanism.
var ErrMalformed = errors.New("malformed response")

// Credentials are what an exchange ends with.
type Credentials struct {
	Authorize string // whom to act as; empty: User
	User      string
	Password  string
}

// Server is one exchange. It is used by one goroutine.
type Server interface {
	// Step takes the client's response, nil for none yet, and returns the
	// next challenge, or done.
	Step(response []byte) (challenge []byte, done bool, err error)
	// Credentials are valid after done.
	Credentials() Credentials
}

// Names returns the mechanisms in the order in which they are offered.
func Names() []string { return []string{"PLAIN", "LOGIN"} }

// New starts an exchange.
func New(mechanism string) (Server, bool) {
	switch mechanism {
	case "PLAIN":
		return &plain{}, true
	case "LOGIN":
		return &login{}, true
	}
	return nil, false
}

// Decode decodes a response in base64, strictly (RFC 4648 §4).
func Decode(s []byte) ([]byte, error) {
	if len(s) > ResponseMax {
		return nil, ErrMalformed
	}
	b, err := base64.StdEncoding.Strict().DecodeString(string(s))
	if err != nil {
		return nil, ErrMalformed
	}
	return b, nil
}

func good(fields ...[]byte) bool {
	for _, f := range fields {
		if len(f) > FieldMax || bytes.IndexByte(f, 0) >= 0 || !utf8.Valid(f) {
			return false
		}
	}
	return true
}

// plain is RFC 4616.
type plain struct{ c Credentials }

func (p *plain) Credentials() Credentials { return p.c }

func (p *plain) Step(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	f := bytes.Split(response, []byte{0})
	if len(f) != 3 || len(f[1]) == 0 || !good(f...) {
		return nil, false, ErrMalformed
	}
	p.c = Credentials{string(f[0]), string(f[1]), string(f[2])}
	return nil, true, nil
}

// login is the mechanism of draft-murchison-sasl-login, which many clients
// still use: a name and a password after two prompts.
type login struct {
	c    Credentials
	step int
}

func (l *login) Credentials() Credentials { return l.c }

func (l *login) Step(response []byte) ([]byte, bool, error) {
	if l.step == 0 && response == nil {
		return []byte("Username:"), false, nil
	}
	if !good(response) || l.step == 0 && len(response) == 0 {
		return nil, false, ErrMalformed
	}
	if l.step == 0 {
		l.c.User = string(response)
		l.step = 1
		return []byte("Password:"), false, nil
	}
	l.c.Password = string(response)
	return nil, true, nil
}
