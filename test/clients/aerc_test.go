package clients

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestAerc lists, moves, deletes and searches, and hears of new mail in IDLE.
func TestAerc(t *testing.T) {
	t.Parallel()
	need(t, "aerc", "tmux")
	s := start(t)
	deliver(t, s, sample("one"), sample("two"), sample("three"))
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".config/aerc/accounts.conf"),
		"[a]\nsource = imap+insecure://"+strings.ReplaceAll(user, "@", "%40")+":"+password+"@"+s.IMAP+"\nfrom = Ada <"+user+">\n")
	a := openTerminal(t, dir, "aerc")
	a.await("three")
	deliver(t, s, sample("four"))
	a.await("four")
	a.line(":select 1") // below the newest
	a.line(":move Archive")
	a.gone("three")
	a.line(":select 0")
	a.line(":delete")
	a.gone("four")
	a.line(":filter one")
	a.gone("two")
	a.line(":select 0")
	a.line(":view")
	a.await("This is one.")
	a.line(":close")
	a.line(":quit")
	a.ended()
	c := login(t, s)
	c.MustDo(t, "EXAMINE INBOX")
	inbox := c.MustDo(t, "FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])")
	equal(t, "INBOX", tokens(inbox...), []string{"one", "two"})
	if !strings.Contains(inbox[0], `\Seen`) {
		t.Error(inbox[0])
	}
	c.MustDo(t, "EXAMINE Archive")
	equal(t, "Archive", tokens(c.MustDo(t, "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]")...), []string{"three"})
}
