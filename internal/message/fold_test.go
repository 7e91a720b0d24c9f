package message

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

// slowFold is AppendFold one character after the other.
func slowFold(s []byte) (folded []byte) {
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		switch {
		case r == utf8.RuneError && n <= 1:
			folded = append(folded, s[0])
		default:
			folded = appendFoldRune(folded, r, s[:n])
		}
		s = s[n:]
	}
	return folded
}

func TestFoldAgrees(t *testing.T) {
	var every []byte
	for r := range rune(utf8.MaxRune + 1) {
		if utf8.ValidRune(r) {
			every = utf8.AppendRune(every, r)
		}
	}
	if got, want := AppendFold(nil, every), slowFold(every); !bytes.Equal(got, want) {
		t.Error("not every character is folded as it is alone")
	}
	for c := range 256 {
		one := []byte{byte(c)}
		if got := AppendFold(nil, bytes.Repeat(one, 9)); !bytes.Equal(got, bytes.Repeat(slowFold(one), 9)) {
			t.Errorf("octet %#x is folded to %q", c, got)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	from := []rune("azAZ@[`{09 \x00\x7fäÄßİıﬁΣςЖж한글\u0301\ufffd")
	for range 5000 {
		var s []byte
		for range rng.IntN(40) {
			if s = utf8.AppendRune(s, from[rng.IntN(len(from))]); rng.IntN(10) == 0 {
				s = append(s, byte(rng.Uint32()))
			}
		}
		if got, want := AppendFold([]byte("x"), s), append([]byte("x"), slowFold(s)...); !bytes.Equal(got, want) {
			t.Fatalf("%q is folded to %q, not to %q", s, got, want)
		}
	}
}
