package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/test/harness"
)

// imapDo runs IMAP commands as a user, each of which must be OK.
func imapDo(t *testing.T, s *harness.Server, user string, commands ...string) (last []string) {
	t.Helper()
	c, err := harness.DialIMAP(s.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(user, "secret"); err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		if mailbox, ok := strings.CutPrefix(command, "APPEND "); ok {
			_, err = c.Append(mailbox, `\Seen`, "From: Ada <ada@x.example>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nin "+mailbox+"\r\n")
		} else {
			last, err = c.Do(command)
		}
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
	}
	return last
}

func TestUndeleteCommands(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret", "bob:secret"); err != nil {
		t.Fatal(err)
	}
	do := func(want string, code int, args string) {
		t.Helper()
		out, got := command(t, "", append(strings.Fields(args), "--data", s.Data)...)
		if !strings.Contains(out, want) || got != code {
			t.Errorf("%s: %q, code %d; want %q, %d", args, out, got, want, code)
		}
	}
	imapDo(t, s, "ada", "APPEND INBOX", "APPEND INBOX", "CREATE Projects/one", "APPEND Projects/one",
		"SELECT INBOX", `STORE 1 +FLAGS (\Deleted)`, "EXPUNGE", "DELETE Projects/one", "DELETE Projects")
	do("UID 1", 0, "undelete list ada")
	do("from ada@x.example: Grüße", 0, "undelete list ada")
	do("mailbox Projects/one\n", 0, "undelete list ada")
	do("2 messages", 0, "undelete list ada")
	do("0 messages", 0, "undelete list ada --until 2001-02-03")
	do("is no time", exitUsage, "undelete list ada --since yesterday")
	do("UIDs need a mailbox", exitFailed, "undelete restore ada --uid 1")
	do("Restored 1 messages", 0, "undelete restore ada --mailbox Projects")
	do("Made mailbox Back.\nRestored 1 messages", 0, "undelete restore ada --into Back")
	do("Restored 0 messages", 0, "undelete restore ada")
	if got := strings.Join(imapDo(t, s, "ada", "SELECT Back", "FETCH 1 (FLAGS BODY[TEXT])"), "\n"); !strings.Contains(got, `\Seen`) || !strings.Contains(got, "in INBOX") {
		t.Errorf("the restored message: %s", got)
	}
	imapDo(t, s, "ada", "SELECT Projects/one")

	do("Say --yes", exitRefused, "user delete ada")
	do("Deleted", 0, "user delete ada --yes")
	do("account ada@localhost\n1 deleted accounts", 0, "undelete list")
	do("Restored old@localhost with 3 messages", 0, "undelete account ada --as old")
	do("no deleted account of this name", exitFailed, "undelete account ada")
	imapDo(t, s, "old", "SELECT INBOX")

	imapDo(t, s, "old", "SELECT INBOX", `STORE 1 +FLAGS (\Deleted)`, "EXPUNGE")
	do("say --yes", exitRefused, "erase old")
	do("Erased 1 messages", 0, "erase old --dry-run")
	do("Erased 1 messages", 0, "erase old --yes")
	if log := s.Log(); !strings.Contains(log, "msg=erased account=old") {
		t.Errorf("an erasure is not in the log: %s", log)
	}
	do("0 messages", 0, "undelete list old")
	do("is kept: 2h", 0, "user retention old 2h")
	do("is no time span", exitUsage, "user retention old soon")
	do("Deleted", 0, "user delete bob")
	do("Erased the deleted account bob", 0, "erase bob --account --yes")
	do("0 deleted accounts", 0, "undelete list")
	do("0 findings", 0, "check")
}

// TestCheckCommand: the same findings while the server runs and while it does
// not, naming account, mailbox and UID.
func TestCheckCommand(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret"); err != nil {
		t.Fatal(err)
	}
	imapDo(t, s, "ada", "APPEND INBOX", "APPEND Archive", "APPEND INBOX")
	if out, code := command(t, "", "check", "--data", s.Data); code != 0 || !strings.Contains(out, "1 accounts") {
		t.Fatalf("%q, code %d", out, code)
	}
	segments, err := filepath.Glob(filepath.Join(s.Data, "store", "log", "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "in Archive")
	f, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("X"), int64(at)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for range 2 {
		out, code := command(t, "", "check", "--data", s.Data, "--json")
		var r adminserver.Checked
		line, _, _ := strings.Cut(out, "\n")
		if err := json.Unmarshal([]byte(line), &r); err != nil || code != 1 || r.Count != 1 || r.Findings[0].Account != "ada@localhost" || r.Findings[0].Mailbox != "Archive" || r.Findings[0].UID != 1 {
			t.Fatalf("%s, code %d, %v", out, code, err)
		}
		s.Stop() // and once more without the server
	}
	if out, code := command(t, "", "check", "--account", "nobody", "--data", s.Data); code != 2 {
		t.Fatalf("%q, code %d", out, code)
	}
}

func TestParseWhen(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.Local)
	for in, want := range map[string]time.Time{"": {}, "2h": now.Add(-2 * time.Hour), "3d": now.AddDate(0, 0, -3), "2026-11-23": time.Date(2026, 11, 23, 0, 0, 0, 0, time.Local),
		"2026-11-23T01:02:03Z": time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)} {
		if got, err := parseWhen(in, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"yesterday", "-1h", "-3d", "3", "2026-13-01"} {
		if got, err := parseWhen(in, now); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}
