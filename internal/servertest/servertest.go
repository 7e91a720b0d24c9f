// Package servertest runs a protocol's server on loopback over the memory
// engine, and plays transcripts on it. It is for tests.
package servertest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/telemetry"
)

// Now is the store's time.
var Now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Accounts are those that there are, each with the password "secret".
var Accounts = []string{"ada@localhost", "bela@localhost"}

var hash = sync.OnceValue(func() string {
	h, err := auth.Hash("secret")
	if err != nil {
		panic(err)
	}
	return h
})

// Server is what protocols are served from.
type Server struct {
	Log    *slog.Logger
	Events *telemetry.Sink
	Store  *store.Store
	Dir    *directory.Directory
	Auth   *auth.Auth
	Net    *netserver.Server
	Traces string // directory of traces
	Panics int64  // how many sessions shall end by one
}

// New makes a store with Accounts. Connections get TLS from a certificate
// made for the test. At the end no session may have ended by a panic, but for those
// that Panics tells.
func New(t testing.TB) *Server {
	t.Helper()
	return NewOn(t, mem.New())
}

// Account is the account of a name.
func (s *Server) Account(t testing.TB, name string) *store.Account {
	t.Helper()
	info, err := s.Store.AccountInfo(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Store.Account(t.Context(), info.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// NewOn is New over another engine, which it closes at the end.
func NewOn(t testing.TB, e engine.Engine) *Server {
	t.Helper()
	return newOn(t, e, netserver.Options{})
}

// NewImpatient is New with short times for what a client may keep waiting.
func NewImpatient(t testing.TB, handshake, stalled time.Duration) *Server {
	t.Helper()
	return newOn(t, mem.New(), netserver.Options{HandshakeTime: handshake, StalledTime: stalled})
}

func newOn(t testing.TB, e engine.Engine, o netserver.Options) *Server {
	t.Helper()
	st, err := store.Open(t.Context(), e, store.Options{Now: func() time.Time { return Now }, PurgeEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Accounts {
		if _, err := st.CreateAccount(t.Context(), name, hash()); err != nil {
			t.Fatal(err)
		}
	}
	certFile, keyFile, err := netserver.SelfSigned(t.TempDir(), []string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := netserver.LoadCertificates(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Log: slog.New(slog.DiscardHandler), Store: st, Dir: directory.New(st, "localhost"), Traces: t.TempDir()}
	s.Events = telemetry.New(s.Log)
	s.Auth = auth.New(s.Dir, auth.Options{Log: s.Log, Events: s.Events, Now: time.Now, NoDelay: true})
	o.Log, o.Events, o.Certificates, o.TraceDir = s.Log, s.Events, certs, s.Traces
	o.DozeTime = cmp.Or(o.DozeTime, time.Millisecond) // sessions sleep wherever they may
	s.Net = netserver.New(context.WithoutCancel(t.Context()), o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.Net.Shutdown(ctx)
		if n := s.Net.Panics(); n != s.Panics {
			t.Errorf("%d sessions ended by a panic, not %d", n, s.Panics)
		}
		st.Close()
		e.Close()
	})
	return s
}

// Listen serves on a loopback port and returns its address.
func (s *Server) Listen(t testing.TB, o netserver.ListenerOptions) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Net.Serve(ln, o)
	return ln.Addr().String()
}

// Figures returns what the events were counted to, a line for each series.
func (s *Server) Figures(t testing.TB) string {
	t.Helper()
	families, err := s.Events.Figures().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	enc := expfmt.NewEncoder(&b, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// Client is one connection.
type Client struct {
	net.Conn
	r        *bufio.Reader
	deflated *deflated // nil: nothing is compressed
}

// Dial connects.
func Dial(t testing.TB, addr string) *Client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &Client{Conn: nc, r: bufio.NewReaderSize(nc, 1<<16)}
}

var literalEnd = regexp.MustCompile(`\{(\d+)\}\r\n$`)

// Line reads one response line, with IMAP literals in it as they are. What
// goes wrong is part of the line, in angle brackets.
func (c *Client) Line() string {
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var b strings.Builder
	for {
		s, err := c.r.ReadString('\n')
		if err != nil {
			return b.String() + s + "<" + err.Error() + ">"
		}
		b.WriteString(strings.TrimSuffix(s, "\r\n"))
		m := literalEnd.FindStringSubmatch(s)
		if m == nil {
			return b.String() + c.endDeflated(s)
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		b.WriteString("\r\n")
		if _, err := io.CopyN(&b, c.r, n); err != nil {
			return b.String() + "<" + err.Error() + ">"
		}
	}
}

// StartTLS makes the connection a TLS one. The certificate is the test's own.
func (c *Client) StartTLS(t testing.TB) {
	t.Helper()
	tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.Conn, c.r = tc, bufio.NewReaderSize(tc, 1<<16)
}

// Send sends text as it is.
func (c *Client) Send(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// Transcripts plays the *.txt of testdata and of the directories in it, each
// on what start makes of its first line: a function that opens further
// connections.
func Transcripts(t *testing.T, start func(t *testing.T, first string) (dial func() *Client)) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	below, _ := filepath.Glob("testdata/*/*.txt")
	for _, file := range append(files, below...) {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(b), "\n")
			Play(t, lines, start(t, lines[0]))
		})
	}
}

var transcriptLine = regexp.MustCompile(`^([CSM])(\d?)([:~<>*]) ?(.*)$`)

// Play plays a transcript. A line is "C: text" for what the client sends,
// "S: text" for the very line that the server answers, "S~ regexp" for one
// like it, "S* regexp" for one like it behind any
// untagged ones, with a number behind the letter for further connections. "M:" lines
// after a command with {*} or {*+} are its IMAP literal. "S<" says that the
// server closes, "S>" that everything is compressed from there on. "\r\n" inside a text stands for a line end.
func Play(t *testing.T, lines []string, dial func() *Client) {
	clients := map[string]*Client{}
	for i := 0; i < len(lines); i++ {
		m := transcriptLine.FindStringSubmatch(lines[i])
		if m == nil {
			if lines[i] != "" && !strings.HasPrefix(lines[i], "#") {
				t.Fatalf("line %d is no line of a transcript: %q", i+1, lines[i])
			}
			continue
		}
		c := clients[m[2]]
		if c == nil {
			c = dial()
			clients[m[2]] = c
		}
		text := strings.ReplaceAll(m[4], `\r\n`, "\r\n")
		switch m[1] + m[3] {
		case "C:":
			i += send(t, c, text, lines[i+1:])
		case "S:":
			if got := c.Line(); got != text {
				t.Fatalf("line %d:\n got %q\nwant %q", i+1, got, text)
			}
		case "S~":
			if got := c.Line(); !regexp.MustCompile("^(?s:" + text + ")$").MatchString(got) {
				t.Fatalf("line %d:\n got %q\nwant %q", i+1, got, text)
			}
		case "S*":
			like := regexp.MustCompile("^(?s:" + text + ")$")
			for n := 0; ; n++ {
				if got := c.Line(); like.MatchString(got) {
					break
				} else if !strings.HasPrefix(got, "* ") || n == 1000 {
					t.Fatalf("line %d:\n got %q\nwant %q", i+1, got, text)
				}
			}
		case "S>":
			c.Compress(t)
		case "S<":
			if got := c.Line(); got != "<EOF>" && (c.deflated == nil || got != "<unexpected EOF>") {
				t.Fatalf("line %d: got %q instead of the end", i+1, got)
			}
		}
	}
}

// send sends a command with its literal, and returns how many lines that took.
func send(t *testing.T, c *Client, text string, rest []string) (used int) {
	before, plus, has := strings.Cut(text, "{*")
	if !has {
		c.Send(t, text+"\r\n")
		return 0
	}
	var literal strings.Builder
	for used < len(rest) && strings.HasPrefix(rest[used], "M:") {
		literal.WriteString(strings.TrimPrefix(strings.TrimPrefix(rest[used], "M:"), " ") + "\r\n")
		used++
	}
	c.Send(t, fmt.Sprintf("%s{%d%s\r\n", before, literal.Len(), plus))
	if plus == "}" {
		if got := c.Line(); got != "+ OK" {
			t.Fatalf("no continuation but %q", got)
		}
	}
	c.Send(t, literal.String()+"\r\n")
	return used
}

// Talk sends anything to a server and ends the sending side. The session must
// answer in whole lines and close; New's cleanup counts panics.
func Talk(t *testing.T, addr string, in []byte) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Skip(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		nc.Write(in)
		nc.(*net.TCPConn).CloseWrite()
	}()
	out, err := io.ReadAll(nc)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the session hung: %v", err)
	}
	if err == nil && len(out) > 0 && out[len(out)-1] != '\n' {
		t.Errorf("the last answer is no line: %q", out[max(0, len(out)-80):])
	}
}
