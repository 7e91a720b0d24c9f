package clients

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestMutt reads a mailbox, moves all of it elsewhere, and saves a sent message
// over IMAP.
func TestMutt(t *testing.T) {
	need(t, "mutt", "script")
	s := start(t)
	deliver(t, s, sample("one"), sample("two"))
	dir := t.TempDir()
	url := "imap://127.0.0.1:" + port(s.IMAP) + "/"
	rc := write(t, filepath.Join(dir, "rc"), muttAccount(url, user)+`set record = "`+url+`Sent"
set sendmail = "/bin/true"
set from = "`+user+`"
set confirmappend = no
set delete = yes
set quit = yes
set move = no
set mark_old = no
set wait_key = no
`)
	must(t, dir, "A body.\n", "mutt", "-n", "-F", rc, "-s", "from mutt", "-a", write(t, filepath.Join(dir, "a.txt"), "attached\n"), "--", other)
	c := login(t, s)
	c.MustDo(t, "EXAMINE Sent")
	out := strings.Join(c.MustDo(t, "FETCH 1 (FLAGS BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (Subject)])"), "\n")
	if !strings.Contains(out, "Subject: from mutt") || !strings.Contains(out, `\Seen`) || !strings.Contains(out, `"a.txt"`) {
		t.Error(out)
	}
	must(t, dir, "", "script", "-qec", "mutt -n -F "+rc+" -f "+url+"INBOX -e 'push <tag-pattern>~A<enter><tag-prefix><save-message><kill-line>=Archive<enter><quit>'", "/dev/null")
	if got := c.MustDo(t, "STATUS INBOX (MESSAGES)"); got[0] != "* STATUS INBOX (MESSAGES 0)" {
		t.Error(got)
	}
	c.MustDo(t, "EXAMINE Archive")
	equal(t, "Archive", tokens(c.MustDo(t, "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]")...), []string{"one", "two"})
	// Nothing new: mutt says so by its exit code.
	if out, err := run(t, dir, "", "mutt", "-n", "-F", rc, "-Z", "-f", url+"INBOX"); err == nil {
		t.Error(out)
	}
}

// muttAccount begins a configuration of mutt with a user's mailboxes below a URL.
func muttAccount(url, user string) string {
	return `set imap_user = "` + user + `"
set imap_pass = "` + password + `"
set ssl_starttls = no
set ssl_force_tls = no
set folder = "` + url + `"
`
}
