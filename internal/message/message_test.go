package message

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/angarium/angarium/test/harness"
)

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// outline prints a summary's tree with the text of each leaf.
func outline(b []byte) string {
	s := Parse(b)
	var out strings.Builder
	var walk func(i int32, depth int)
	walk = func(i int32, depth int) {
		p := &s.Parts[i]
		fmt.Fprintf(&out, "%s%s/%s %d", strings.Repeat(" ", depth), p.Type, p.Subtype, p.Lines)
		if p.Children == 0 {
			fmt.Fprintf(&out, " %q", b[p.BodyStart:p.End])
		}
		out.WriteByte('\n')
		for c := p.first; c != 0; c = s.Parts[c].next {
			walk(c, depth+1)
		}
	}
	walk(0, 0)
	return out.String()
}

func TestStructure(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"RFC 2046 §5.1.1 simple boundary": {`From: a@b
MIME-Version: 1.0
Content-type: multipart/mixed; boundary="simple boundary"

preamble
--simple boundary

implicitly typed
NOT end with a linebreak.
--simple boundary
Content-type: text/plain; charset=us-ascii

DOES end with a linebreak.

--simple boundary--
epilogue
`, `multipart/mixed 12
 text/plain 1 "implicitly typed\r\nNOT end with a linebreak."
 text/plain 1 "DOES end with a linebreak.\r\n"
`},
		"RFC 2046 §5.1.5 digest": {`Content-Type: multipart/digest; boundary=b

--b

From: x@y

inner
--b--
`, `multipart/digest 6
 message/rfc822 2
  text/plain 0 "inner"
`},
		"nested with prefix boundaries": {`Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/alternative; boundary=aa

--aa

1
--aa--
--a

2
--a--
`, `multipart/mixed 11
 multipart/alternative 4
  text/plain 0 "1"
 text/plain 0 "2"
`},
		"inner not closed": {`Content-Type: multipart/mixed; boundary=a

--a
Content-Type: multipart/mixed; boundary=b

--b

1
--a

2
--a--
`, `multipart/mixed 10
 multipart/mixed 2
  text/plain 0 "1"
 text/plain 0 "2"
`},
		// The note to implementors of RFC 2046 §5.1.1: the start of the line suffices.
		"more behind a boundary": {"Content-Type: multipart/mixed; boundary=a\n\n--a and more\n\nx\n--a-- end\ny\n", "multipart/mixed 5\n text/plain 0 \"x\"\n"},
		"boundary in a header":   {"Content-Type: multipart/mixed; boundary=a\n\n--a\nX: y\n--a--\n", "multipart/mixed 3\n text/plain 0 \"\"\n"},
		"no boundary found":      {"Content-Type: multipart/mixed; boundary=a\n\ntext\n", "multipart/mixed 1 \"text\\r\\n\"\n"},
		"no boundary at all":     {"Content-Type: multipart/mixed\n\n--\n", "multipart/mixed 1 \"--\\r\\n\"\n"},
		"only a header":          {"A: b", "text/plain 0 \"\"\n"},
		"empty":                  {"", "text/plain 0 \"\"\n"},
		"encoded message":        {"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQQ==\n", "message/rfc822 1 \"QQ==\\r\\n\"\n"},
		"message in a message":   {"Content-Type: message/rfc822\n\nA: b\n\nc\n", "message/rfc822 3\n text/plain 1 \"c\\r\\n\"\n"},
	} {
		if got := outline([]byte(crlf(test.in))); got != test.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, test.want)
		}
	}
}

