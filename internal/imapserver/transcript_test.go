package imapserver

import (
	"bufio"
	"context"
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
	"testing"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
)

// testServer is a real server on loopback over the memory engine.
type testServer struct {
	addr  string
	store *store.Store
	imap  *Server
	net   *netserver.Server
}

var testHash = sync.OnceValue(func() string {
	h, err := auth.Hash("secret")
	if err != nil {
		panic(err)
	}
	return h
})

var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newTestServer(t testing.TB, o Options) *testServer {
	t.Helper()
	ctx := t.Context()
	e := mem.New()
	st, err := store.Open(ctx, e, store.Options{Now: func() time.Time { return testNow }, PurgeEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ada@localhost", "bela@localhost"} {
		if _, err := st.CreateAccount(ctx, name, testHash()); err != nil {
			t.Fatal(err)
		}
	}
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	a := auth.New(directory.New(st, "localhost"), auth.Options{Log: o.Log, Now: time.Now, NoDelay: true})
	s := &testServer{store: st, imap: New(st, a, o), net: netserver.New(context.WithoutCancel(ctx), netserver.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	s.net.Serve(ln, netserver.ListenerOptions{Protocol: "imap", Refuse: Refuse, Handler: s.imap.Handle})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		s.net.Shutdown(ctx)
		if n := s.net.Panics(); n > 0 {
			t.Errorf("%d sessions ended by a panic", n)
		}
		st.Close()
		e.Close()
	})
	return s
}

// testClient is one connection.
type testClient struct {
	nc net.Conn
	r  *bufio.Reader
}

func (s *testServer) dial(t testing.TB) *testClient {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &testClient{nc, bufio.NewReaderSize(nc, 1<<16)}
}

// line reads one response line, with literals in it as they are.
func (c *testClient) line(t testing.TB) string {
	t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(20 * time.Second))
	var b strings.Builder
	for {
		s, err := c.r.ReadString('\n')
		if err != nil {
			return b.String() + s + "<" + err.Error() + ">"
		}
		b.WriteString(strings.TrimSuffix(s, "\r\n"))
		m := regexp.MustCompile(`\{(\d+)\}\r\n$`).FindStringSubmatch(s)
		if m == nil {
			return b.String()
		}
		n, _ := strconv.Atoi(m[1])
		b.WriteString("\r\n")
		if _, err := io.CopyN(&b, c.r, int64(n)); err != nil {
			return b.String() + "<" + err.Error() + ">"
		}
	}
}

func (c *testClient) send(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(c.nc, text); err != nil {
		t.Fatal(err)
	}
}

// TestTranscripts plays testdata/*.txt. A line is "C: text" for what the client
// sends, "S: text" for the very line that the server answers, "S~ regexp" for
// one like it, with a number behind the letter for further connections. "M:"
// lines after a command with {*} or {*+} are its literal. "S<" says that the
// server closes. Before a transcript all connections are greeted, and those
// marked with "login" in its first line are logged in as ada.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, string(b))
		})
	}
}

var transcriptLine = regexp.MustCompile(`^([CSM])(\d?)([:~<]) ?(.*)$`)

func play(t *testing.T, script string) {
	s := newTestServer(t, Options{})
	lines := strings.Split(script, "\n")
	login := strings.Contains(lines[0], "login")
	clients := map[string]*testClient{}
	client := func(n string) *testClient {
		c := clients[n]
		if c == nil {
			c = s.dial(t)
			clients[n] = c
			if got := c.line(t); !strings.HasPrefix(got, "* OK [CAPABILITY ") {
				t.Fatalf("greeting: %q", got)
			}
			if login {
				c.send(t, "l LOGIN ada secret\r\n")
				if got := c.line(t); !strings.HasPrefix(got, "l OK [CAPABILITY ") {
					t.Fatalf("login: %q", got)
				}
			}
		}
		return c
	}
	for i := 0; i < len(lines); i++ {
		m := transcriptLine.FindStringSubmatch(lines[i])
		if m == nil {
			if lines[i] != "" && !strings.HasPrefix(lines[i], "#") {
				t.Fatalf("line %d is no line of a transcript: %q", i+1, lines[i])
			}
			continue
		}
		c := client(m[2])
		text := strings.ReplaceAll(m[4], `\r\n`, "\r\n")
		switch m[1] + m[3] {
		case "C:":
			var literal strings.Builder
			for ; i+1 < len(lines) && strings.HasPrefix(lines[i+1], "M:"); i++ {
				literal.WriteString(strings.TrimPrefix(strings.TrimPrefix(lines[i+1], "M:"), " ") + "\r\n")
			}
			before, plus, has := strings.Cut(text, "{*")
			if !has {
				c.send(t, text+"\r\n")
				continue
			}
			c.send(t, fmt.Sprintf("%s{%d%s\r\n", before, literal.Len(), plus))
			if plus == "}" {
				if got := c.line(t); got != "+ OK" {
					t.Fatalf("line %d: no continuation but %q", i+1, got)
				}
			}
			c.send(t, literal.String()+"\r\n")
		case "S:":
			if got := c.line(t); got != text {
				t.Fatalf("line %d:\n got %q\nwant %q", i+1, got, text)
			}
		case "S~":
			if got := c.line(t); !regexp.MustCompile("^(?s:" + text + ")$").MatchString(got) {
				t.Fatalf("line %d:\n got %q\nwant %q", i+1, got, text)
			}
		case "S<":
			if got := c.line(t); got != "<EOF>" {
				t.Fatalf("line %d: got %q instead of the end", i+1, got)
			}
		}
	}
}
