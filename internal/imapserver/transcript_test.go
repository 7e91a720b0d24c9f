package imapserver

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// testServer is a real server on loopback.
type testServer struct {
	*servertest.Server
	imap *Server
	addr string
}

// newTestServer serves from the memory engine.
func newTestServer(t testing.TB, o Options) *testServer {
	t.Helper()
	return serve(t, servertest.New(t), o)
}

// newLocalServer serves from the local engine, on a file system in memory.
func newLocalServer(t testing.TB, o Options) *testServer {
	t.Helper()
	e, err := local.Open(t.Context(), vfs.NewMem(), "store", local.Options{Now: time.Now, CompactEvery: -1, IndexFS: pebblevfs.NewMem(), IndexCache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, servertest.NewOn(t, e), o)
}

func serve(t testing.TB, on *servertest.Server, o Options) *testServer {
	t.Helper()
	s := &testServer{Server: on}
	o.Log, o.Events = s.Log, cmp.Or(o.Events, s.Events)
	s.imap = New(s.Store, s.Auth, o)
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "imap", Refuse: Refuse, ALPN: []string{ALPN}, Handler: s.imap.On("imap")})
	return s
}

func (s *testServer) dial(t testing.TB) *servertest.Client {
	t.Helper()
	return servertest.Dial(t, s.addr)
}

// TestTranscripts plays testdata/*.txt: one file for a subject of the RFCs,
// and in clients one for a mail program that people use, in the commands that
// it sends. Connections are greeted and, with "login" in the first line,
// logged in as ada, with "optional" on a server that offers what is Optional,
// with "limit=N" and "save=N" on one with these limits (RFC 9738), with
// "quota=OCTETS,MESSAGES" on one where accounts may hold so much, with "anyone" on
// one where users may share with anyone.
func TestTranscripts(t *testing.T) { playTranscripts(t, newTestServer, nothing) }

// TestTranscriptsLocal plays them on the engine that is used.
func TestTranscriptsLocal(t *testing.T) { playTranscripts(t, newLocalServer, nothing) }

// TestTranscriptsCompressed plays them inside COMPRESS=DEFLATE (RFC 4978).
func TestTranscriptsCompressed(t *testing.T) { playTranscripts(t, newTestServer, compress) }

// pushTopic is the topic of servers with pushes to Apple's devices.
func pushTopic() string { return "com.apple.mail.XServer.test" }

func nothing(testing.TB, *servertest.Client) {}

func compress(t testing.TB, c *servertest.Client) {
	c.Send(t, "l COMPRESS DEFLATE\r\n")
	if got := c.Line(); got != "l OK DEFLATE active" {
		t.Fatal(got)
	}
	c.Compress(t)
}

// playTranscripts plays them on servers of its own, after that is done to each
// connection which is logged in.
func playTranscripts(t *testing.T, start func(testing.TB, Options) *testServer, loggedIn func(testing.TB, *servertest.Client)) {
	servertest.Transcripts(t, func(t *testing.T, first string) func() *servertest.Client {
		var o Options
		if strings.Contains(first, "optional") {
			o.Offer, o.ApplePush = Optional, pushTopic
		}
		if m := regexp.MustCompile(`(limit|save)=(\d+)`).FindStringSubmatch(first); m != nil {
			n, _ := strconv.Atoi(m[2])
			if m[1] == "limit" {
				o.MessageLimit = n
			} else {
				o.SaveLimit = n
			}
		}
		o.ShareWithAnyone = strings.Contains(first, "anyone")
		s := start(t, o)
		if m := regexp.MustCompile(`quota=(\d+),(\d+)`).FindStringSubmatch(first); m != nil {
			octets, _ := strconv.ParseInt(m[1], 10, 64)
			messages, _ := strconv.ParseInt(m[2], 10, 64)
			var q store.Quota
			q.Set(store.Storage, octets)
			q.Set(store.MessageCount, messages)
			s.Store.SetDefaultQuota(q)
		}
		return func() *servertest.Client {
			c := s.dial(t)
			if got := c.Line(); !strings.HasPrefix(got, "* OK [CAPABILITY ") {
				t.Fatalf("greeting: %q", got)
			}
			if strings.Contains(first, "login") {
				c.Send(t, "l LOGIN ada secret\r\n")
				if got := c.Line(); !strings.HasPrefix(got, "l OK [CAPABILITY ") {
					t.Fatalf("login: %q", got)
				}
				loggedIn(t, c)
			}
			return c
		}
	})
}