// The sections of the example of RFC 3501 §6.4.5.
func TestSection(t *testing.T) {
	m := crlf(`Content-Type: multipart/mixed; boundary=a
Subject: top

--a

one
--a
Content-Type: message/rfc822

Subject: inner
Content-Type: multipart/mixed; boundary=b

--b

in1
--b
Content-Type: text/html

in2
--b--
--a
Content-Type: message/rfc822

Subject: plain

body
--a--
`)
	s := Parse([]byte(m))
	for _, test := range []struct {
		path []int
		kind SectionKind
		want string
		ok   bool
	}{
		{nil, SectionWhole, m, true},
		{nil, SectionHeader, "Content-Type: multipart/mixed; boundary=a\nSubject: top\n\n", true},
		{[]int{1}, SectionWhole, "one", true},
		{[]int{1}, SectionMIME, "\n", true},
		{[]int{1}, SectionHeader, "", false},
		{[]int{1, 1}, SectionWhole, "", false},
		{[]int{2}, SectionHeader, "Subject: inner\nContent-Type: multipart/mixed; boundary=b\n\n", true},
		{[]int{2}, SectionMIME, "Content-Type: message/rfc822\n\n", true},
		{[]int{2, 1}, SectionWhole, "in1", true},
		{[]int{2, 2}, SectionWhole, "in2", true},
		{[]int{2, 2}, SectionMIME, "Content-Type: text/html\n\n", true},
		{[]int{3, 1}, SectionWhole, "body", true},
		{[]int{3}, SectionText, "body", true},
		{[]int{3, 2}, SectionWhole, "", false},
		{[]int{4}, SectionWhole, "", false},
		{[]int{0}, SectionWhole, "", false},
	} {
		from, to, ok := s.Section(test.path, test.kind)
		if got := strings.ReplaceAll(m[from:to], "\r\n", "\n"); ok != test.ok || got != strings.ReplaceAll(test.want, "\r\n", "\n") {
			t.Errorf("Section(%v, %d) = %q, %v; want %q", test.path, test.kind, got, ok, test.want)
		}
	}
	plain := Parse([]byte("A: b\r\n\r\nc"))
	if from, to, ok := plain.Section([]int{1}, SectionWhole); !ok || from != 8 || to != 9 {
		t.Errorf("part 1 of a plain message: %d to %d, %v", from, to, ok)
	}
}

func TestCorpus(t *testing.T) {
	for _, m := range harness.TestCorpus(t) {
		checkParse(t, m.Name, m.Octets)
		if t.Failed() {
			break
		}
	}
}

// TestLineEnds: a single bare LF, or a dot that begins a line, is found wherever it is,
// however the octets come.
func TestLineEnds(t *testing.T) {
	header, parts := "Subject: x\r\n\r\n", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
	for _, text := range []string{
		header, header + "\n", header + "a\n", header + "a\r\n\n", header + "a\r\nb\r\n", header + "\r\r\n", header + "\ra\n",
		"", ".", ".\r\n", "a\r\n.b", header + ".", header + ".\r\na\r\n", header + "a\r\n.\r\n", header + "a\r\nb.\r\n.", header + "a\r.\r\n", header + "a\x00.\r\n",
		parts + ".\r\n", parts + "a\r\n.", parts + "a\r\n.\r\n--b--\r\n", parts + "-a\r\n.-\r\n--b--\r\n", parts + "a.\r\n--b--\r\n", parts + "--b--\r\n.",
		parts + "\n", parts + "a\n", parts + "a\r\n\n", parts + "a\r\nb\r\n", parts + "-a\nb\r\n", parts + "a\n--b--\r\n", parts + "\r\n--b--\r\nc\n",
	} {
		checkParse(t, fmt.Sprintf("%q", text), []byte(text))
	}
}

// rich is a message that leaves something in all that a parser has.
var rich = ".dot: x\nFrom: a@b, c@d\r\nSender: s@b\r\nTo: g: h@i;\r\nBcc: b@b\r\nDate: d\r\nSubject: s\r\nMessage-ID: <m>\r\nIn-Reply-To: <i>\r\n" +
	"Content-Type: multipart/digest; boundary=b\r\nContent-ID: <c>\r\nContent-Language: de\r\nContent-Disposition: inline; x=y\r\n" + strings.Repeat("X-Kept: no\r\n", FieldsMax) +
	"\r\n--b\r\n\r\nContent-Type: multipart/mixed; boundary=c\r\nFrom: inner\r\n\r\n--c\r\nContent-MD5: m\r\n\r\n--c\r\nSubject: not ended"

