package message

import (
	"reflect"
	"strings"
	"testing"
)

// RFC 5256 §2.1 and the ABNF of §5.
func TestBaseSubject(t *testing.T) {
	for _, c := range []struct {
		in, base string
		reply    bool
	}{
		{"", "", false},
		{"hello", "hello", false},
		{"Re: hello", "hello", true},
		{"RE : hello", "hello", true},
		{"Re: Fwd: fw: hello  there", "hello there", true},
		{"re[2]: hello", "hello", true},
		{"[list] hello", "hello", false},
		{"[list] Re: [other] hello", "hello", true},
		{"[list]", "[list]", false},
		{"[a][b] ", "[b]", false},
		{"Re: [list]", "[list]", true},
		{"[a] [b] re [c]: [d] hello (fwd) (FWD)", "hello", true},
		{"[fwd: hello]", "hello", true},
		{"[Fwd: Re: [Fwd: hello (fwd)]]", "hello", true},
		{"[fwd:]", "", true},
		{"reply: hello", "reply: hello", false},
		{"re", "re", false},
		{"Re:", "", true},
		{"[unfinished hello", "[unfinished hello", false},
		{"[[nested]] hello", "[[nested]] hello", false},
		{"\thello\r\n there ", "hello there", false},
		{"fwd hello", "fwd hello", false},
		{"Fwd: [fwd: a] b", "b", true},
	} {
		base, reply := BaseSubject(c.in)
		if base != c.base || reply != c.reply {
			t.Errorf("%q: %q %v, want %q %v", c.in, base, reply, c.base, c.reply)
		}
	}
}

func FuzzBaseSubject(f *testing.F) {
	f.Add("Re: [list] Fwd: [fwd: hello (fwd)]")
	f.Fuzz(func(t *testing.T, s string) {
		base, _ := BaseSubject(s)
		if again, _ := BaseSubject(base); again != base && !strings.ContainsAny(base, "[:(") {
			t.Errorf("%q: %q, then %q", s, base, again)
		}
	})
}

func TestMessageIDs(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                   nil,
		"<a@b>":                              {"a@b"},
		" <a@b>\t<c@d> junk <e@f":            {"a@b", "c@d"},
		`<"01KF8JCEOCBS0045PS"@xxx.yyy.com>`: {"01KF8JCEOCBS0045PS@xxx.yyy.com"},
		`<"a\"> b"@c>`:                       {`a"> b@c`},
		"<a@ b>":                             {"a@b"},
		"<nothing> <a@b>":                    {"a@b"},
		"x@y (no brackets)":                  nil,
		"<<a@b>":                             {"a@b"},
	} {
		if got := MessageIDs(in); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzMessageIDs(f *testing.F) {
	f.Add(`<"a"@b> <c@d`)
	f.Fuzz(func(t *testing.T, s string) { MessageIDs(s) })
}
