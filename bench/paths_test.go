package bench

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/lmtpserver"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/pop3server"
	"github.com/angarium/angarium/internal/search"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const user = "ada@localhost"

// server is what the benchmarks talk to.
type server struct {
	*servertest.Server
	imap, pop3, lmtp string
	texts            *search.Index
}

func newServer(b *testing.B) *server {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "angarium-bench-")
	if err != nil {
		dir = b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	e, err := local.Open(b.Context(), vfs.Disk{}, filepath.Join(dir, "store"), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := &server{Server: servertest.NewOn(b, e)}
	s.texts = search.NewIndex(b.Context(), s.Store, vfs.Disk{}, filepath.Join(dir, "search"), search.IndexOptions{})
	b.Cleanup(s.texts.Close)
	imap := imapserver.New(s.Store, s.Auth, imapserver.Options{Log: s.Log, Events: s.Events, Texts: s.texts})
	pop3 := pop3server.New(s.Store, s.Auth, pop3server.Options{Log: s.Log, Events: s.Events})
	lmtp := lmtpserver.New(s.Store, s.Dir, lmtpserver.Options{Events: s.Events, Hostname: "bench.example"})
	s.imap = s.Listen(b, netserver.ListenerOptions{Protocol: "imap", Handler: imap.On("imap")})
	s.pop3 = s.Listen(b, netserver.ListenerOptions{Protocol: "pop3", Handler: pop3.Handle})
	s.lmtp = s.Listen(b, netserver.ListenerOptions{Protocol: "lmtp", Handler: lmtp.Handle})
	return s
}

func (s *server) account(b *testing.B) *store.Account {
	b.Helper()
	info, err := s.Store.AccountInfo(b.Context(), user)
	if err != nil {
		b.Fatal(err)
	}
	a, err := s.Store.Account(b.Context(), info.ID)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// fill puts n messages into the INBOX.
func (s *server) fill(b *testing.B, n int) {
	b.Helper()
	err := fill.Inbox(b.Context(), s.Store, s.account(b), 0, n, func(n int) ([]byte, store.AppendOptions) {
		o := store.AppendOptions{InternalDate: time.Unix(1_700_000_000+int64(n)*60, 0)}
		if n%3 > 0 {
			o.Flags = mail.NewFlags(mail.Seen)
		}
		return message(n), o
	})
	if err != nil {
		b.Fatal(err)
	}
}

// client is logged in, with INBOX selected.
func (s *server) client(b *testing.B) *harness.IMAP {
	b.Helper()
	c, err := harness.DialIMAP(s.imap)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	if err := c.Login(user, "secret"); err != nil {
		b.Fatal(err)
	}
	skip(b, c, "SELECT INBOX")
	return c
}

func skip(b *testing.B, c *harness.IMAP, command string) {
	b.Helper()
	if err := c.Skip(command); err != nil {
		b.Fatalf("%.80s: %v", command, err)
	}
}

// message is the n-th: text and HTML of some 9 KB as most mail is, in a thread of
// eight, every tenth with an attachment of 60 KB.
func message(n int) []byte {
	var m bytes.Buffer
	fmt.Fprintf(&m, "Received: from mx%d.example.net ([192.0.2.%d]) by bench.example with ESMTPS id %x;\r\n\t%s\r\n", n%9, n%250, n, date(n))
	fmt.Fprintf(&m, "From: =?utf-8?q?J=C3=BCrgen?= Sender %d <sender%d@example.net>\r\nTo: Ada <%s>\r\nSubject: Re: Subject %d of the thread\r\nDate: %s\r\n", n%97, n%97, user, n/8, date(n))
	fmt.Fprintf(&m, "Message-ID: <%d@bench.example>\r\nReferences: <%d@bench.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\n", n, n/8*8)
	m.WriteString("--outer\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	words(&m, rng, 3000)
	m.WriteString("\r\n--outer\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>")
	words(&m, rng, 6000)
	m.WriteString("</p></body></html>\r\n")
	if n%10 == 0 {
		m.WriteString("--outer\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\n")
		for range 1000 {
			var line [45]byte
			for i := range line {
				line[i] = byte(rng.Uint32())
			}
			m.WriteString(base64.StdEncoding.EncodeToString(line[:]) + "\r\n")
		}
	}
	m.WriteString("--outer--\r\n")
	return m.Bytes()
}

func date(n int) string {
	return time.Unix(1_700_000_000+int64(n)*60, 0).UTC().Format(time.RFC1123Z)
}

// words writes about n octets of lines of words, of which some are rare.
func words(m *bytes.Buffer, rng *rand.Rand, n int) {
	for end := m.Len() + n; m.Len() < end; {
		for range 10 {
			fmt.Fprintf(m, "%c%x ", 'a'+rng.IntN(26), rng.IntN(1<<(4+rng.IntN(9))))
		}
		m.WriteString("gr=C3=BC=C3=9Fe\r\n")
	}
}

// BenchmarkDeliver is LMTP of one message to one account.
func BenchmarkDeliver(b *testing.B) {
	s := newServer(b)
	c, err := harness.DialLMTP(s.lmtp)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	m := string(message(1))
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		if refused, err := c.Deliver("sender@example.net", []string{user}, m); err != nil {
			b.Fatal(refused, err)
		}
	}
}

// BenchmarkAppend is APPEND of one message by the client that has the mailbox selected.
func BenchmarkAppend(b *testing.B) {
	s := newServer(b)
	c := s.client(b)
	m := message(1)
	command := fmt.Sprintf("APPEND INBOX (\\Seen) {%d+}\r\n%s", len(m), m)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	for b.Loop() {
		skip(b, c, command)
	}
}

// BenchmarkLogin is a session with nothing in it but LOGIN and SELECT.
func BenchmarkLogin(b *testing.B) {
	s := newServer(b)
	s.fill(b, 100)
	b.ReportAllocs()
	for b.Loop() {
		c, err := harness.DialIMAP(s.imap)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Login(user, "secret"); err != nil {
			b.Fatal(err)
		}
		skip(b, c, "SELECT INBOX")
		skip(b, c, "LOGOUT")
		c.Close()
	}
}

// index has the texts indexed, which the first search asks for, and waits until a
// search shows that they are.
func (s *server) index(b *testing.B, c *harness.IMAP) {
	b.Helper()
	search := func() time.Duration {
		begun := time.Now()
		skip(b, c, `SEARCH BODY "qzz no such text"`)
		return time.Since(begun)
	}
	for first, end := search(), time.Now().Add(time.Minute); search() > first/10; {
		if time.Now().After(end) {
			b.Fatal("the texts are not indexed")
		}
	}
}

// BenchmarkCommand is each command on a mailbox of 2,000 messages.
func BenchmarkCommand(b *testing.B) {
	const messages = 2000
	s := newServer(b)
	s.fill(b, messages)
	c := s.client(b)
	s.index(b, c)
	for _, bench := range []struct {
		name     string
		messages int // that it is for
		commands []string
	}{
		{"select", 1, []string{"SELECT INBOX"}},
		{"status", 1, []string{"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)"}},
		{"fetch-flags", messages, []string{"FETCH 1:* (UID FLAGS)"}},
		{"fetch-fast", messages, []string{"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)"}},
		{"fetch-envelope", messages, []string{"FETCH 1:* (UID ENVELOPE BODYSTRUCTURE)"}},
		{"fetch-headers", messages, []string{"FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (From To Cc Subject Date Message-ID References)])"}},
		{"fetch-bodies", messages, []string{"FETCH 1:* (UID BODY.PEEK[])"}},
		{"fetch-one", 1, []string{"FETCH 1001 (UID FLAGS BODY.PEEK[])"}},
		{"store-one", 1, []string{"STORE 1000 +FLAGS (\\Flagged)", "STORE 1000 -FLAGS (\\Flagged)"}},
		{"store-all", messages, []string{"STORE 1:* +FLAGS.SILENT (\\Flagged)", "STORE 1:* -FLAGS.SILENT (\\Flagged)"}},
		{"search-flags", messages, []string{"SEARCH UNSEEN"}},
		{"search-subject", messages, []string{`SEARCH SUBJECT "subject 17 "`}},
		{"search-body", messages, []string{`SEARCH BODY "qzz no such text"`}},
		{"search-short", messages, []string{`SEARCH BODY "qz"`}}, // too short for the index
		{"sort-subject", messages, []string{"SORT (SUBJECT) UTF-8 ALL"}},
		{"sort-unseen", messages, []string{"SORT (REVERSE DATE) UTF-8 UNSEEN"}},
		{"thread", messages, []string{"THREAD REFERENCES UTF-8 ALL"}},
		{"copy-expunge", 100, []string{"COPY 1:100 INBOX", "STORE 2001:* +FLAGS.SILENT (\\Deleted)", "EXPUNGE"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, command := range bench.commands {
					skip(b, c, command)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(bench.messages*len(bench.commands)), "ns/message")
		})
	}
}

// BenchmarkView is what a session tells of another one's change.
func BenchmarkView(b *testing.B) {
	s := newServer(b)
	s.fill(b, 2000)
	one, other := s.client(b), s.client(b)
	b.ReportAllocs()
	for b.Loop() {
		skip(b, one, "STORE 1000 FLAGS.SILENT (\\Flagged)")
		skip(b, other, "NOOP")
		skip(b, one, "STORE 1000 FLAGS.SILENT ()")
		skip(b, other, "NOOP")
	}
}

// BenchmarkPOP3 is RETR of one message.
func BenchmarkPOP3(b *testing.B) {
	s := newServer(b)
	s.fill(b, 100)
	c, err := harness.DialPOP3(s.pop3, user, "secret")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := c.Lines(fmt.Sprintf("RETR %d", n%100+1)); err != nil {
			b.Fatal(err)
		}
	}
}