// TestReset: a parser keeps its memory for the next message, but not that of a large one.
func TestReset(t *testing.T) {
	p := NewParser()
	p.Write([]byte(rich))
	p.Finish()
	p.Reset()
	b := []byte("From: a@b.example\r\nTo: c@d.example\r\n\r\n")
	again := testing.AllocsPerRun(100, func() { p.Write(b); p.Finish(); p.Reset() })
	if fresh := testing.AllocsPerRun(100, func() { Parse(b) }); again > fresh-4 {
		t.Errorf("%v allocations, %v by a new parser", again, fresh)
	}
	if p.Write(b); !p.Finish().FieldsWhole {
		t.Error("of two fields, not all are kept")
	}
	p.Reset()
	header := "Content-Type: multipart/mixed; boundary=b\r\nReferences:" + strings.Repeat(" <a@b>\r\n", octetsKept/8) + "\r\n"
	p.Write([]byte(header + strings.Repeat("--b\r\n\r\n", 2*partsKept)))
	p.Finish()
	p.Reset()
	if cap(p.sum.Parts) > partsKept || cap(p.sum.Fields) > octetsKept || cap(p.field) > octetsKept {
		t.Errorf("%d parts, %d and %d octets are kept", cap(p.sum.Parts), cap(p.sum.Fields), cap(p.field))
	}
}

// checkParse holds what must be true of the summary of any octets.
func checkParse(t *testing.T, name string, b []byte) {
	t.Helper()
	s := Parse(b)
	if s.Size != int64(len(b)) || s.BareLF != (bytes.Count(b, []byte("\n")) != bytes.Count(b, []byte("\r\n"))) {
		t.Errorf("%s: size %d of %d, bare LF %v", name, s.Size, len(b), s.BareLF)
	}
	if dots := bytes.HasPrefix(b, []byte(".")) || bytes.Contains(b, []byte("\n.")); s.Plain != (!dots && !s.BareLF) {
		t.Errorf("%s: plain %v", name, s.Plain)
	}
	for i, p := range s.Parts {
		if p.HeaderStart < 0 || p.HeaderStart > p.BodyStart || p.BodyStart > p.End || p.End > s.Size || p.Lines < 0 {
			t.Errorf("%s: part %d: %+v", name, i, p)
		}
		if i > 0 {
			if q := s.Parts[p.Parent]; p.HeaderStart < q.BodyStart || p.End > q.End {
				t.Errorf("%s: part %d reaches out of its parent", name, i)
			}
		}
	}
	for _, step := range []int{1, 3, 7} {
		p := NewParser()
		for rest := b; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			p.Write(rest[:min(step, len(rest))])
		}
		if got := p.Finish(); !reflect.DeepEqual(got, s) {
			t.Errorf("%s: in pieces of %d the summary is\n%+v\nand whole\n%+v", name, step, got, s)
			return
		}
	}
	encoded := s.Append(nil)
	p := NewParser()
	p.Write([]byte(rich))
	p.Finish()
	p.Reset()
	for _, more := range []string{"", "\r\n\r\n" + strings.Repeat("x", 2*bodyLineMax)} {
		p.Write([]byte(rich + more)) // and is given up
		p.Reset()
	}
	p.Write(b)
	if got := p.Finish().Append(nil); !bytes.Equal(got, encoded) {
		t.Errorf("%s: by a parser that had others before the summary is\n%q\nand\n%q", name, got, encoded)
	}
	d, err := DecodeSummary(encoded)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if !bytes.Equal(d.Append(nil), encoded) || d.Plain != s.Plain || IsPlain(encoded) != s.Plain {
		t.Errorf("%s: the summary changed by encoding", name)
	}
	checkTop(t, name, encoded, d)
	names := []string{"From", "subject", "References"}
	if fast, ok := SelectKept(nil, s.Fields, s.FieldsWhole, names); ok {
		root := s.Parts[0]
		if slow := SelectFields(nil, b[:root.BodyStart], names, false); !bytes.Equal(fast, slow) {
			t.Errorf("%s: fields from the summary %q, from the octets %q", name, fast, slow)
		}
	}
}

