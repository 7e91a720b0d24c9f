package imapwire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
)

// lines is a Source over text.
type lines struct {
	r         *bufio.Reader
	continues int
}

func (l *lines) Read(p []byte) (int, error) { return l.r.Read(p) }
func (l *lines) Continue() error            { l.continues++; return nil }
func (l *lines) ReadLine(max int) ([]byte, error) {
	b, err := l.r.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) > max {
		return nil, errors.New("too long")
	}
	return b, nil
}

func decode(t testing.TB, text string) (*Decoder, *lines) {
	t.Helper()
	src := &lines{r: bufio.NewReader(strings.NewReader(text + "\r\n"))}
	d := NewDecoder(src)
	d.SetLimits(AfterLogin)
	if err := d.Next(); err != nil {
		t.Fatal(err)
	}
	return d, src
}

// TestStrings: RFC 3501 §9 astring, quoted, literal, RFC 7888.
func TestStrings(t *testing.T) {
	for in, want := range map[string]string{
		`abc`: "abc", `"a b"`: "a b", `"a\"b\\c"`: `a"b\c`, `""`: "", "{3}\r\na\"b": `a"b`, "{0+}\r\n": "", "a]b": "a]b", "{2+}\r\n\r\n": "\r\n", "pässword": "pässword",
	} {
		d, _ := decode(t, in)
		if got := d.AString(); got != want || d.End() != nil {
			t.Errorf("%q: %q, %v", in, got, d.Err())
		}
	}
	for _, in := range []string{``, `(`, `"a`, `"a\n"`, "\"a\x00\"", "{3}x", "{x}", "{99999999999999999999}", "{1}\r\n\x00"} {
		d, _ := decode(t, in)
		if got := d.AString(); d.End() == nil {
			t.Errorf("%q is %q", in, got)
		}
	}
}

// TestContinuation: only a synchronising literal is answered with "+".
func TestContinuation(t *testing.T) {
	d, src := decode(t, "{1}\r\na {1+}\r\nb c")
	a := d.AString()
	d.Space()
	b := d.AString()
	d.Space()
	if c := d.AString(); a+b+c != "abc" || d.End() != nil || src.continues != 1 {
		t.Error(a, b, c, d.Err(), src.continues)
	}
}

