package directory

import (
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

func TestResolve(t *testing.T) {
	e := mem.New()
	s, err := store.Open(t.Context(), e, store.Options{Now: time.Now, PurgeEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	defer s.Close()
	for _, n := range []string{"ada@localhost", "bob@x.example", "a+b@x.example"} {
		if _, err := s.CreateAccount(t.Context(), n, "{PLAIN}x"); err != nil {
			t.Fatal(err)
		}
	}
	d := New(s, "localhost")
	for address, want := range map[string][2]string{
		"ada":                     {"ada@localhost", ""},
		"Ada@LocalHost":           {"ada@localhost", ""},
		"ada+work@localhost":      {"ada@localhost", "work"},
		"ada+a+b@localhost":       {"ada@localhost", "a+b"}, // RFC 5233 §4: from the first separator on
		"a+b@x.example":           {"a+b@x.example", ""},    // the exact name comes first
		"bob+Work/2026@x.example": {"bob@x.example", "Work/2026"},
		"bob":                     {},
		"+work@localhost":         {},
		"nobody@x.example":        {},
		"@":                       {},
		"":                        {},
	} {
		r, err := d.Resolve(t.Context(), address)
		if want[0] == "" {
			if err == nil || errs.PublicText(err) == "" {
				t.Errorf("%q is %v", address, r)
			}
			continue
		}
		if err != nil || r.Name != want[0] || r.Detail != want[1] {
			t.Errorf("%q is %+v, %v", address, r, err)
		}
	}
	d.SetDefaultDomain("x.example")
	if r, err := d.Resolve(t.Context(), "bob"); err != nil || r.Name != "bob@x.example" {
		t.Error(r, err)
	}
}
