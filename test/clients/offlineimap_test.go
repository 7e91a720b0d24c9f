package clients

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestOfflineimap synchronises a maildir over STARTTLS.
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
remotehost = 127.0.0.1
remoteport = `+port(s.IMAP)+`
remoteuser = `+user+`
remotepass = `+password+`
ssl = no
starttls = yes
sslcacertfile = `+filepath.Join(s.Data, "tls", "self-signed.crt")+`
folderfilter = lambda name: name in ["INBOX", "Archive", "Work"]
maxconnections = 2
`)
	c := login(t, s)
	c.MustDo(t, "CREATE Work")
	synchronise(t, &account{t: t, s: s, c: c, deliver: true}, &maildir{t: t, dir: near, expunge: true}, []string{"INBOX", "Archive", "Work"}, func() {
		t.Helper()
		out, err := run(t, dir, "", "offlineimap", "-c", rc, "-o")
		// On a busy machine imaplib2 reads the greeting before it waits for it,
		// and then waits until the server hangs up.
		for tries := 1; tries < 4 && err != nil && strings.Contains(out, "Nobody logged in"); tries++ {
			out, err = run(t, dir, "", "offlineimap", "-c", rc, "-o")
		}
		if err != nil {
			t.Fatalf("offlineimap: %v\n%s", err, out)
		}
	})
}
