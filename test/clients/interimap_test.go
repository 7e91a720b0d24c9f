package clients

import (
	"os"
	"path/filepath"
	"testing"
)

// TestInterimap keeps two accounts equal, by QRESYNC on both sides.
func TestInterimap(t *testing.T) {
	t.Parallel()
	need(t, "interimap")
	s := start(t)
	dir := t.TempDir()
	for _, sub := range []string{".config", ".local/share"} {
		if err := os.MkdirAll(filepath.Join(dir, sub, "interimap"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	account1 := "type = imap\nhost = 127.0.0.1\nport = " + port(s.IMAP) + "\npassword = " + password + "\nSTARTTLS = NO\n"
	write(t, filepath.Join(dir, ".config/interimap/config"), "database = a.db\nlist-mailbox = INBOX Archive Work\n\n"+
		"[local]\n"+account1+"username = "+user+"\n[remote]\n"+account1+"username = "+other+"\n")
	far, near := login(t, s), s.MustLogin(t, other, password)
	far.MustDo(t, "CREATE Work")
	synchronise(t, &account{t: t, s: s, c: far, deliver: true}, &account{t: t, s: s, c: near}, []string{"INBOX", "Archive", "Work"},
		func() { must(t, dir, "", "interimap") })
}
