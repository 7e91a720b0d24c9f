package clients

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAlpine reads, flags, copies and deletes, by sequence numbers throughout.
func TestAlpine(t *testing.T) {
	t.Parallel()
	need(t, "alpine", "tmux")
	s := start(t)
	deliver(t, s, sample("one"), sample("two"), sample("three"))
	dir := t.TempDir()
	on := "{127.0.0.1:" + port(s.IMAP) + "/user=" + user + "/notls}"
	rc := write(t, filepath.Join(dir, "pinerc"), `personal-name=Ada
user-domain=x.example
inbox-path=`+on+`INBOX
folder-collections=Mail `+on+`[]
feature-list=enable-flag-cmd,expunge-without-confirm,quit-without-confirm,save-will-not-delete
last-version-used=6.26
last-time-prune-questioned=126.11
`)
	a := openTerminal(t, dir, "alpine", "-nowrite_password_cache", "-i", "-p", rc)
	a.await("HOST: localhost") // asks for the password
	a.line(password)
	a.await("Preserve password")
	a.keys("n")
	a.await("three")
	a.keys("1", "Enter", "*")
	a.await("Flag New, Deleted")
	a.keys("Enter")
	c := login(t, s)
	c.MustDo(t, "EXAMINE INBOX")
	awaitAnswer(t, c, "SEARCH FLAGGED", "* SEARCH 1")
	// Somebody else's message comes, and is seen.
	deliver(t, s, sample("four"))
	a.keys("C-l") // looks for new mail
	a.await("four")
	a.keys("2", "Enter")
	a.await("Message 2 of 4")
	a.keys("s")
	a.await("SAVE Msg #2")
	a.keys("C-u")
	a.line("Archive")
	awaitAnswer(t, c, "STATUS Archive (MESSAGES)", "* STATUS Archive (MESSAGES 1)")
	a.keys("d")
	a.await("D   2")
	a.keys("x")
	a.gone("two")
	a.keys("1", "Enter", ">")
	a.await("This is one.")
	a.keys("q")
	a.ended()
	c.MustDo(t, "EXAMINE INBOX")
	inbox := c.MustDo(t, "FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])")
	equal(t, "INBOX", tokens(inbox...), []string{"four", "one", "three"})
	if !strings.Contains(inbox[0], `FLAGS (\Seen \Flagged)`) {
		t.Error(inbox[0])
	}
	c.MustDo(t, "EXAMINE Archive")
	equal(t, "Archive", tokens(c.MustDo(t, "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]")...), []string{"two"})
}
