package search

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// messages are what is searched; their indexes stand in the tests.
var messages = []testMessage{
	{"From: Fred <fred@x.example>\r\nTo: wilma@y.example\r\nCc: barney@z.example\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= aus =?iso-8859-1?q?K=F6ln?=\r\n" +
		"Date: Sun, 1 Feb 2026 23:30:00 -0800\r\nMessage-ID: <one@x>\r\n\r\nHello World\r\n", mail.NewFlags(mail.Seen), "2026-02-10T10:00:00Z"},
	{"From: wilma@y.example\r\nBcc: secret@q.example\r\nSubject: plain\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		"Sch=F6ne Gr=FC=\r\n=DFe\r\n", mail.NewFlags(mail.Flagged, "$Work"), "2026-02-11T23:59:59+02:00"},
	{"From: x@y\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		"PGI+TsO2cmdlbDwvYj4=\r\n--b\r\nContent-Type: application/pdf\r\n\r\nneedle in binary\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner subject\r\n\r\ninner body\r\n--b--\r\n",
		mail.NewFlags(mail.Deleted | mail.Answered), "2026-02-12T00:00:00Z"},
	{"\r\n" + strings.Repeat("filler line of text\r\n", 200) + "end of long\r\n", mail.NewFlags(mail.Draft), "2025-12-31T12:00:00Z"},
}

func open(t testing.TB) (*store.Store, *store.MessageList) {
	t.Helper()
	return openWith(t, messages)
}

type testMessage = struct {
	text  string
	flags mail.Flags
	date  string
}

func accountOf(t testing.TB, s *store.Store) store.AccountID {
	for info := range s.AccountInfos(t.Context()) {
		return info.ID
	}
	t.Fatal("no account")
	return 0
}

func openWith(t testing.TB, messages []testMessage) (*store.Store, *store.MessageList) {
	t.Helper()
	s, a := openAccount(t)
	return s, appendTo(t, s, a, messages)
}

func openAccount(t testing.TB) (*store.Store, *store.Account) {
	return openAccountWith(t, store.Options{})
}

func openAccountWith(t testing.TB, o store.Options) (*store.Store, *store.Account) {
	t.Helper()
	ctx := t.Context()
	e := mem.New()
	o.Now, o.PurgeEvery = time.Now, -1
	s, err := store.Open(ctx, e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); e.Close() })
	info, err := s.CreateAccount(ctx, "a@b", "x")
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, info.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s, a
}

// appendTo appends messages to the INBOX, and returns what is in it then.
func appendTo(t testing.TB, s *store.Store, a *store.Account, messages []testMessage) *store.MessageList {
	t.Helper()
	ctx := t.Context()
	now, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	box, err := now.Mailbox(mail.Inbox)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		st, err := s.Stage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(st, m.text)
		staged, err := st.Seal()
		if err != nil {
			t.Fatal(err)
		}
		date, err := time.Parse(time.RFC3339, m.date)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.Append(box.ID, staged, store.AppendOptions{Flags: m.flags, InternalDate: date})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		st.Discard()
	}
	_, list, err := a.Messages(ctx, box.ID)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

type source struct{ *bufio.Reader }

func (s source) Continue() error { return nil }
func (s source) ReadLine(int) ([]byte, error) {
	b, err := s.ReadString('\n')
	return []byte(strings.TrimRight(b, "\r\n")), err
}

// decoderOf stands before a key and its text.
func decoderOf(key, text string) *imapwire.Decoder {
	d := imapwire.NewDecoder(source{bufio.NewReader(strings.NewReader(fmt.Sprintf("%s {%d+}\r\n%s\r\n", key, len(text), text)))})
	d.SetLimits(imapwire.AfterLogin)
	d.Next()
	return d
}

// run searches as a client asks.
func run(t testing.TB, s *store.Store, list *store.MessageList, program string) ([]int32, error) {
	t.Helper()
	return runWith(t, s, list, nil, program)
}