// used are a Top and a Summary that other messages were decoded into before.
var (
	used    Top
	usedSum Summary
)

// checkTop compares what is decoded of a summary with the whole.
func checkTop(t *testing.T, name string, encoded []byte, s *Summary) {
	t.Helper()
	fresh, want := Top{}, s.Top()
	if err := fresh.Decode(encoded); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := used.Decode(encoded); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := usedSum.Decode(encoded); err != nil || !bytes.Equal(usedSum.Append(nil), s.Append(nil)) {
		t.Fatalf("%s: in used memory\n%+v\nwas decoded, not\n%+v, %v", name, usedSum, *s, err)
	}
	for i := range s.Parts {
		if p, q := &usedSum.Parts[i], &s.Parts[i]; p.Children != q.Children || p.next != q.next || p.first != q.first {
			t.Fatalf("%s: in used memory part %d is %+v, not %+v", name, i, p, q)
		}
	}
	for _, top := range []*Top{&fresh, &used} {
		if fmt.Sprintf("%+v", *top.Envelope) != fmt.Sprintf("%+v", *want.Envelope) || !bytes.Equal(top.Fields, want.Fields) ||
			top.FieldsWhole != want.FieldsWhole || top.BodyStart != want.BodyStart {
			t.Fatalf("%s: of the message itself\n%+v\n%+v\nwas decoded, not\n%+v", name, top, top.Envelope, want.Envelope)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n",
		"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n", "From: (c) a <b@c>, g: d@e;\n\nx\ny\r\n", "\r\n\r\n", "\r", "--\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkParse(t, "fuzz", b) })
}

func FuzzDecodeSummary(f *testing.F) {
	f.Add(Parse([]byte("From: a@b\r\nTo: c@d\r\n\r\nx")).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := DecodeSummary(b); err == nil {
			s.Section([]int{1, 2}, SectionHeader)
			s.Append(nil)
			checkTop(t, "fuzz", b, s)
		} else {
			new(Top).Decode(b)
		}
	})
}

func TestParams(t *testing.T) {
	for in, want := range map[string]string{
		// RFC 2231 §3, §4, §4.1
		`message/external-body; access-type=URL; URL*0="ftp://"; URL*1="cs.utk.edu/pub"`:                    `[{access-type URL} {URL ftp://cs.utk.edu/pub}]`,
		`application/x-stuff; title*=us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A`:                      `[{title* us-ascii'en-us'This%20is%20%2A%2A%2Afun%2A%2A%2A}]`,
		`application/x-stuff; title*0*=us-ascii'en'This%20is; title*1*=%20even%20more; title*2="isn't it!"`: `[{title* us-ascii'en'This%20is%20even%20moreisn't it!}]`,
		`application/x-stuff; title*1=b; title*0=a; title*3=d`:                                              `[{title ab}]`,
		`text/plain; charset=us-ascii (Plain text)`:                                                         `[{charset us-ascii}]`,
		`text/plain; name="a\"b;c"; x=y;`:                                                                   `[{name a"b;c} {x y}]`,
		`text/plain; name=a b.txt; x=1`:                                                                     `[{name a} {x 1}]`,
		`multipart/mixed; boundary="----=_Next(1)`:                                                          `[{boundary ----=_Next(1)}]`,
		`text/plain charset=x; format=flowed`:                                                               `[{format flowed}]`,
		`text/plain; x*-1=a; y*99999999999999999999=b`:                                                      `[{x*-1 a} {y*99999999999999999999 b}]`,
	} {
		_, _, params, ok := parseContentType([]byte(in))
		if got := fmt.Sprint(params); !ok || got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	for n, want := range map[int]int{ParamsMax - 1: ParamsMax - 1, ParamsMax: ParamsMax, ParamsMax + 1: ParamsMax} {
		if _, _, params, _ := parseContentType([]byte("a/b" + strings.Repeat("; a=b", n))); len(params) != want {
			t.Errorf("%d parameters give %d", n, len(params))
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add([]byte(`a/b; c*0*=u'x'%41; c*1="d\"e"; (f) g=h`))
	f.Fuzz(func(t *testing.T, b []byte) { parseContentType(b) })
}

func TestAddresses(t *testing.T) {
	for in, want := range map[string]string{
		// RFC 5322 appendix A
		`John Doe <jdoe@machine.example>`:                                          `[{John Doe  jdoe machine.example}]`,
		`"Joe Q. Public" <john.q.public@example.com>`:                              `[{Joe Q. Public  john.q.public example.com}]`,
		`Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>`:            `[{Mary Smith  mary x.test} {  jdoe example.org} {Who?  one y.test}]`,
		`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`:          `[{  boss nil.test} {Giant; "Big" Box  sysservices example.net}]`,
		`A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;`:         `[{  A Group } {Ed Jones  c a.test} {  joe where.test} {John  jdoe one.test} {   }]`,
		`Undisclosed recipients:;`:                                                 `[{  Undisclosed recipients } {   }]`,
		`Pete(A nice \) chap) <pete(his account)@silly.test(his host)>`:            `[{Pete  pete silly.test}]`,
		`(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;`:          `[{  Hidden recipients } {   }]`,
		`Joe Q. Public <john.q.public@example.com>`:                                `[{Joe Q. Public  john.q.public example.com}]`,
		`Mary Smith <@node.test,@b.test:mary@example.net>, , jdoe@test  . example`: `[{Mary Smith @node.test,@b.test mary example.net} {  jdoe test.example}]`,
		`jdoe@example.org (John Doe)`:                                              `[{John Doe  jdoe example.org}]`,
		`postmaster`:                                                               "[{  postmaster \x00}]",
		`a@[192.0.2.1]`:                                                            `[{  a [192.0.2.1]}]`,
		`<>`:                                                                       "[{   \x00}]",
		`"a b"@c`:                                                                  `[{  a b c}]`,
		"a\x00b@c\x00d":                                                            `[{  a b c d}]`, // no header has NUL (RFC 5322 §4.5.8)
		"a\\\r\n b <c>":                                                            "[{a\\ b  c \x00}]",
		``:                                                                         `[]`,
	} {
		if got := fmt.Sprint(ParseAddressList([]byte(in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzAddressList(f *testing.F) {
	f.Add([]byte(`"a" <@r:b@c>, g: d@[e]; (f`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(ParseAddressList(b)); n > len(b)+1 {
			t.Fatalf("%d addresses from %d octets", n, len(b))
		}
	})
}

func TestDecodeHeader(t *testing.T) {
	for in, want := range map[string]string{
		// RFC 2047 §8
		"=?ISO-8859-1?Q?a?=":                                "a",
		"=?ISO-8859-1?Q?a?= b":                              "a b",
		"=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=":             "ab",
		"=?ISO-8859-1?Q?a?=  \t =?ISO-8859-1?Q?b?=":         "ab",
		"=?ISO-8859-1?Q?a_b?=":                              "a b",
		"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>":     "Keith Moore <moore@cs.utk.edu>",
		"=?ISO-8859-1?Q?Andr=E9?= Pirard":                   "André Pirard",
		"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=": "If you can read this yo",
		"=?UTF-8?B?w6Q=?= =?utf-8?Q?=C3=B6?=":               "äö",
		"=?utf-8?B?8J+Y?= =?utf-8?B?gA==?=":                 "😀",
		"=?x-unknown?Q?abc?=":                               "abc",
		"=?broken":                                          "=?broken", "a =? b ?=": "a =? b ?=", "plain": "plain", "\xff": "\uFFFD",
	} {
		if got := DecodeHeader(in); got != want {
			t.Errorf("DecodeHeader(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add("=?utf-8?B?w6Q=?= =?iso-2022-jp?Q?=1B$B?= x")
	f.Fuzz(func(t *testing.T, s string) { DecodeHeader(s) })
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"Fri, 21 Nov 1997 09:55:06 -0600":                                                  "1997-11-21T09:55:06-06:00", // RFC 5322 A.1.1
		"Tue, 1 Jul 2003 10:52:37 +0200":                                                   "2003-07-01T10:52:37+02:00",
		"21 Nov 97 09:55:06 GMT":                                                           "1997-11-21T09:55:06Z", // A.6.2
		"Fri, 21 Nov 1997 09(comment):   55  :  06 -0600":                                  "1997-11-21T09:55:06-06:00",
		"Thu,\r\n      13\r\n        Feb\r\n 1969\r\n 23:32\r\n -0330 (Newfoundland Time)": "1969-02-13T23:32:00-03:30",
		"1 January 02 1:2 EST":                                                             "2002-01-01T01:02:00-05:00", "7-Feb-1994 21:52:25 -0800": "1994-02-07T21:52:25-08:00",
		"Mon, 32 Nov 1997 00:00:00 +0000": "", "": "", "yesterday": "", "1 Foo 2000": "",
	} {
		got, ok := ParseDate(in)
		if ok != (want != "") || ok && got.Format(time.RFC3339) != want {
			t.Errorf("ParseDate(%q) = %s, %v", in, got.Format(time.RFC3339), ok)
		}
	}
}

func FuzzDate(f *testing.F) {
	f.Add("Fri, 21 Nov 1997 09:55:06 -0600")
	f.Fuzz(func(t *testing.T, s string) { ParseDate(s) })
}

func TestTransfer(t *testing.T) {
	for _, test := range []struct{ encoding, in, want string }{
		{"base64", "SGVs\r\nbG8s IHdv*cmxkIQ==", "Hello, world!"},
		{"BASE64", "QQ==QQ==", "AA"},
		{"quoted-printable", "a=3Db=\r\nc=\nd=zz=C3=A9=", "a=bcd=zzé"},
		{"quoted-printable", "Now's the time =\r\nfor all=20folk\r\n", "Now's the time for all folk\r\n"},
		{"7bit", "a=3D", "a=3D"},
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(test.in), "octets": iotest.OneByteReader(strings.NewReader(test.in))} {
			got, err := io.ReadAll(new(TextDecoder).transfer(r, test.encoding))
			if want := test.want; err != nil || strings.TrimSuffix(string(got), "=") != strings.TrimSuffix(want, "=") {
				t.Errorf("%s of %q, %s: %q, %v", test.encoding, test.in, name, got, err)
			}
		}
	}
}

func FuzzTransfer(f *testing.F) {
	f.Add([]byte("a=3D=\r\n="), true)
	f.Add([]byte("SGVs\r\nbG8="), false)
	f.Fuzz(func(t *testing.T, b []byte, qp bool) {
		encoding := "base64"
		if qp {
			encoding = "quoted-printable"
		}
		whole, _ := io.ReadAll(new(TextDecoder).transfer(bytes.NewReader(b), encoding))
		pieces, _ := io.ReadAll(new(TextDecoder).transfer(iotest.OneByteReader(bytes.NewReader(b)), encoding))
		if !bytes.Equal(whole, pieces) {
			t.Fatalf("whole %q, in pieces %q", whole, pieces)
		}
	})
}

func TestFold(t *testing.T) {
	for a, b := range map[string]string{"HELLO": "hello", "É": "e\u0301", "Straße": "STRAßE", "ΣΊΣΥΦΟΣ": "σίσυφοσ", "\xff": "\xff", "ﬁ": "FI"} {
		if Fold(a) != Fold(b) {
			t.Errorf("Fold(%q) = %q, Fold(%q) = %q", a, Fold(a), b, Fold(b))
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add([]byte("Ä\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		once := AppendFold(nil, b)
		if twice := AppendFold(nil, once); !bytes.Equal(once, twice) {
			t.Skip() // simple folding of decompositions is not always idempotent
		}
	})
}

// TestSelectKept: fields that a summary does not hold are not taken for fields that
// a message does not have.
func TestSelectKept(t *testing.T) {
	fields := []byte("From: a\r\nSubject: b\r\n")
	for _, tc := range []struct {
		name  string
		whole bool
		want  string
		ok    bool
	}{
		{"From", true, "From: a\r\n\r\n", true},
		{"From", false, "", false},
		{"X-Other", true, "", false},
	} {
		if got, ok := SelectKept(nil, fields, tc.whole, []string{tc.name}); string(got) != tc.want || ok != tc.ok {
			t.Errorf("%s, %v: %q, %v", tc.name, tc.whole, got, ok)
		}
	}
}

func TestSelectFields(t *testing.T) {
	h := []byte("From: a\r\nnonsense\r\nSubject: b\r\n c\r\nFROM: d\r\n\r\nbody")
	if got := SelectFields(nil, h, []string{"from"}, false); string(got) != "From: a\r\nFROM: d\r\n\r\n" {
		t.Errorf("%q", got)
	}
	if got := SelectFields(nil, h, []string{"from"}, true); string(got) != "nonsense\r\nSubject: b\r\n c\r\n\r\n" {
		t.Errorf("%q", got)
	}
	if got := FieldValues(h, "subject"); len(got) != 1 || got[0] != "b c" {
		t.Errorf("%q", got)
	}
}

func TestLimits(t *testing.T) {
	nested := func(depth int) (parts int) {
		var b strings.Builder
		for i := range depth {
			fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%04d\r\n\r\n--b%04d\r\n", i, i)
		}
		return len(Parse([]byte(b.String())).Parts)
	}
	for n, want := range map[int]int{DepthMax - 2: DepthMax - 1, DepthMax - 1: DepthMax, DepthMax: DepthMax, DepthMax + 50: DepthMax} {
		if got := nested(n); got != want {
			t.Errorf("depth %d: %d parts, want %d", n, got, want)
		}
	}
	siblings := func(n int) int {
		return len(Parse([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n"+strings.Repeat("--b\r\n\r\n\r\n", n))).Parts) - 1
	}
	for n, want := range map[int]int{PartsMax - 2: PartsMax - 2, PartsMax - 1: PartsMax - 1, PartsMax: PartsMax - 1, PartsMax + 1: PartsMax - 1} {
		if got := siblings(n); got != want {
			t.Errorf("%d siblings: %d parts, want %d", n, got, want)
		}
	}
	for n, want := range map[int]int{BoundaryMax - 1: 2, BoundaryMax: 2, BoundaryMax + 1: 1} {
		b := strings.Repeat("b", n)
		if got := len(Parse([]byte("Content-Type: multipart/mixed; boundary=" + b + "\r\n\r\n--" + b + "\r\n\r\nx\r\n")).Parts); got != want {
			t.Errorf("boundary of %d: %d parts, want %d", n, got, want)
		}
	}
	for n, want := range map[int]int{AddressesMax - 1: AddressesMax - 1, AddressesMax: AddressesMax, AddressesMax + 1: AddressesMax} {
		m := "From: a@b\r\nTo: " + strings.Repeat("a@b,\r\n ", n-1) + "\r\n\r\n"
		e := Parse([]byte(m)).Parts[0].Envelope
		if got := len(e.To) + len(e.From); got != want {
			t.Errorf("%d addresses: %d, want %d", n, got, want)
		}
	}
	for n, want := range map[int]string{FieldsMax - 1: "last", FieldsMax: "", FieldsMax + 1: ""} {
		if got := Parse([]byte(strings.Repeat("A: b\r\n", n) + "Subject: last\r\n\r\n")).Parts[0].Envelope.Subject; got != want {
			t.Errorf("%d fields: subject %q", n, got)
		}
	}
	for n, want := range map[int]bool{FieldMax - 1: true, FieldMax: true, FieldMax + 1: false} {
		m := "Subject: " + strings.Repeat("x", n-len("Subject: \r\n")) + "\r\n\r\n"
		if got := Parse([]byte(m)).Parts[0].Envelope.HasSubject; got != want {
			t.Errorf("field of %d octets: read %v", n, got)
		}
	}
	long := strings.Repeat("X-Fill: "+strings.Repeat("f", 1000)+"\r\n", 1+HeaderMax/1010)
	if s := Parse([]byte(long + "Subject: late\r\n\r\nx")); s.Parts[0].Envelope.HasSubject || s.FieldsWhole || s.Parts[0].End-s.Parts[0].BodyStart != 1 {
		t.Error("a header block over the limit is parsed to its end")
	}
}

var typical = crlf(`Return-Path: <a@example.org>
Received: from a by b; Mon, 23 Nov 2026 10:00:00 +0000
From: "A Sender" <a@example.org>
To: B <b@example.org>, C <c@example.org>
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= about something
Date: Mon, 23 Nov 2026 10:00:00 +0000
Message-ID: <1234@example.org>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="xyz"

--xyz
Content-Type: text/plain; charset=utf-8

` + strings.Repeat("Some words of text that make a line of a usual length.\n", 70) + `
--xyz
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

` + strings.Repeat("<p>Some words of text that make a line of a usual length.</p>=\n", 70) + `
--xyz--
`)

func BenchmarkParse(b *testing.B) {
	m := []byte(typical)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = Parse(m).Append(dst[:0])
	}
}

func BenchmarkDecodeSummary(b *testing.B) {
	e := Parse([]byte(typical)).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		DecodeSummary(e)
	}
}

func BenchmarkSelectFields(b *testing.B) {
	sum := Parse([]byte(typical))
	names := []string{"From", "To", "Cc", "Subject", "Date", "Message-ID", "References"}
	var dst []byte
	for b.Loop() {
		dst, _ = SelectKept(dst[:0], sum.Fields, sum.FieldsWhole, names)
	}
}

func BenchmarkRawValues(b *testing.B) {
	sum := Parse([]byte(typical))
	for b.Loop() {
		for range RawValues(sum.Fields, "Subject") {
		}
	}
}

// TestRawValues compares with a look at the name of each field, whatever stands in
// a header and is asked for.
func TestRawValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", "A", "ab", "aB", ":", " ", "\t", "\r\n", "\n", "a:", "\na: 1", "\nAB : 2", "\r\n a", "é"}
	random := func(n int) (s string) {
		for range n {
			s += pieces[rng.IntN(len(pieces))]
		}
		return s
	}
	found := 0
	for range 50_000 {
		header, name := []byte(random(rng.IntN(12))), random(rng.IntN(3))
		var want, got []string
		for n, raw, rest := nextField(header); raw != nil; n, raw, rest = nextField(rest) {
			if strings.EqualFold(string(n), name) {
				want = append(want, string(raw[bytes.IndexByte(raw, ':')+1:]))
			}
		}
		for value := range RawValues(header, name) {
			got = append(got, string(value))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q of %q: %q, want %q", name, header, got, want)
		}
		found += len(got)
	}
	if found < 1000 {
		t.Errorf("only %d values were found", found)
	}
}
