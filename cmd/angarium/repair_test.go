package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// damage changes octets of the log at a text, in whatever segment it is.
func damage(t *testing.T, data, text string) {
	t.Helper()
	segments, _ := filepath.Glob(filepath.Join(data, "store", "log", "*.seg"))
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			b[i] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%q is in no segment", text)
}

// TestRepair: a message that cannot be read, an expunged one, a lost identity,
// and what a second run finds.
func TestRepair(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret", "bob:secret"); err != nil {
		t.Fatal(err)
	}
	imapDo(t, s, "ada", "APPEND INBOX", "APPEND Archive", "APPEND Sent", "SELECT Sent", `STORE 1 +FLAGS (\Deleted)`, "EXPUNGE")
	imapDo(t, s, "bob", "APPEND Drafts")
	if out, code := command(t, "", "repair", "--data", s.Data, "--yes"); code != 0 || out != "0 repairs.\n" {
		t.Fatalf("a store that is whole: %q, code %d", out, code)
	}
	damage(t, s.Data, "in Archive")
	if out, code := command(t, "", "repair", "--data", s.Data, "--yes"); code != exitTemporary {
		t.Fatalf("while the server runs: %q, code %d", out, code)
	}
	s.Stop()
	damage(t, s.Data, "in Sent")
	if err := os.WriteFile(filepath.Join(s.Data, "store", "FORMAT"), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"FORMAT is damaged: it is made again", "the file moves to quarantine", `ada@localhost, mailbox "Archive", UID 1:`,
		"UID 1: the octets of an expunged message", "repairs."}
	before, _ := filepath.Glob(filepath.Join(s.Data, "store", "*", "*.seg"))
	out, code := command(t, "", "repair", "--data", s.Data)
	for _, w := range want {
		if code != exitFailed || !strings.Contains(out, w) || strings.Contains(out, "bob") {
			t.Fatalf("the plan: %s, code %d; want %q", out, code, w)
		}
	}
	if after, _ := filepath.Glob(filepath.Join(s.Data, "store", "*", "*.seg")); len(after) != len(before) {
		t.Fatalf("the plan changed files: %v", after)
	}
	if out, code := command(t, "", "repair", "--data", s.Data, "--yes"); code != 0 || !strings.Contains(out, want[2]) {
		t.Fatalf("%s, code %d", out, code)
	}
	for _, again := range []string{"repair", "check"} {
		if out, code := command(t, "", again, "--data", s.Data); code != 0 {
			t.Fatalf("%s after the repair: %s, code %d", again, out, code)
		}
	}
	if kept, _ := filepath.Glob(filepath.Join(s.Data, "store", "quarantine", "*.seg")); len(kept) != 1 {
		t.Fatalf("the quarantine holds %v", kept)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(imapDo(t, s, "ada", "SELECT INBOX", "FETCH 1 BODY[TEXT]", "SELECT Archive"), "\n"); !strings.Contains(got, "* 0 EXISTS") || !strings.Contains(got, "UIDNEXT 2") {
		t.Errorf("after the repair: %s", got)
	}
	imapDo(t, s, "bob", "SELECT Drafts", "FETCH 1 BODY[TEXT]")
	imapDo(t, s, "ada", "APPEND Archive")
}
