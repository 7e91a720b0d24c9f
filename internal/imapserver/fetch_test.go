package imapserver

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// fetched sends a command and returns its answers, those before the tagged line
// together.
func fetched(t *testing.T, c *servertest.Client, command string) (untagged, tagged string) {
	t.Helper()
	c.Send(t, "f "+command+"\r\n")
	var b strings.Builder
	for {
		line := c.Line()
		if strings.HasPrefix(line, "f ") || strings.HasPrefix(line, "<") {
			return b.String(), line
		}
		b.WriteString(line + "\n")
	}
}

// selected is logged in, with INBOX selected, where messages are.
func (s *testServer) selected(t *testing.T, messages ...string) *servertest.Client {
	t.Helper()
	c := s.dial(t)
	c.Line()
	fetched(t, c, "LOGIN ada secret")
	for _, m := range messages {
		fetched(t, c, fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(m), m))
	}
	fetched(t, c, "SELECT INBOX")
	return c
}

// inbox is what is in ada's.
func (s *testServer) inbox(t *testing.T) *store.MessageList {
	t.Helper()
	acct := s.Account(t, "ada@localhost")
	v, err := acct.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	inbox, _ := v.Mailbox("INBOX")
	l, err := v.Messages(t.Context(), inbox.ID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestFetchAgain: what is kept of earlier answers is told only where it was asked
// for. The first answer is made of summaries that are read from the store.
func TestFetchAgain(t *testing.T) {
	s := newTestServer(t, Options{})
	var messages []string
	for i := range 300 {
		messages = append(messages, fmt.Sprintf("From: Ada <ada@localhost>\r\nTo: b@localhost\r\nSubject: number %d\r\nX-Other: %d\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"+
			"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner %d\r\n\r\ntext\r\n--b--\r\n", i, i, i))
	}
	c := s.selected(t, messages...)
	items := []string{"ENVELOPE", "BODY", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (Subject)] ENVELOPE", "ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject)] BODY"}
	for _, section := range []string{"HEADER", "HEADER.FIELDS (From)", "HEADER.FIELDS (Subject)", "HEADER.FIELDS (Subject From)", `HEADER.FIELDS (Subject "]")`,
		"HEADER.FIELDS (X-Other)", "HEADER.FIELDS.NOT (From)", "1.HEADER.FIELDS (Subject)", "2.HEADER.FIELDS (Subject)"} {
		items = append(items, "BODY.PEEK["+section+"]", "BODY.PEEK["+section+"]<3.12>")
	}
	first := map[string]string{}
	for _, item := range items {
		s.Store.Spare()
		first[item], _ = fetched(t, c, "FETCH 1:* (UID "+item+")")
	}
	s.Store.Spare()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10 * len(items) {
		item := items[rng.IntN(len(items))]
		if got, tagged := fetched(t, c, "FETCH 1:* (UID "+item+")"); got != first[item] || !strings.HasPrefix(tagged, "f OK") {
			t.Fatalf("%s: %d octets, and %s; %d octets at first", item, len(got), tagged, len(first[item]))
		}
	}
}

