package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

func TestBackupCommands(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret", "bob:secret"); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	do := func(want string, code int, args string) string {
		t.Helper()
		args = strings.NewReplacer("BACKUP", tmp+"/backup", "RESTORED", tmp+"/restored", "DATA", "--data "+s.Data).Replace(args)
		out, got := command(t, "", strings.Fields(args)...)
		if !strings.Contains(out, want) || got != code {
			t.Errorf("%s: %q, code %d; want %q, %d", args, out, got, want, code)
		}
		return out
	}
	imapDo(t, s, "ada", "APPEND INBOX", "APPEND INBOX", "CREATE P/q", "APPEND P/q", "SUBSCRIBE P/q")
	do("Backup of ", 0, "backup create BACKUP DATA")
	do("0 findings", 0, "backup verify BACKUP")
	time.Sleep(1100 * time.Millisecond) // the log knows seconds
	between := time.Now().UTC().Format(time.RFC3339)
	time.Sleep(1100 * time.Millisecond)
	imapDo(t, s, "ada", "SELECT INBOX", `STORE 1:* +FLAGS (\Deleted)`, "EXPUNGE", "DELETE P/q", "APPEND Sent")
	do("Deleted", 0, "user delete bob DATA")
	do("Backup of ", 0, "backup create BACKUP DATA")
	do("2 backups", 0, "backup list BACKUP")
	do("0 findings", 0, "backup verify BACKUP")
	do("0 findings", 0, "backup verify BACKUP --at "+between)

	do("Restored 0 messages with 0 octets to ada@localhost; 1 were there already.", 0, "restore account BACKUP ada DATA")
	do("Otherwise: Made mailbox P/q.\nRestored 3 messages", 0, "restore account BACKUP ada DATA --dry-run --at "+between)
	do("Made mailbox Back.\nRestored 1 messages", 0, "restore account BACKUP ada DATA --mailbox P --into Back --at "+between)
	do("Restored 3 messages", 0, "restore account BACKUP ada DATA --at "+between)
	do("Restored 0 messages with 0 octets to ada@localhost; 3 were there already", 0, "restore account BACKUP ada DATA --at "+between)
	do("Made account bob@localhost.\nRestored 0 messages", 0, "restore account BACKUP bob DATA --at "+between)
	do("holds no account", exitFailed, "restore account BACKUP nobody DATA")
	do("no store", exitFailed, "restore account /nonexistent ada DATA")
	imapDo(t, s, "bob", "SELECT INBOX")
	if got := strings.Join(imapDo(t, s, "ada", "SELECT INBOX", "FETCH 1:* (UID FLAGS)"), "\n"); !strings.Contains(got, `UID 3 FLAGS (\Seen`) {
		t.Errorf("restored INBOX: %s", got)
	}

	do("Start the server with --data", 0, "restore store BACKUP --to RESTORED --at "+between)
	do("exists; nothing was restored", exitRefused, "restore store BACKUP --to RESTORED")
	r, err := harness.New(theBinary(t), filepath.Join(tmp, "restored"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	if got := strings.Join(imapDo(t, r, "ada", "SELECT INBOX"), "\n"); !strings.Contains(got, "2 EXISTS") {
		t.Errorf("the restored store: %s", got)
	}
	imapDo(t, r, "bob", "SELECT INBOX")
	if out, code := command(t, "", "check", "--data", r.Data); code != 0 {
		t.Errorf("%q", out)
	}

	// A backup with one damaged message still restores the rest.
	segments, _ := filepath.Glob(filepath.Join(tmp, "backup", "log", "*.seg"))
	b, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	b[strings.Index(string(b), "in P/q")] ^= 1
	if err := os.WriteFile(segments[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	do(`ada@localhost, mailbox "P/q", expunged UID 1:`, exitFailed, "backup verify BACKUP")
	do("Damaged in the backup, not restored: mailbox \"P/q\", UID 1", 0, "restore account BACKUP ada --as carl DATA --at "+between)
	do("Made mailbox P/q.", 0, "restore account BACKUP ada --as dora DATA --at "+between)
	do("2 messages", 0, "user show dora DATA")
	do("say how long", exitUsage, "backup prune BACKUP")
	do("Otherwise: Deleted 1 backups", 0, "backup prune BACKUP --keep 0h --dry-run")
	do("Deleted 1 backups", 0, "backup prune BACKUP --keep 0h")
	do("1 backups", 0, "backup list BACKUP")
}

func TestStoreCommands(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret", "../bob:secret"); err != nil {
		t.Fatal(err)
	}
	imapDo(t, s, "ada", "APPEND INBOX", "CREATE P.x/&AOQ-", "APPEND P.x/&AOQ-", "SELECT INBOX", `STORE 1 FLAGS (\Flagged $Label1)`,
		`STORE 1 ANNOTATION (/comment (value.priv "mine" value.shared "\\"))`, `SETMETADATA INBOX (/private/comment "ours")`, "APPEND INBOX",
		"STORE 2 +FLAGS (\\Deleted)", "EXPUNGE")
	if out, code := command(t, "", "store", "stat", "--data", s.Data); code != 0 || !strings.HasPrefix(out, "accounts 2\ndeleted accounts 0\nmessages 2\n") {
		t.Errorf("%q, code %d", out, code)
	}
	s.Stop()
	dump := func(args ...string) string {
		t.Helper()
		out, code := command(t, "", append([]string{"store", "dump"}, args...)...)
		if code != 0 || strings.Count(out, `"sha256"`) != 3 || !strings.Contains(out, `"expunged"`) || !strings.Contains(out, `"mailbox":"P.x/ä"`) {
			t.Fatalf("%s, code %d", out, code)
		}
		return out
	}
	before := dump("--data", s.Data)

	// From what does not start: no FORMAT, no index.
	if err := os.Remove(filepath.Join(s.Data, "store", "FORMAT")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.Data, "store", "index")); err != nil {
		t.Fatal(err)
	}
	if out, code := command(t, "", "check", "--data", s.Data); code != 2 || !strings.Contains(out, "angarium repair") {
		t.Errorf("%q, code %d", out, code)
	}
	if after := dump("--files", filepath.Join(s.Data, "store")); after != before {
		t.Errorf("the dump differs:\n%s\n%s", before, after)
	}
	for _, format := range []string{"maildir", "mbox"} {
		out := filepath.Join(t.TempDir(), "out")
		text, code := command(t, "", "store", "export", out, "--format", format, "--data", s.Data)
		if code != 0 || !strings.HasPrefix(text, "Wrote 2 messages of 2 accounts") {
			t.Errorf("%s: %q, code %d", format, text, code)
		}
		if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) != 1 {
			t.Errorf("%s: written beside: %v, %v", format, entries, err)
		}
		readExport(t, format, filepath.Join(out, "ada@localhost"))
		lines, err := os.ReadFile(filepath.Join(out, "ada@localhost", "angarium.jsonl"))
		for _, want := range []string{`"annotations":[{"entry":"/comment","private":"bWluZQ==","shared":"XA=="}]`, `"metadata":[{"entry":"/private/comment","value":"b3Vycw=="}]`} {
			name, _, _ := strings.Cut(want, ":")
			if err != nil || strings.Count(string(lines), name) != 1 || !strings.Contains(string(lines), want) {
				t.Errorf("%s: %s, %v; want %s once", format, lines, err, want)
			}
		}
	}
}

