package mail

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestUIDSet(t *testing.T) {
	s := NewUIDSet(7, 2, 3, 4, 3)
	if got := s.String(); got != "2:4,7" {
		t.Fatalf("String = %q", got)
	}
	if s.Len() != 4 || !s.Contains(4) || s.Contains(5) {
		t.Fatalf("Len %d, Contains(4) %v, Contains(5) %v", s.Len(), s.Contains(4), s.Contains(5))
	}
	full := UIDSetOf(UIDRange{5, UIDMax}, UIDRange{1, 6})
	if got := full.String(); got != "1:4294967295" {
		t.Fatalf("full set = %q", got)
	}
	n := 0
	for range UIDSetOf(UIDRange{UIDMax - 2, UIDMax}).All() {
		n++
	}
	if n != 3 {
		t.Fatalf("All at the end of the range yields %d", n)
	}
}

func TestFlags(t *testing.T) {
	f := NewFlags(Seen|Draft, "zeta", "$Alpha", "ZETA")
	if got := f.String(); got != `\Seen \Draft $Alpha zeta` {
		t.Fatalf("String = %q", got)
	}
	if f != NewFlags(Draft|Seen, "$Alpha", "zeta") {
		t.Fatal("equal sets differ")
	}
	if !(Flags{}).Equal(NewFlags(0)) {
		t.Fatal("the zero value is not the empty set")
	}
	if !f.HasKeyword("$ALPHA") || f.HasKeyword("alpha") {
		t.Fatal("HasKeyword")
	}
	if got := f.Minus(NewFlags(Seen, "Zeta")).String(); got != `\Draft $Alpha` {
		t.Fatalf("Minus = %q", got)
	}
	if got := f.Union(NewFlags(Flagged, "ZETA", "beta")).String(); got != `\Seen \Flagged \Draft $Alpha beta zeta` {
		t.Fatalf("Union = %q", got)
	}
}

func TestValidKeyword(t *testing.T) {
	for k, want := range map[string]bool{
		"$Forwarded": true, "": false, "a b": false, `\x`: false, "a]": false, "é": false, "a%": false,
		strings.Repeat("k", KeywordMax-1): true, strings.Repeat("k", KeywordMax): true, strings.Repeat("k", KeywordMax+1): false,
	} {
		if ValidKeyword(k) != want {
			t.Errorf("ValidKeyword(%q) = %v", k, !want)
		}
	}
}

func TestCanonicalMailbox(t *testing.T) {
	for in, want := range map[string]string{
		"inbox": "INBOX", "InBox/Sub": "INBOX/Sub", "a/b/": "a/b", "Entwu\u0308rfe": "Entw\u00fcrfe", "x/inbox": "x/inbox",
		"": "", "/": "", "a//b": "", "/a": "", "../a": "", "a/.": "", "a*": "", "a%b": "", "a\x00": "", "a\xff": "", "a\r\nb": "",
		strings.Repeat("l", MailboxLevelMax-1):                                    strings.Repeat("l", MailboxLevelMax-1),
		strings.Repeat("l", MailboxLevelMax):                                      strings.Repeat("l", MailboxLevelMax),
		strings.Repeat("l", MailboxLevelMax+1):                                    "",
		strings.Repeat("a/", MailboxDepthMax):                                     strings.TrimSuffix(strings.Repeat("a/", MailboxDepthMax), "/"),
		strings.Repeat("a/", MailboxDepthMax+1):                                   "",
		strings.Repeat(strings.Repeat("n", 99)+"/", 10) + "":                      strings.TrimSuffix(strings.Repeat(strings.Repeat("n", 99)+"/", 10), "/"),
		strings.Repeat(strings.Repeat("n", 99)+"/", 10) + "x":                     "",
		strings.Repeat(strings.Repeat("n", 99)+"/", 9) + strings.Repeat("y", 100): strings.Repeat(strings.Repeat("n", 99)+"/", 9) + strings.Repeat("y", 100),
	} {
		got, err := CanonicalMailbox(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("CanonicalMailbox(%.40q…) = %.40q, %v", in, got, err)
		}
	}
}

func TestSpecialUse(t *testing.T) {
	u := ParseSpecialUse(`\sent`) | ParseSpecialUse(`\Trash`)
	if got := strings.Join(u.Names(), " "); got != `\Sent \Trash` {
		t.Fatal(got)
	}
	if ParseSpecialUse(`\Nothing`) != 0 || ParentMailbox("a/b/c") != "a/b" || ParentMailbox("a") != "" {
		t.Fatal("unknown use or parent")
	}
}

func TestParseUIDSet(t *testing.T) {
	for text, want := range map[string]string{"1": "1", "7:4,1,5:6": "1,4:7", "9:*,3": "3,9:4294967295", "*": "4294967295",
		"": "", "0": "", "1:": "", "1,,2": "", "a": "", "4294967296": "", "-1": "", "1:2:3": ""} {
		got, err := ParseUIDSet(text)
		if (err == nil) != (want != "") || got.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// TestUIDSetMinus compares with the plain definition.
func TestUIDSetMinus(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var sets [2]UIDSet
		for i := range sets {
			for u := UID(1); u < 40; u++ {
				if rng.IntN(3) > 0 {
					sets[i] = sets[i].Append(u)
				}
			}
		}
		var want UIDSet
		for u := range sets[0].All() {
			if !sets[1].Contains(u) {
				want = want.Append(u)
			}
		}
		if got := sets[0].Minus(sets[1]); got.String() != want.String() {
			t.Fatalf("%s minus %s is %s, want %s", sets[0], sets[1], got, want)
		}
	}
}
