package lmtpserver

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// newDiskServer serves from the local engine on a memory file system.
func newDiskServer(t *testing.T, fsys vfs.FS) *testServer {
	t.Helper()
	e, err := local.Open(t.Context(), fsys, "store", local.Options{Now: time.Now, CompactEvery: -1, IndexFS: pebblevfs.NewMem(), IndexCache: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Server: servertest.NewOn(t, e)}
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "lmtp", Handler: New(s.Store, s.Dir, Options{Events: s.Events, Hostname: "mail.example"}).Handle})
	return s
}

func (s *testServer) hello(t *testing.T) *servertest.Client {
	c := s.dial(t)
	c.Send(t, "LHLO mta.example\r\n")
	for !strings.HasPrefix(c.Line(), "250 ") {
	}
	return c
}

// fullDisk has less room left than the engine keeps for expunging.
type fullDisk struct{ vfs.FS }

func (fullDisk) Free(string) (int64, error) { return 1 << 20, nil }

// TestDiskFull: the MTA keeps the message, and the session goes on.
func TestDiskFull(t *testing.T) {
	s := newDiskServer(t, fullDisk{vfs.NewMem()})
	c := s.hello(t)
	for range 2 {
		if got := deliver(t, c, "Subject: x\r\n\r\n", "ada@localhost", "bela@localhost"); !strings.HasPrefix(got, "452 4.3.1 <bela@localhost>") {
			t.Error(got)
		}
	}
	if n := len(s.messages(t, "ada@localhost", mail.Inbox)); n != 0 {
		t.Errorf("%d messages", n)
	}
}

// TestTime: who stays silent is told and sent away.
func TestTime(t *testing.T) {
	s := &testServer{Server: servertest.New(t)}
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "lmtp", Handler: New(s.Store, s.Dir, Options{Events: s.Events, Hostname: "mail.example", IdleTime: 50 * time.Millisecond}).Handle})
	if got := s.dial(t).Line(); got != "421 4.4.2 Silent for too long" {
		t.Error(got)
	}
}

// TestFailedSync: after the first sync that fails nothing is acknowledged any
// more, and what was acknowledged can be read.
func TestFailedSync(t *testing.T) {
	var broken atomic.Bool
	fsys := &vfs.Fault{FS: vfs.NewMem(), Fail: func(op vfs.Op, _ int64) error {
		if broken.Load() && (op == vfs.OpSync || op == vfs.OpSyncDir) {
			return errors.New("the disk is gone")
		}
		return nil
	}}
	s := newDiskServer(t, fsys)
	c := s.hello(t)
	if got := deliver(t, c, "Subject: kept\r\n\r\n", "ada@localhost"); !strings.HasPrefix(got, "250") {
		t.Fatal(got)
	}
	broken.Store(true)
	if got := deliver(t, c, "Subject: lost\r\n\r\n", "ada@localhost"); !strings.HasPrefix(got, "451 4.3.0") {
		t.Error(got)
	}
	broken.Store(false) // a later sync that succeeds proves nothing
	if got := deliver(t, c, "Subject: later\r\n\r\n", "bela@localhost"); !strings.HasPrefix(got, "451 4.3.0") {
		t.Error(got)
	}
	if got := s.messages(t, "ada@localhost", mail.Inbox); len(got) != 1 || !strings.Contains(got[0], "kept") {
		t.Errorf("%q", got)
	}
}

// TestStrained: when memory is short the MTA keeps the message.
func TestStrained(t *testing.T) {
	s := newDiskServer(t, vfs.NewMem())
	c := s.hello(t)
	s.Net.SetPressure(netserver.RefuseWork)
	c.Send(t, "MAIL FROM:<a@b.example>\r\n")
	if got := c.Line(); !strings.HasPrefix(got, "452 4.3.2 ") {
		t.Error(got)
	}
	s.Net.SetPressure(netserver.NoPressure)
	if got := deliver(t, c, "Subject: x\r\n\r\n", "ada@localhost"); !strings.HasPrefix(got, "250 ") {
		t.Error(got)
	}
}