// foreign finds another program, which CI has.
func foreign(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil && os.Getenv("ANGARIUM_TEST_REQUIRE") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(program + " is not installed")
	}
	return path
}

// readExport has another program's library read an export.
func readExport(t *testing.T, format, dir string) {
	t.Helper()
	script := map[string]string{
		"maildir": `
import mailbox
box = mailbox.Maildir(D, create=False)
m = [box[k] for k in box.keys()]
print(len(m), m[0].get_flags(), m[0]["From"], sorted(box.list_folders()))
m = list(box.get_folder("P&AC4-x.&AOQ-"))
print(len(m), m[0].get_flags(), m[0].get_payload().strip())
print(open(D + "/dovecot-uidlist").read().split(" ", 2)[2].split("\n")[0][:1], open(D + "/dovecot-keywords").read().strip())`,
		"mbox": `
import mailbox
m = list(mailbox.mbox(D + "/INBOX.mbox", create=False))
print(len(m), m[0].get_flags(), m[0]["From"], m[0]["X-UID"], m[0]["X-Keywords"])
m = list(mailbox.mbox(D + "/P&AC4-x/&AOQ-.mbox", create=False))
print(len(m), m[0].get_flags(), m[0].get_payload().strip())`,
	}[format]
	want := map[string]string{
		"maildir": "1 Fa Ada <ada@x.example> ['Archive', 'Drafts', 'Junk', 'P&AC4-x', 'P&AC4-x.&AOQ-', 'Sent', 'Trash']\n1 S in P.x/&AOQ-\nN 0 $Label1\n",
		"mbox":    "1 OF Ada <ada@x.example> 1 $Label1\n1 RO in P.x/&AOQ-\n",
	}[format]
	out, err := exec.Command(foreign(t, "python3"), "-c", fmt.Sprintf("D = %q\n%s", dir, script)).CombinedOutput()
	if err != nil || string(out) != want {
		t.Errorf("%s: %s, %v; want %s", format, out, err, want)
	}
}