// runWith is run with an index of the one account.
func runWith(t testing.TB, s *store.Store, list *store.MessageList, x *Index, program string) ([]int32, error) {
	t.Helper()
	d := imapwire.NewDecoder(source{bufio.NewReader(strings.NewReader(program + "\r\n"))})
	d.SetLimits(imapwire.AfterLogin)
	if err := d.Next(); err != nil {
		t.Fatal(err)
	}
	charset, key := d.SearchProgram()
	if err := d.End(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	return Run(context.Background(), &Query{Store: s, List: list, Key: key, Charset: charset, Index: x, Account: accountOf(t, s), User: accountOf(t, s),
		Recent: func(u mail.UID) bool { return u >= 3 }})
}

// TestKeys: every key of RFC 3501 §6.4.4.
func TestKeys(t *testing.T) {
	s, list := open(t)
	index := newIndex(t, s, vfs.NewMem())
	indexAll(t, index, list)
	for program, want := range map[string]string{
		"ALL": "0 1 2 3", "SEEN": "0", "UNSEEN": "1 2 3", "FLAGGED": "1", "UNFLAGGED": "0 2 3", "DELETED": "2", "UNDELETED": "0 1 3",
		"ANSWERED": "2", "UNANSWERED": "0 1 3", "DRAFT": "3", "UNDRAFT": "0 1 2", "KEYWORD $work": "1", "UNKEYWORD $Work": "0 2 3",
		"RECENT": "2 3", "OLD": "0 1", "NEW": "2 3",
		"2:3": "1 2", "*": "3", "UID 1,4": "0 3", "UID 9:*": "3", "UID 9": "",
		"LARGER 1000": "3", "SMALLER 1000": "0 1 2",
		// The date as written, whatever the zone.
		"BEFORE 11-Feb-2026": "0 3", "ON 11-Feb-2026": "1", "SINCE 11-Feb-2026": "1 2",
		"SENTON 1-Feb-2026": "0", "SENTBEFORE 1-Feb-2026": "", "SENTSINCE 1-Feb-2026": "0",
		"FROM fred": "0", "FROM FRED@X": "0", "TO wilma": "0", "CC barney": "0", "BCC secret": "1", "SUBJECT plain": "1",
		"CHARSET UTF-8 SUBJECT {17+}\r\ngrüße aus köln": "0", "CHARSET ISO-8859-1 SUBJECT {2+}\r\n\xf6l": "0",
		`HEADER Message-ID one`: "0", `HEADER Cc ""`: "0", `HEADER X-None ""`: "",
		"BODY hello": "0", "CHARSET UTF-8 BODY {7+}\r\nGRÜßE": "1", "CHARSET UTF-8 BODY {7+}\r\nnörgel": "2", "BODY needle": "", `BODY "inner body"`: "2",
		"BODY subject": "2", "BODY fred": "", "TEXT fred": "0", "TEXT wilma": "0 1", `TEXT "inner subject"`: "2", `BODY "end of long"`: "3", `BODY "text filler"`: "",
		"NOT SEEN": "1 2 3", "OR SEEN DRAFT": "0 3", "(UNSEEN UNDRAFT)": "1 2", "NOT (OR SEEN (UNSEEN DRAFT))": "1 2", "SEEN DRAFT": "",
	} {
		for _, x := range []*Index{nil, index} {
			got, err := runWith(t, s, list, x, program)
			if text := strings.Trim(fmt.Sprint(got), "[]"); err != nil || text != want {
				t.Errorf("%q: %s, %v, want %s", program, text, err, want)
			}
		}
	}
	if _, err := run(t, s, list, "CHARSET X-NONE SUBJECT a"); !errors.Is(err, ErrCharset) {
		t.Error(err)
	}
}

// TestAlgebra: NOT, OR and AND are those of sets, whatever they hold.
func TestAlgebra(t *testing.T) {
	s, list := open(t)
	rng := rand.New(rand.NewPCG(1, 2))
	leaves := []string{"SEEN", "FROM fred", "BODY hello", "TEXT wilma", "LARGER 300", "UID 2:3", "SINCE 11-Feb-2026", "HEADER Subject plain", "KEYWORD $Work"}
	var build func(depth int) (string, []int32)
	all := []int32{0, 1, 2, 3}
	build = func(depth int) (string, []int32) {
		if depth == 0 || rng.IntN(4) == 0 {
			p := leaves[rng.IntN(len(leaves))]
			got, err := run(t, s, list, p)
			if err != nil {
				t.Fatal(err)
			}
			return p, got
		}
		a, x := build(depth - 1)
		keep := func(f func(i int32) bool) (out []int32) {
			for _, i := range all {
				if f(i) {
					out = append(out, i)
				}
			}
			return out
		}
		if rng.IntN(3) == 0 {
			return "NOT " + a, keep(func(i int32) bool { return !slices.Contains(x, i) })
		}
		b, y := build(depth - 1)
		if rng.IntN(2) == 0 {
			return "OR " + a + " " + b, keep(func(i int32) bool { return slices.Contains(x, i) || slices.Contains(y, i) })
		}
		return "(" + a + " " + b + ")", keep(func(i int32) bool { return slices.Contains(x, i) && slices.Contains(y, i) })
	}
	for range 300 {
		program, want := build(4)
		if got, err := run(t, s, list, program); err != nil || !slices.Equal(got, want) {
			t.Fatalf("%s: %v, %v, want %v", program, got, err, want)
		}
	}
}

// TestCancel: a search ends with its command.
func TestCancel(t *testing.T) {
	s, list := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, &Query{Store: s, List: list, Key: &imapwire.SearchKey{Op: imapwire.SearchBody, Text: "x"}}); err == nil {
		t.Error("a cancelled search answered")
	}
}
