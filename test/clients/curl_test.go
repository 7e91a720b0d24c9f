package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCurl uses imap, imaps and pop3; over TLS it checks the server's own
// certificate.
func TestCurl(t *testing.T) {
	need(t, "curl")
	s := start(t)
	deliver(t, s, sample("one"), sample("two"))
	dir := t.TempDir()
	curl := func(args ...string) string {
		t.Helper()
		return must(t, dir, "", "curl", append([]string{"-sS", "--user", user + ":" + password, "--cacert", filepath.Join(s.Data, "tls", "self-signed.crt")}, args...)...)
	}
	if out := curl("imap://" + s.IMAP + "/"); !strings.Contains(out, `* LIST (\HasNoChildren) "/" INBOX`) {
		t.Error(out)
	}
	if out := curl("imaps://" + s.IMAPS + "/INBOX;MAILINDEX=2"); !strings.HasSuffix(out, sample("two")) {
		t.Errorf("%q", out)
	}
	if out := curl("imap://"+s.IMAP+"/INBOX;UID=1;SECTION=TEXT", "--ssl-reqd"); out != "This is one.\r\n.dot\r\n\r\nEnd.\r\n" {
		t.Errorf("%q", out)
	}
	if out := curl("imap://"+s.IMAP+"/INBOX", "-X", "SEARCH SUBJECT two"); strings.TrimSpace(out) != "* SEARCH 2" {
		t.Errorf("%q", out)
	}
	curl("-T", write(t, filepath.Join(dir, "m"), sample("three")), "imaps://"+s.IMAPS+"/INBOX")
	if out := curl("pop3://"+s.POP3+"/3", "--ssl-reqd"); out != sample("three") {
		t.Errorf("%q", out)
	}
	if out := curl("pop3s://" + s.POP3S + "/"); len(strings.Fields(out)) != 6 {
		t.Errorf("%q", out)
	}
	curl("pop3s://"+s.POP3S+"/1", "-X", "DELE", "-I")
	if out := curl("pop3://"+s.POP3+"/", "-X", "UIDL"); len(strings.Fields(out)) != 4 {
		t.Errorf("%q", out)
	}
}
