package sasl

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestPlain: RFC 4616 §2.
func TestPlain(t *testing.T) {
	for in, want := range map[string]*Credentials{
		"\x00ada\x00secret":     {"", "ada", "secret"},
		"bela\x00ada\x00secret": {"bela", "ada", "secret"},
		"\x00ada\x00":           {"", "ada", ""},
		"\x00\x00secret":        nil,
		"ada\x00secret":         nil,
		"\x00ada\x00sec\x00ret": nil,
		"\x00ada\x00\xff":       nil,
		"":                      nil,
		"\x00a\x00" + strings.Repeat("x", FieldMax):   {"", "a", strings.Repeat("x", FieldMax)},
		"\x00a\x00" + strings.Repeat("x", FieldMax+1): nil,
	} {
		m, _ := New("PLAIN")
		if c, done, err := m.Step(nil); c == nil || len(c) > 0 || done || err != nil {
			t.Fatal(c, done, err)
		}
		_, done, err := m.Step([]byte(in))
		if (err == nil) != (want != nil) || done != (want != nil) || want != nil && m.Credentials() != *want {
			t.Errorf("%.40q: %v %v %v", in, m.Credentials(), done, err)
		}
	}
}

func TestLogin(t *testing.T) {
	m, _ := New("LOGIN")
	if c, _, _ := m.Step(nil); string(c) != "Username:" {
		t.Error(c)
	}
	if c, done, err := m.Step([]byte("ada")); string(c) != "Password:" || done || err != nil {
		t.Error(c, done, err)
	}
	if _, done, err := m.Step([]byte("secret")); !done || err != nil || m.Credentials() != (Credentials{"", "ada", "secret"}) {
		t.Error(m.Credentials(), done, err)
	}
	// The name as initial response.
	m, _ = New("LOGIN")
	if c, _, err := m.Step([]byte("ada")); string(c) != "Password:" || err != nil {
		t.Error(c, err)
	}
	m, _ = New("LOGIN")
	if _, _, err := m.Step([]byte{}); err == nil {
		t.Error("an empty name was taken")
	}
}

// TestDecode: strict base64 (RFC 4648 §3.5), at the limit and beyond.
func TestDecode(t *testing.T) {
	for in, good := range map[string]bool{"YQ==": true, "": true, "YQ": false, "YR==": false, "Y Q==": false, "*": false,
		strings.Repeat("A", ResponseMax): true, strings.Repeat("A", ResponseMax+4): false} {
		if _, err := Decode([]byte(in)); (err == nil) != good {
			t.Errorf("%.20q: %v", in, err)
		}
	}
	if _, ok := New("CRAM-MD5"); ok {
		t.Error("an unknown mechanism was started")
	}
}

func FuzzExchange(f *testing.F) {
	f.Add("PLAIN", base64.StdEncoding.EncodeToString([]byte("\x00ada\x00secret")))
	f.Add("LOGIN", "YWRh")
	f.Fuzz(func(t *testing.T, mechanism, response string) {
		m, ok := New(mechanism)
		b, err := Decode([]byte(response))
		if !ok || err != nil {
			return
		}
		for range 3 {
			if _, done, err := m.Step(b); done || err != nil {
				break
			}
		}
		if c := m.Credentials(); len(c.User) > FieldMax || len(c.Password) > FieldMax {
			t.Error("over a limit")
		}
	})
}
