package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// answers is what clients of two accounts are told of all they have.
func answers(t *testing.T, dump func() string, do func(user string, commands ...string) []string) string {
	t.Helper()
	all := []string{dump()} // with mod-sequences
	for _, user := range []string{"ada", "bob"} {
		for _, commands := range [][]string{{`LIST "" "*"`}, {`LSUB "" "*"`}, {"EXAMINE INBOX"}, {"EXAMINE P/q"},
			{"EXAMINE INBOX", "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"},
			{"EXAMINE P/q", "UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"}} {
			all = append(all, do(user, commands...)...)
		}
	}
	return strings.Join(all, "\n")
}

// TestIndexIsDisposable: without its index, the store answers as before.
func TestIndexIsDisposable(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret", "bob:secret"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ada", "bob"} {
		imapDo(t, s, user, "APPEND INBOX", "APPEND INBOX", "APPEND INBOX", "CREATE P/q", "APPEND P/q", "SUBSCRIBE P/q", "UNSUBSCRIBE Junk", "RENAME Archive Old",
			"SELECT INBOX", `STORE 1,3 +FLAGS (\Flagged $Label1)`, `STORE 2 +FLAGS (\Deleted)`, "EXPUNGE", "COPY 1 P/q", "NOOP", "MOVE 2 Sent")
	}
	dump := func() string {
		t.Helper()
		out, code := command(t, "", "store", "dump", "--data", s.Data)
		if code != 0 {
			t.Fatal(out)
		}
		return out
	}
	do := func(user string, commands ...string) []string { return imapDo(t, s, user, commands...) }
	before := answers(t, dump, do)
	for name, prepare := range map[string]func(){
		"deleted": func() { os.RemoveAll(filepath.Join(s.Data, "store", "index")) },
		"damaged": func() {
			files, _ := filepath.Glob(filepath.Join(s.Data, "store", "index", "*"))
			for _, name := range files {
				os.WriteFile(name, []byte("rubbish"), 0o600)
			}
		},
		"kept": func() {},
	} {
		s.Kill()
		prepare()
		if err := s.Start(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if after := answers(t, dump, do); after != before {
			t.Fatalf("with the index %s:\n%s\nbefore:\n%s", name, after, before)
		}
	}
}

// TestSegmentLost: everything but what a lost segment held is served, and the
// report names it.
func TestSegmentLost(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret", "bob:secret"); err != nil {
		t.Fatal(err)
	}
	imapDo(t, s, "ada", "APPEND INBOX", "APPEND Archive")
	s.Stop()
	if err := s.Start(); err != nil { // which goes on in a new segment
		t.Fatal(err)
	}
	imapDo(t, s, "ada", "APPEND Archive")
	imapDo(t, s, "bob", "APPEND INBOX")
	s.Stop()
	segments, _ := filepath.Glob(filepath.Join(s.Data, "store", "log", "*.seg"))
	last := segments[len(segments)-1]
	if err := os.Rename(last, filepath.Join(t.TempDir(), "lost")); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(imapDo(t, s, "ada", "SELECT Archive", "FETCH 1 BODY[TEXT]"), "\n"); !strings.Contains(got, "in Archive") {
		t.Errorf("%s", got)
	}
	out, code := command(t, "", "check", "--data", s.Data)
	for _, want := range []string{`ada@localhost, mailbox "Archive", UID 2: `, `bob@localhost, mailbox "INBOX", UID 1: `, "2 findings"} {
		if code != exitFailed || !strings.Contains(out, want) {
			t.Errorf("check: %s, code %d; want %q", out, code, want)
		}
	}
}
