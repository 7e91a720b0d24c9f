package clients

import (
	"path/filepath"
	"testing"
)

// TestOfflineimap synchronises a maildir over TLS. With STARTTLS, on a busy
// machine, imaplib2's threads read what is the handshake's.
func TestOfflineimap(t *testing.T) {
	t.Parallel()
	need(t, "offlineimap")
	s := start(t)
	dir := t.TempDir()
	near := filepath.Join(dir, "mail")
	rc := write(t, filepath.Join(dir, "rc"), `[general]
accounts = a
metadata = `+filepath.Join(dir, "state")+`
ui = quiet
maxsyncaccounts = 1

[Account a]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = `+near+`
sep = .

[Repository far]
type = IMAP
remotehost = localhost
remoteport = `+port(s.IMAPS)+`
remoteuser = `+user+`
remotepass = `+password+`
ssl = yes
sslcacertfile = `+filepath.Join(s.Data, "tls", "self-signed.crt")+`
folderfilter = lambda name: name in ["INBOX", "Archive", "Work"]
maxconnections = 2
`)
	c := login(t, s)
	c.MustDo(t, "CREATE Work")
	synchronise(t, &account{t: t, s: s, c: c, deliver: true}, &maildir{t: t, dir: near, expunge: true}, []string{"INBOX", "Archive", "Work"}, func() {
		t.Helper()
		must(t, dir, "", "offlineimap", "-c", rc, "-o")
	})
}
