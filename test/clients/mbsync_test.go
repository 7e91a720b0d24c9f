package clients

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

// TestMbsync synchronises a maildir over TLS.
func TestMbsync(t *testing.T) {
	t.Parallel()
	need(t, "mbsync")
	s := start(t)
	dir := t.TempDir()
	near := filepath.Join(dir, "mail")
	if err := os.Mkdir(near, 0o755); err != nil {
		t.Fatal(err)
	}
	rc := write(t, filepath.Join(dir, "rc"), mbsyncAccount(s, user)+`MaildirStore near
Path `+near+`/
Inbox `+near+`/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns INBOX Archive Work
Create Both
Expunge Both
SyncState *
`)
	c := login(t, s)
	c.MustDo(t, "CREATE Work")
	synchronise(t, &account{t: t, s: s, c: c, deliver: true}, &maildir{t: t, dir: near}, []string{"INBOX", "Archive", "Work"},
		func() { must(t, dir, "", "mbsync", "-c", rc, "-a") })
}

// mbsyncAccount begins a configuration of mbsync: a user's mailboxes are far.
func mbsyncAccount(s *harness.Server, user string) string {
	return `IMAPAccount a
Host 127.0.0.1
Port ` + port(s.IMAPS) + `
User ` + user + `
Pass ` + password + `
SSLType IMAPS
CertificateFile ` + filepath.Join(s.Data, "tls", "self-signed.crt") + `

IMAPStore far
Account a

`
}
