package main

import (
	"os"
	"path/filepath"
	"testing"

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