// TestLimits: each at the limit and beyond (reliability paper 4.4).
func TestLimits(t *testing.T) {
	literal := func(n int) string { return fmt.Sprintf("{%d+}\r\n%s", n, strings.Repeat("x", n)) }
	counted := func(text string) int { return len(strings.ReplaceAll(text, "\r\n", "")) }
	read := func(text string, f func(d *Decoder)) error {
		d, _ := decode(t, text)
		f(d)
		return d.Err()
	}
	one := func(d *Decoder) { d.AString() }
	many := func(d *Decoder) { d.List(func() { d.AString() }) }
	for _, tc := range []struct {
		name string
		text func(n int) string
		f    func(*Decoder)
		max  int
	}{
		{"LiteralMax", literal, one, LiteralMax},
		{"LiteralsMax", func(n int) string { return "(" + strings.TrimSpace(strings.Repeat("{1+}\r\nx ", n)) + ")" }, many, LiteralsMax},
		{"CommandMax, literals", func(n int) string {
			text := "(" + strings.Repeat(literal(LiteralMax)+" ", CommandMax/LiteralMax-1)
			return text + strings.Repeat("x", n-counted(text)-1) + ")"
		}, many, CommandMax},
		{"CommandMax, lines", func(n int) string {
			text := "(" + strings.Repeat(`"`+strings.Repeat("x", CommandMax/10)+`" {1+}`+"\r\nx ", 9)
			return text + strings.Repeat("x", n-counted(text)-1) + ")"
		}, many, CommandMax},
		{"TokensMax", func(n int) string { return "(" + strings.TrimSpace(strings.Repeat("x ", n)) + ")" }, many, TokensMax},
		{"FetchItemsMax", func(n int) string { return "(" + strings.TrimSpace(strings.Repeat("BODY[] ", n)) + ")" }, func(d *Decoder) { d.FetchItems() }, FetchItemsMax},
		{"FieldNamesMax", func(n int) string { return "BODY[HEADER.FIELDS (" + strings.TrimSpace(strings.Repeat("a ", n)) + ")]" }, func(d *Decoder) { d.FetchItems() }, FieldNamesMax},
		{"SearchKeysMax", func(n int) string { return strings.TrimSpace(strings.Repeat("ALL ", n)) }, func(d *Decoder) { d.SearchProgram() }, SearchKeysMax},
		{"DepthMax", func(n int) string { return strings.Repeat("(", n) + "ALL" + strings.Repeat(")", n) }, func(d *Decoder) { d.SearchProgram() }, DepthMax},
	} {
		for n, good := range map[int]bool{tc.max - 1: true, tc.max: true, tc.max + 1: false} {
			if err := read(tc.text(n), tc.f); (err == nil) != good {
				t.Errorf("%s with %d: %v", tc.name, n, err)
			}
		}
	}
	for n, good := range map[int]bool{BeforeLoginMax - 1: true, BeforeLoginMax: true, BeforeLoginMax + 1: false} {
		for name, text := range map[string]string{
			"one":                  literal(n - len("{8000+}")),
			"two":                  literal(10) + literal(n-10-len("{10+}{8000+}")),
			"a line and a literal": `"` + strings.Repeat("x", 4000) + `"` + literal(n-4002-len("{4000+}")),
		} {
			d, _ := decode(t, text)
			d.SetLimits(BeforeLogin)
			d.AString()
			if name != "one" {
				d.AString()
			}
			if (d.Err() == nil) != good {
				t.Errorf("before login, %s of %d octets: %v", name, n, d.Err())
			}
		}
	}
	for n, good := range map[int]bool{NonSyncMax - 1: true, NonSyncMax: true, NonSyncMax + 1: false} {
		d, _ := decode(t, literal(n))
		d.SetNonSync(NonSyncMax)
		if d.AString(); (d.Err() == nil) != good {
			t.Errorf("LITERAL- with %d: %v", n, d.Err())
		}
		if err := d.Skip(); err != nil {
			t.Error(err)
		}
	}
}

// TestSkip: after a failed command the next one is understood.
func TestSkip(t *testing.T) {
	d, _ := decode(t, "a ( {3+}\r\nb c {2+}\r\nde\r\nnext")
	d.Tag()
	d.Space()
	d.Atom()
	if d.Err() == nil {
		t.Fatal("no error")
	}
	if err := d.Skip(); err != nil {
		t.Fatal(err)
	}
	if err := d.Next(); err != nil || d.Atom() != "next" {
		t.Error(err, d.Err())
	}
}