// TestRecoverScript runs the script of the handbook, made from format.md alone,
// on a store without an index, with a moved, a large and a damaged message.
func TestRecoverScript(t *testing.T) {
	python := foreign(t, "python3")
	foreign(t, "zstd")
	script, err := filepath.Abs("../../docs/recover.py")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(script)
	if err != nil || strings.Count(string(text), "\n") > 66 {
		t.Fatalf("the script has %d lines, %v", strings.Count(string(text), "\n"), err)
	}
	s := startServer(t)
	if err := s.Import("ada:secret", "bob:secret"); err != nil {
		t.Fatal(err)
	}
	imapDo(t, s, "bob", "APPEND INBOX")
	imapDo(t, s, "ada", "CREATE P/q", "APPEND P/q", "APPEND INBOX", "SELECT INBOX", `STORE 1 +FLAGS (\Deleted)`, "EXPUNGE", "CREATE P/r", "DELETE P/r")
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789abcdef\r\n", 100_000) + strings.Repeat(strings.Repeat("base64++", 8)+"\r\n", 3000)
	c, err := harness.DialIMAP(s.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ada", "secret"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append("Archive", "", large); err != nil {
		t.Fatal(err)
	}
	// An erasure moves everything, compressed, and writes a checkpoint.
	if out, code := command(t, "", "erase", "ada", "--yes", "--data", s.Data); code != 0 {
		t.Fatal(out)
	}
	imapDo(t, s, "ada", "APPEND Sent", "APPEND Sent")
	s.Stop()
	recovered := func() (string, map[string]string) {
		t.Helper()
		out := filepath.Join(t.TempDir(), "out")
		b, err := exec.Command(python, script, filepath.Join(s.Data, "store"), out).CombinedOutput()
		if err != nil {
			t.Fatalf("%s, %v", b, err)
		}
		files := map[string]string{}
		names, _ := filepath.Glob(filepath.Join(out, "*", "*", "*"))
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel, _ := filepath.Rel(out, name)
			files[rel] = string(b)
		}
		return string(b), files
	}
	out, files := recovered()
	if out != "5 messages recovered, 0 damaged\n" || len(files) != 5 || files["ada%40localhost/Archive/1.eml"] != large ||
		!strings.HasSuffix(files["ada%40localhost/P%2Fq/1.eml"], "in P/q\r\n") || !strings.HasSuffix(files["bob%40localhost/INBOX/1.eml"], "in INBOX\r\n") {
		t.Fatalf("%s: %d files", out, len(files))
	}
	segments, _ := filepath.Glob(filepath.Join(s.Data, "store", "log", "*.seg"))
	for _, name := range segments {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := strings.LastIndex(string(b), "in Sent"); i >= 0 {
			b[i] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, files := recovered(); out != "4 messages recovered, 1 damaged\n" || len(files) != 4 {
		t.Fatalf("%s: %d files", out, len(files))
	}
}
