package mail

import (
	"strings"
	"testing"
)

// TestRightsChange: RFC 4314 §2.1.1 and §3.1, with its examples.
func TestRightsChange(t *testing.T) {
	for _, tc := range []struct{ have, change, want string }{
		{"", "lrswida", "lrswitea"},
		{"", "lrswikda", "lrswiktea"},
		{"lrswi", "+cda", "lrswicdakxet"},
		{"lrswicda", "-c", "lrswida"},
		{"lrswite", "-d", "lrswi"},
		{"lrswite", "-e", "lrswit"},
		{"lrs", "", ""},
		{"lrs", "+", "lrs"},
		{"lrs", "-", "lrs"},
		{"lrs", "-lrswipkxtecdan", ""},
		{"lrs", "nn", "n"},
	} {
		have, err := ParseRights(tc.have)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseRightsChange(tc.change)
		if err != nil {
			t.Fatal(err)
		}
		want, err := ParseRights(tc.want)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Apply(have); got != want {
			t.Errorf("%s, SETACL %s: %s, want %s", tc.have, tc.change, got, want)
		}
	}
	for _, bad := range []string{"lrQswicda", "lrqswicda", "l r", "0", "+-l", "++l", "l+", "\x00", "é"} {
		if _, err := ParseRightsChange(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestRightsText: what is told has "c" and "d" (RFC 4314 §2.1.1).
func TestRightsText(t *testing.T) {
	for text, want := range map[string]string{"": "", "rl": "lr", "k": "kc", "x": "xc", "t": "td", "e": "ed", "cda": "kxtecda", AllRights.String(): "lrswipkxtecdan"} {
		r, err := ParseRights(text)
		if err != nil || r.String() != want {
			t.Errorf("%s: %s, want %s; %v", text, r, want, err)
		}
	}
	for _, letter := range ExtraRights {
		if r, err := ParseRights(string(letter)); err != nil || strings.ContainsAny(string(letter), "lrswipacd0123456789") || r == 0 {
			t.Errorf("RIGHTS= has %c", letter)
		}
	}
}

// TestAllowed: RFC 4314 §4, with the flags of its example.
func TestAllowed(t *testing.T) {
	for _, tc := range []struct {
		rights string
		flags  Flags
		want   string
	}{
		{"rwis", NewFlags(Draft | Deleted), `\Draft`}, {"rwis", NewFlags(Answered), `\Answered`}, {"rwis", NewFlags(Seen, "$Forwarded"), `\Seen $Forwarded`},
		{"rsti", NewFlags(Draft | Deleted), `\Deleted`}, {"rsti", NewFlags(Answered), ""}, {"rsti", NewFlags(Seen, "$Forwarded"), `\Seen`},
		{"rxikpena", NewFlags(AllSystemFlags, "k"), ""}, {"w", NewFlags(AllSystemFlags, "k"), `\Answered \Flagged \Draft k`},
	} {
		r, err := ParseRights(tc.rights)
		if got := r.Allowed(tc.flags).String(); got != tc.want || err != nil {
			t.Errorf("%s of %s: %s, want %s; %v", tc.rights, tc.flags, got, tc.want, err)
		}
	}
}

func FuzzRightsChange(f *testing.F) {
	for _, seed := range []string{"+cda", "-lrs", "lrswipkxtecdan", "lrQ", "", "+"} {
		f.Add(seed, uint16(5))
	}
	f.Fuzz(func(t *testing.T, text string, have uint16) {
		c, err := ParseRightsChange(text)
		if err != nil {
			return
		}
		r := c.Apply(Rights(have) & AllRights)
		again, err := ParseRights(r.Letters())
		if err != nil || again != r || r&^AllRights != 0 {
			t.Fatalf("%q makes %v, read again %v: %v", text, r, again, err)
		}
	})
}