// TestNumSet: RFC 3501 §9 sequence-set.
func TestNumSet(t *testing.T) {
	for _, tc := range []struct {
		in      string
		largest uint32
		want    string
	}{
		{"1", 9, "1-1"}, {"*", 9, "9-9"}, {"3:1", 9, "1-3"}, {"5:*", 9, "5-9"}, {"12:*", 9, "9-12"}, {"1,3:4,2", 9, "1-4"}, {"1:3,2:7,9", 9, "1-7 9-9"},
		{"*:*", 9, "9-9"}, {"*", 0, ""}, {"4294967295", 9, "4294967295-4294967295"}, {"1:4294967295,*", 9, "1-4294967295"},
	} {
		d, _ := decode(t, tc.in)
		set := d.NumSet()
		if err := d.End(); err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		var got []string
		for _, r := range set.Resolve(tc.largest) {
			got = append(got, fmt.Sprintf("%d-%d", r.First, r.Last))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s of %d: %v, want %s", tc.in, tc.largest, got, tc.want)
		}
	}
	for _, in := range []string{"", "0", "1:", ",1", "1,", "a", "1:0", "4294967296", "-1"} {
		d, _ := decode(t, in)
		if d.NumSet(); d.End() == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

// TestLongNumSet: a set may be as long as the line, more than TokensMax
// numbers, whether they are the same or touch each other nowhere.
func TestLongNumSet(t *testing.T) {
	separate := []byte("1")
	for n := uint64(3); len(separate)+8 <= CommandMax; n += 2 {
		separate = strconv.AppendUint(append(separate, ','), n, 10)
	}
	for text, want := range map[string]int{
		strings.Repeat("1,3,", CommandMax/4-1) + "5:70": 3,
		string(separate): bytes.Count(separate, []byte{','}) + 1,
	} {
		d, _ := decode(t, text)
		set := d.NumSet()
		if err := d.End(); err != nil || len(text) > CommandMax || cap(set) > separateMax {
			t.Errorf("%d octets, room for %d ranges: %v", len(text), cap(set), err)
		}
		if got := len(set.Resolve(9)); got != want {
			t.Errorf("%d ranges, want %d", got, want)
		}
	}
}

// TestMergedNumSet: a set means the numbers of all its ranges, merged as they are
// read, for any largest number.
func TestMergedNumSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	one := func() string {
		if r.IntN(4) == 0 {
			return "*"
		}
		return strconv.Itoa(1 + r.IntN(30))
	}
	value := func(word string, largest uint32) uint32 {
		if n, err := strconv.Atoi(word); err == nil {
			return uint32(n)
		}
		return largest
	}
	for range 2000 {
		var words []string
		for range 1 + r.IntN(8) {
			word := one()
			if r.IntN(2) == 0 {
				word += ":" + one()
			}
			words = append(words, word)
		}
		text := strings.Join(words, ",")
		d, _ := decode(t, text)
		set := d.NumSet()
		for largest := range uint32(32) {
			var want [32]bool
			for _, word := range words {
				from, to, isRange := strings.Cut(word, ":")
				a := value(from, largest)
				b := a
				if isRange {
					b = value(to, largest)
				}
				for n := max(1, min(a, b)); n <= max(a, b); n++ {
					want[n] = true
				}
			}
			ranges := set.Resolve(largest)
			for n := range want {
				if n > 0 && Contains(ranges, uint32(n)) != want[n] {
					t.Fatalf("%s with %d: %v, %d should be %v", text, largest, ranges, n, want[n])
				}
			}
			for i := 1; i < len(ranges); i++ {
				if ranges[i].First <= ranges[i-1].Last+1 {
					t.Fatalf("%s with %d: %v", text, largest, ranges)
				}
			}
		}
	}
}

// TestFlags: RFC 3501 §9 flag.
func TestFlags(t *testing.T) {
	d, _ := decode(t, `(\seen $Forwarded \Recent Junk)`)
	if f := d.Flags(); !f.Equal(mail.NewFlags(mail.Seen, "$Forwarded", "Junk")) || d.End() != nil {
		t.Error(f, d.Err())
	}
	d, _ = decode(t, `\Deleted foo`)
	if f := d.StoreFlags(); !f.Equal(mail.NewFlags(mail.Deleted, "foo")) || d.End() != nil {
		t.Error(f, d.Err())
	}
	d, _ = decode(t, `(\Foo)`)
	if d.Flags(); d.Err() == nil {
		t.Error(`\Foo was taken`)
	}
}

// TestDateTime: RFC 3501 §9 date-time; the day may have one digit.
func TestDateTime(t *testing.T) {
	want := time.Date(2026, 2, 1, 1, 2, 3, 0, time.FixedZone("", -90*60))
	for _, in := range []string{`"01-Feb-2026 01:02:03 -0130"`, `" 1-Feb-2026 01:02:03 -0130"`, `"1-feb-2026 01:02:03 -0130"`} {
		d, _ := decode(t, in)
		if got := d.DateTime(); !got.Equal(want) || d.End() != nil {
			t.Errorf("%s: %v %v", in, got, d.Err())
		}
	}
	for _, in := range []string{`"31-Feb-2026 01:02:03 +0000"`, `"x"`, `1-Feb-2026`, `"1-Feb-2026"`} {
		d, _ := decode(t, in)
		if d.DateTime(); d.Err() == nil {
			t.Errorf("%s was taken", in)
		}
	}
}

// TestUTF7: RFC 3501 §5.1.3; one name has one spelling.
func TestUTF7(t *testing.T) {
	for utf8, utf7 := range map[string]string{
		"Entwürfe": "Entw&APw-rfe", "a&b": "a&-b", "~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "😀": "&2D3eAA-", "": "", "a-b": "a-b",
	} {
		if got := EncodeUTF7(utf8); got != utf7 {
			t.Errorf("%q is encoded as %q", utf8, got)
		}
		if got, err := DecodeUTF7(utf7); err != nil || got != utf8 {
			t.Errorf("%q is decoded as %q, %v", utf7, got, err)
		}
	}
	for _, bad := range []string{"&", "&AP", "&APw", "&AGE-", "&Jjo!", "&U,BTFw-&ZeVnLIqe-", "&2D0-", "ü", "a\x01"} {
		if got, err := DecodeUTF7(bad); err == nil {
			t.Errorf("%q is decoded as %q", bad, got)
		}
	}
}

// TestAppendString: what cannot be quoted is a literal.
func TestAppendString(t *testing.T) {
	for in, want := range map[string]string{"a": `"a"`, `a"\`: `"a\"\\"`, "": `""`, "a\r\nb": "{4}\r\na\r\nb", "ü": "{2}\r\nü", "\x00": "{1}\r\n\x00"} {
		if got := string(AppendString(nil, in)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for in, want := range map[string]string{"a": "a", "a b": `"a b"`, "NIL": `"NIL"`, "": `""`, "INBOX": "INBOX", "a%": `"a%"`} {
		if got := string(AppendAString(nil, in)); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// TestDate: RFC 3501 §9 date-time.
func TestDate(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Unix(rng.Int64N(250_000_000_000)-60_000_000_000, 0).In(time.FixedZone("", (rng.IntN(2*24*60)-24*60)*60))
		if got, want := string(AppendDate(nil, d)), d.Format(`"_2-Jan-2006 15:04:05 -0700"`); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
}

func BenchmarkDate(b *testing.B) {
	date := time.Unix(1_800_000_000, 0).In(time.FixedZone("", 3600))
	var out []byte
	for b.Loop() {
		out = AppendDate(out[:0], date)
	}
}

// TestFetchItems: RFC 3501 §9 fetch-att.
func TestFetchItems(t *testing.T) {
	d, _ := decode(t, `(flags body.peek[1.2.header.fields (From "To x")]<3.4> BODY[] BODYSTRUCTURE body)`)
	items := d.FetchItems()
	if d.End() != nil || len(items) != 5 {
		t.Fatal(items, d.Err())
	}
	h := items[1]
	if h.Name != "BODY[" || !h.Peek || !slices.Equal(h.Section.Path, []int{1, 2}) || h.Section.Kind != message.SectionHeader || !slices.Equal(h.Section.Fields, []string{"From", "To x"}) ||
		h.Section.Text != `1.2.HEADER.FIELDS (From "To x")` || !h.Partial || h.Offset != 3 || h.Count != 4 {
		t.Errorf("%+v", h)
	}
	if items[2].Peek || items[4].Name != "BODY" {
		t.Errorf("%+v", items)
	}
	for _, bad := range []string{"", "()", "FOO", "BODY[", "BODY[0]", "BODY[1.]", "BODY[MIME]", "BODY[HEADER.FIELDS ()]", "BODY[]<1>", "BODY[]<-1.2>", "FULL FLAGS", "(ALL)"} {
		d, _ := decode(t, bad)
		if d.FetchItems(); d.End() == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func fuzzDecoder(f *testing.F, read func(d *Decoder), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		d := NewDecoder(&lines{r: bufio.NewReader(bytes.NewReader(in))})
		for range 50 {
			if d.Next() != nil {
				return
			}
			read(d)
			if d.End() != nil && d.Skip() != nil {
				return
			}
		}
	})
}

func FuzzAString(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) { d.AString(); d.Space(); d.Mailbox(); d.Space(); d.MailboxPattern() }, "a b c\r\n", "{3+}\r\nabc \"x\" %*\r\n", "{3}\r\nab")
}
func FuzzFetchItems(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) {
		for _, i := range d.FetchItems() {
			if i.Offset < 0 || i.Count < 0 {
				panic("a negative range")
			}
		}
	}, "(FLAGS BODY[1.2.HEADER.FIELDS (a b)]<1.2>)\r\n", "FULL\r\n")
}
func FuzzSearchProgram(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) { d.SearchProgram() }, "CHARSET UTF-8 OR (NOT SEEN) 1:*,3 SINCE 1-Jan-2026\r\n", "HEADER a {3+}\r\nabc\r\n")
}
func FuzzNumSet(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) {
		for i, r := range d.NumSet().Resolve(100) {
			if r.First > r.Last || r.First == 0 && i > 0 {
				panic("a range is not in order")
			}
		}
	}, "1:*,3,7:2\r\n", "*\r\n")
}
func FuzzFlagsAndDates(f *testing.F) {
	fuzzDecoder(f, func(d *Decoder) { d.Flags(); d.Space(); d.DateTime(); d.Space(); d.Day() }, "(\\Seen a) \"01-Jan-2026 00:00:00 +0000\" 1-Jan-2026\r\n")
}

func FuzzUTF7(f *testing.F) {
	f.Add("Entw&APw-rfe")
	f.Add("&U,BTFw-/&ZeVnLIqe-")
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := DecodeUTF7(s); err == nil && EncodeUTF7(u) != s {
			t.Errorf("%q has another spelling: %q", s, EncodeUTF7(u))
		}
	})
}

// FuzzBody: structures of any message are balanced and of one line, literals
// aside.
func FuzzBody(f *testing.F) {
	f.Add([]byte("From: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		sum := message.Parse(in)
		for _, out := range [][]byte{AppendEnvelope(nil, sum.Parts[0].Envelope), AppendBody(nil, sum, false), AppendBody(nil, sum, true)} {
			if err := balanced(out); err != nil {
				t.Errorf("%q: %v", out, err)
			}
		}
	})
}

// balanced reads parenthesized data as a client does.
func balanced(b []byte) error {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return errors.New("closed too often")
			}
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				} else if b[i] == '\r' || b[i] == '\n' || b[i] == 0 || b[i] >= 0x80 {
					return fmt.Errorf("octet %x in a quoted string", b[i])
				}
			}
		case '{':
			var n int
			if _, err := fmt.Sscanf(string(b[i:]), "{%d}\r\n", &n); err != nil {
				return err
			}
			i += bytes.IndexByte(b[i:], '\n') + n
			if i >= len(b) {
				return io.ErrUnexpectedEOF
			}
		case '\r', '\n':
			return errors.New("a line end outside a literal")
		}
	}
	if depth != 0 {
		return errors.New("not closed")
	}
	return nil
}

// TestEnvelopeAddresses: a NIL host means a group (RFC 3501 §7.4.2), so an
// address without a domain has an empty one.
func TestEnvelopeAddresses(t *testing.T) {
	sum := message.Parse([]byte("From: Some One <root>\r\nTo: friends: a@b.example, c;, <>\r\n\r\n"))
	want := `(NIL NIL (("Some One" NIL "root" "")) (("Some One" NIL "root" "")) (("Some One" NIL "root" "")) ` +
		`((NIL NIL "friends" NIL)(NIL NIL "a" "b.example")(NIL NIL "c" "")(NIL NIL NIL NIL)(NIL NIL "" "")) NIL NIL NIL NIL)`
	if got := string(AppendEnvelope(nil, sum.Parts[0].Envelope)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