// TestFetchDamaged: a message that cannot be read is left out whole, and its
// neighbours are told.
func TestFetchDamaged(t *testing.T) {
	fs := vfs.NewMem()
	e, err := local.Open(t.Context(), fs, "store", local.Options{Now: time.Now, CompactEvery: -1, IndexFS: pebblevfs.NewMem(), IndexCache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, servertest.NewOn(t, e), Options{})
	c := s.selected(t, "first", "spoiled", "third")
	spoil(t, fs, "store/log", "spoiled")
	got, tagged := fetched(t, c, "FETCH 1:* (UID BODY.PEEK[])")
	if want := "* 1 FETCH (UID 1 BODY[] {5}\r\nfirst)\n* 3 FETCH (UID 3 BODY[] {5}\r\nthird)\n"; got != want || !strings.HasPrefix(tagged, "f NO ") {
		t.Errorf("%q, then %q", got, tagged)
	}
}

// spoil changes one octet behind a text that is in one of the files of a folder.
func spoil(t *testing.T, fs vfs.FS, folder, text string) {
	t.Helper()
	names, err := fs.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := fs.Open(folder + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		size, err := f.Size()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			if _, err := f.WriteAt([]byte{'S'}, int64(at)); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no file of %s holds %q", folder, text)
}

// TestFetchKeeps: what was sent of a message is kept at once, and its summary when
// it is needed once more.
func TestFetchKeeps(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.selected(t, "Subject: x\r\n\r\ntext")
	l := s.inbox(t)
	s.Store.Spare()
	for _, step := range []struct {
		items           string
		before, summary bool
		forms           [store.FormsMax]bool
	}{
		{items: "(UID FLAGS BODY.PEEK[])"},
		{items: "BODY", before: true},
		{items: "ENVELOPE", before: true, forms: [...]bool{true, false, false}},
		{items: "(BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject)])", before: true, forms: [...]bool{true, true, true}},
		{items: "BODY.PEEK[HEADER.FIELDS (From)]", before: true, forms: [...]bool{true, true, true}},
		{items: "BODY.PEEK[TEXT]", before: true, summary: true, forms: [...]bool{true, true, true}},
	} {
		fetched(t, c, "FETCH 1 "+step.items)
		k, before := s.Store.Known(l.At(0))
		var forms [store.FormsMax]bool
		for i := range forms {
			forms[i] = k.Form(i) != nil
		}
		if before != step.before || (k.Summary != nil) != step.summary || forms != step.forms {
			t.Errorf("behind %s: %v, %v, %v", step.items, before, k.Summary != nil, forms)
		}
	}
	s.Store.Spare()
	for range 2 {
		fetched(t, c, "FETCH 1 (ENVELOPE BODYSTRUCTURE)")
		if k, _ := s.Store.Known(l.At(0)); k.Summary != nil || k.Form(0) == nil || k.Form(1) == nil {
			t.Errorf("of envelope and structure %+v is kept", k)
		}
	}
	s.Store.Spare()
	s.Store.Keep(l.At(0), store.Known{Summary: &message.Summary{Parts: []message.Part{{Type: "kept", Subtype: "summary"}}}})
	if got, _ := fetched(t, c, "FETCH 1 BODY"); !strings.Contains(got, `"kept" "summary"`) {
		t.Errorf("a summary that is kept was read once more: %s", got)
	}
}

// TestFormsVersion: the store keeps forms over a restart into another server, which
// would send those of this one for ever.
func TestFormsVersion(t *testing.T) {
	const seen = "1 1c4d89c902e296e6"
	s := newTestServer(t, Options{})
	c := s.selected(t,
		"Date: Mon, 2 Mar 2026 10:00:00 +0100\r\nFrom: \"Ada, L.\" <ada@example.org>, =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nTo: friends: a@example.org, <@relay:b@example.org>;, none:;\r\n"+
			"Cc: (comment) c@example.org\r\nSubject: =?iso-8859-1?q?gr=FC=DFe?=\r\n\tfolded \"quoted\" \\ back\r\nMessage-ID: <1@example.org>\r\nIn-Reply-To: <0@example.org>\r\n\r\ntext\r\n",
		"From: caf\xe9 <x>\r\nSender: not an address\r\nSubject:\r\n\r\n",
		"no header at all",
		"Content-Type: multipart/mixed; boundary=\"a b\"; x*=utf-8''%C3%BC\r\nContent-Language: de, en\r\n\r\n--a b\r\nContent-Type: text/html; charset=\"utf-8\"\r\nContent-Transfer-Encoding: quoted-printable\r\n"+
			"Content-ID: <id>\r\nContent-Description: what\r\nContent-MD5: sum\r\nContent-Location: here\r\nContent-Disposition: attachment; filename*0=long; filename*1=name\r\n\r\nhtml\r\n"+
			"--a b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\nFrom: i@example.org\r\n\r\ninner\r\ntext\r\n--a b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\n--c--\r\n--a b--\r\n")
	h := sha256.New()
	for _, items := range []string{"ENVELOPE", "BODYSTRUCTURE", "BODY.PEEK[HEADER.FIELDS (From Subject To Date X-None)]"} {
		got, tagged := fetched(t, c, "FETCH 1:* ("+items+")")
		if !strings.HasPrefix(tagged, "f OK") {
			t.Fatal(tagged)
		}
		io.WriteString(h, got)
	}
	if got := fmt.Sprintf("%d %x", FormsVersion, h.Sum(nil)[:8]); got != seen {
		t.Errorf("the version and the forms are %s, and were %s: if the forms have changed, raise FormsVersion", got, seen)
	}
}

// TestMakeForms: what is made of a summary ahead is what would be kept of an answer.
func TestMakeForms(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.selected(t, "From: Ada <ada@localhost>\r\nSubject: one\r\n\r\ntext", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ntext\r\n--b--\r\n")
	fetched(t, c, "FETCH 1:* (ENVELOPE BODYSTRUCTURE)")
	l := s.inbox(t)
	var buf []byte
	for _, m := range l.Range(0, l.Len()) {
		sum, err := s.Store.Summary(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		var forms [store.FormsMax][]byte
		forms, buf = MakeForms(buf, sum)
		k, _ := s.Store.Known(m)
		for i, form := range forms {
			if kept := k.Form(i); string(form) != string(kept) || (i < formFields) != (kept != nil) {
				t.Errorf("form %d of %d is %q, and %q is kept", i, m.UID, form, kept)
			}
		}
	}
}
