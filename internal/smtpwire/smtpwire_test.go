package smtpwire

import (
	"bytes"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	long := strings.Repeat("a", PathMax-len("@b.example")-1) + "@b.example"
	for _, tc := range []struct {
		in, address string
		ok          bool
	}{
		{"FROM:<>", "", true}, // RFC 5321 §4.5.5
		{"from:<a@b.example>", "a@b.example", true},
		{"FROM: <a@b.example>", "a@b.example", true},
		{"FROM:<@r1,@r2:a@b.example>", "a@b.example", true}, // RFC 5321 §C
		{`FROM:<"a b"@c.example>`, "a b@c.example", true},
		{`FROM:<"a>b\"c"@d.example>`, `a>b"c@d.example`, true},
		{"FROM:<jürgen@example.com>", "jürgen@example.com", true}, // RFC 6531 §3.3
		{"FROM:<" + long + ">", long, true},
		{"FROM:<x" + long + ">", "", false},
		{"FROM:a@b", "", false},
		{"FROM:<a@b", "", false},
		{"FROM:<a b@c>", "", false},
		{"FROM:<a\x00@c>", "", false},
		{"FROM:<\xff@c>", "", false},
		{`FROM:<"a\"@c>`, "", false},
		{"TO:<a@b>", "", false},
		{"FROM:<a@b>SIZE=1", "", false},
	} {
		p, err := ParsePath(tc.in, "FROM")
		if (err == nil) != tc.ok || p.Address != tc.address {
			t.Errorf("%.60q: %q, %v", tc.in, p.Address, err)
		}
	}
	p, err := ParsePath("FROM:<a@b> SIZE=10 body=8BITMIME SMTPUTF8", "FROM")
	if err != nil || p.Params["SIZE"] != "10" || p.Params["BODY"] != "8BITMIME" || len(p.Params) != 3 {
		t.Error(p, err)
	}
	if _, err := ParsePath("FROM:<a@b> SIZE=10 SIZE=11", "FROM"); err == nil {
		t.Error("a parameter twice was taken")
	}
	if _, err := ParsePath("FROM:<a@b> "+strings.Repeat("A1=1 ", 1)+strings.Join(manyParams(ParamsMax), " "), "FROM"); err == nil {
		t.Error("too many parameters were taken")
	}
	if _, err := ParsePath("FROM:<a@b> "+strings.Join(manyParams(ParamsMax), " "), "FROM"); err != nil {
		t.Error(err)
	}
}

func manyParams(n int) (p []string) {
	for i := range n {
		p = append(p, "X"+strings.Repeat("Y", i)+"=1")
	}
	return p
}

func TestParseBDAT(t *testing.T) {
	for in, want := range map[string]struct {
		n    int64
		last bool
		ok   bool
	}{"10": {10, false, true}, "0 LAST": {0, true, true}, "5 last": {5, true, true}, "": {}, "-1": {}, "+1": {}, "1 FIRST": {}, "99999999999999999999": {}} {
		n, last, err := ParseBDAT(in)
		if n != want.n || last != want.last || (err == nil) != want.ok {
			t.Errorf("%q: %d %v %v", in, n, last, err)
		}
	}
}

func TestUnstuffer(t *testing.T) {
	for _, tc := range []struct{ in, out, rest string }{
		{".\r\n", "", ""},
		{"a\r\n.\r\nQUIT\r\n", "a\r\n", "QUIT\r\n"},
		{"..\r\n.\r\n", ".\r\n", ""},
		{"...a\r\n.\r\n", "..a\r\n", ""},
		{".a\r\n.\r\n", "a\r\n", ""},
		// What ends a message for others does not end it here.
		{"a\n.\nb\r\n.\r\n", "a\n.\nb\r\n", ""},
		{"a\r\n.\nb\r\n.\r\n", "a\r\n\nb\r\n", ""},
		{"a\n.\r\nb\r\n.\r\n", "a\n.\r\nb\r\n", ""},
		{"a\r.\r\nb\r\n.\r\n", "a\r.\r\nb\r\n", ""},
		{"a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\r\nb\r\n", ""},
		{"a\r\r\n.\r\n", "a\r\r\n", ""},
	} {
		for cut := 0; cut <= len(tc.in)-len(tc.rest); cut++ {
			var u Unstuffer
			out, n1, done := u.Feed(nil, []byte(tc.in[:cut]))
			n2 := 0
			if !done {
				out, n2, done = u.Feed(out, []byte(tc.in[n1:]))
			}
			if string(out) != tc.out || !done || tc.in[n1+n2:] != tc.rest {
				t.Errorf("%q cut at %d: %q, rest %q, %v", tc.in, cut, out, tc.in[n1+n2:], done)
			}
		}
	}
}

// isPlain reports whether no line begins with a dot or ends in LF alone.
func isPlain(text string) bool {
	return !strings.HasPrefix(text, ".") && !strings.Contains(text, "\n.") && strings.Count(text, "\n") == strings.Count(text, "\r\n")
}

func TestStuffer(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{"", ".\r\n"},
		{"a", "a\r\n.\r\n"},
		{"a\r\n", "a\r\n.\r\n"},
		{"a\nb\n", "a\r\nb\r\n.\r\n"},
		{".\r\n..\r\n", "..\r\n...\r\n.\r\n"},
		{"\n.\n", "\r\n..\r\n.\r\n"},
		{"a\r", "a\r\n.\r\n"},
		{"a\r\nb", "a\r\nb\r\n.\r\n"},
	} {
		for cut := 0; cut <= len(tc.in); cut++ {
			var s Stuffer
			out := s.End(s.Feed(s.Feed(nil, []byte(tc.in[:cut])), []byte(tc.in[cut:])))
			if string(out) != tc.out {
				t.Errorf("%q cut at %d: %q", tc.in, cut, out)
			}
			if !isPlain(tc.in) {
				continue
			}
			s = Stuffer{}
			s.Pass([]byte(tc.in[:cut]))
			s.Pass([]byte(tc.in[cut:]))
			if out := string(s.End([]byte(tc.in))); out != tc.out {
				t.Errorf("%q cut at %d and sent as it is: %q", tc.in, cut, out)
			}
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add(`FROM:<"a\"b"@c> SIZE=1`)
	f.Add("FROM:<@a,@b:c@d>")
	f.Fuzz(func(t *testing.T, in string) {
		p, err := ParsePath(in, "FROM")
		if err == nil && (len(p.Address) > PathMax || len(p.Params) > ParamsMax) {
			t.Errorf("over a limit: %q", in)
		}
	})
}

// FuzzDots: what was stuffed comes back, in pieces of any size.
func FuzzDots(f *testing.F) {
	f.Add([]byte("a\r\n.\r\n..b\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = max(0, min(cut, len(in)))
		var s Stuffer
		wire := s.End(s.Feed(s.Feed(nil, in[:cut]), in[cut:]))
		var u Unstuffer
		a, n, done := u.Feed(nil, wire[:len(wire)/2])
		if !done {
			var m int
			if a, m, done = u.Feed(a, wire[n:]); !done || n+m != len(wire) {
				t.Fatalf("%q: not ended at the end", in)
			}
		}
		// The stuffer turns lone LFs into CRLF and ends the last line.
		want := bytes.ReplaceAll(bytes.ReplaceAll(in, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		if len(want) > 0 && !bytes.HasSuffix(want, []byte("\r\n")) {
			want = append(bytes.TrimSuffix(want, []byte("\r")), '\r', '\n')
		}
		if !bytes.Equal(a, want) {
			t.Errorf("%q became %q, not %q", in, a, want)
		}
	})
}
