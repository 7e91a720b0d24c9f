package main

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/delivery"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
)

// TestWarmFiles: what a session was sent, and how its mailbox was sorted, is in files
// between two runs of the server, and in its memory meanwhile, also where nobody came.
func TestWarmFiles(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada@localhost:secret"); err != nil {
		t.Fatal(err)
	}
	files := []string{filepath.Join(s.Data, "warm", "forms"), filepath.Join(s.Data, "warm", "search")}
	imapDo(t, s, "ada", "APPEND INBOX", "SELECT INBOX", "FETCH 1:* ENVELOPE", "SORT (SUBJECT) UTF-8 ALL")
	for range 2 {
		if code, err := s.Stop(); code != 0 || err != nil {
			t.Fatal(code, err)
		}
		for _, name := range files {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() < 60 || info.Mode().Perm() != 0o600 { // more than its first block
				t.Errorf("%s has %d octets, mode %v", name, info.Size(), info.Mode())
			}
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			harness.Await(t, name+" to go", func() bool {
				_, err := os.Stat(name)
				return os.IsNotExist(err)
			})
		}
	}
}

// TestFormsAhead: what clients ask for of new mail is there before they do.
func TestFormsAhead(t *testing.T) {
	t.Parallel()
	c := config.Defaults()
	c.Data = t.TempDir()
	s, err := openStore(t.Context(), c, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	info, err := s.CreateAccount(t.Context(), "ada@localhost", "")
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	io.WriteString(st, "Subject: new\r\n\r\ntext")
	staged, err := st.Seal()
	if err == nil {
		err = delivery.Deliver(t.Context(), s.Store, info.ID, "", staged)
	}
	if err != nil {
		t.Fatal(err)
	}
	m := inboxOf(t, s.Store, info.ID).At(0)
	harness.Await(t, "the envelope", func() bool {
		k, _ := s.Known(m)
		return strings.HasPrefix(string(k.Form(0)), `ENVELOPE (NIL "new"`)
	})
}

// inboxOf are the messages of an account's INBOX.
func inboxOf(t *testing.T, s *store.Store, id store.AccountID) *store.MessageList {
	t.Helper()
	a, err := s.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	v, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	box, err := v.Mailbox("INBOX")
	if err != nil {
		t.Fatal(err)
	}
	l, err := v.Messages(t.Context(), box.ID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
