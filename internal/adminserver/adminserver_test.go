package adminserver

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

func newService(t *testing.T) *Service {
	t.Helper()
	e := mem.New()
	s, err := store.Open(t.Context(), e, store.Options{Now: time.Now, PurgeEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); e.Close() })
	return &Service{Store: s, Log: slog.New(slog.DiscardHandler), Domain: func() string { return "localhost" }}
}

func listen(t *testing.T, s *Service, uid int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := Serve(t.Context(), ln, s, uid, slog.New(slog.DiscardHandler))
	t.Cleanup(srv.Close)
	return path
}

// TestAllowed: root and the server's own user, and nobody else.
func TestAllowed(t *testing.T) {
	srv := &Server{uid: 1000}
	for uid, want := range map[int]bool{0: true, 1000: true, 1001: false, -1: false, 65534: false} {
		if got := srv.allowed(uid); got != want {
			t.Errorf("user %d: %v", uid, got)
		}
	}
}

// TestPeer: the kernel says who is at the other end.
func TestPeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if uid, err := peerUID(peer); err != nil || uid != os.Geteuid() {
		t.Errorf("user %d, %v", uid, err)
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := peerUID(a); err == nil {
		t.Error("a pipe has a user")
	}
}

// TestCall: requests over the socket, good ones and others.
func TestCall(t *testing.T) {
	s := newService(t)
	path := listen(t, s, os.Geteuid())
	call := func(command, args string) Response {
		t.Helper()
		r, err := Call(t.Context(), path, Request{Command: command, Args: json.RawMessage(args)}, func(string) {})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := call("user add", `{"name":"ada","password":"secret"}`); r.Error != nil || string(r.Result) != `{"name":"ada@localhost"}` {
		t.Errorf("%+v", r)
	}
	for command, kind := range map[string]errs.Kind{"user nothing": errs.Invalid, "user add": errs.Exists, "reload": errs.Temporary} {
		if r := call(command, `{"name":"ada","password":"secret"}`); r.Error == nil || r.Error.Kind != kind || r.Error.Text == "" {
			t.Errorf("%s: %+v", command, r.Error)
		}
	}
	if r := call("user show", `[]`); r.Error == nil || r.Error.Kind != errs.Invalid {
		t.Errorf("%+v", r.Error)
	}
	s.Reload = func() error { return errors.New("line 3 is wrong") }
	if r := call("reload", `{}`); r.Error == nil || !strings.Contains(r.Error.Text, "line 3 is wrong") {
		t.Errorf("%+v", r.Error)
	}
	for _, garbage := range []string{"\n", "{\n", strings.Repeat("x", 100_000) + "\n"} {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, garbage)
		line, err := bufio.NewReader(nc).ReadString('\n')
		if err != nil || !strings.Contains(line, "the request cannot be read") {
			t.Errorf("%.10q: %q, %v", garbage, line, err)
		}
		nc.Close()
	}
}

// TestImport: all or none, and plain passwords are never stored.
func TestImport(t *testing.T) {
	s := newService(t)
	r, err := s.UserImport(t.Context(), UserImport{Lines: []string{"a:secret", "b:{PLAIN}secret", "", "# no", "c@x.example:{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$4VU/wDdQP1E"}})
	if err != nil || len(r.Added) != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	for info := range s.Store.AccountInfos(t.Context()) {
		if !strings.Contains(info.Password, "$argon2id$") || strings.Contains(info.Password, "secret") {
			t.Errorf("%s is stored as %q", info.Name, info.Password)
		}
	}
	if _, err := s.UserImport(t.Context(), UserImport{Lines: []string{"d:x", "nonsense"}}); err == nil {
		t.Error("nonsense was imported")
	}
	if _, err := s.Store.AccountInfo(t.Context(), "d@localhost"); !errs.Is(err, errs.NotFound) {
		t.Errorf("a part was imported: %v", err)
	}
}

// TestPanic: a command that panics says so, and the server goes on.
func TestPanic(t *testing.T) {
	path := listen(t, &Service{}, os.Getuid()) // without a store
	for range 2 {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if err := json.NewEncoder(nc).Encode(Request{Command: "user list", Args: json.RawMessage("{}")}); err != nil {
			t.Fatal(err)
		}
		var response Response
		if err := json.NewDecoder(nc).Decode(&response); err != nil || response.Error == nil || !strings.Contains(response.Error.Text, "panic: ") {
			t.Errorf("%+v, %v", response, err)
		}
	}
}
