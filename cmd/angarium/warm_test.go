package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/config"
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
	m := appendTo(t, s.Store, info.ID, "Subject: new\r\n\r\ntext")
	harness.Await(t, "the envelope", func() bool {
		k, _ := s.Known(m)
		return strings.HasPrefix(string(k.Form(0)), `ENVELOPE (NIL "new"`)
	})
}

// appendTo appends to an account's INBOX.
func appendTo(t *testing.T, s *store.Store, id store.AccountID, text string) *store.Message {
	t.Helper()
	st, err := s.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	st.Write([]byte(text))
	staged, err := st.Seal()
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var box store.MailboxID
	_, err = a.Update(t.Context(), func(tx *store.Tx) error {
		inbox, err := tx.Snapshot().Mailbox("INBOX")
		if err != nil {
			return err
		}
		box = inbox.ID
		_, err = tx.Append(box, staged, store.AppendOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, l, err := a.Messages(t.Context(), box)
	if err != nil {
		t.Fatal(err)
	}
	return l.At(0)
}
