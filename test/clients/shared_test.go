package clients

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

// sharedName is ada's mailbox Team as bela names it.
const sharedName = "Other Users/" + user + "/Team"

// startShared runs a server on which ada shares a mailbox with two messages, which
// bela may read at first, and returns ada's session.
func startShared(t *testing.T) (*harness.Server, *harness.IMAP) {
	t.Helper()
	s := start(t)
	c := login(t, s)
	c.MustDo(t, "CREATE Team")
	for _, token := range []string{"one", "two"} {
		if _, err := c.Append("Team", "", sample(token)); err != nil {
			t.Fatal(err)
		}
	}
	c.MustDo(t, "SETACL Team "+other+" lrs")
	return s, c
}

// inTeam returns the tokens of the messages of Team that a search finds.
func inTeam(t *testing.T, c *harness.IMAP, keys string) (all []string) {
	t.Helper()
	c.MustDo(t, "EXAMINE Team")
	for _, line := range c.MustDo(t, "UID SEARCH "+keys) {
		if uids, ok := strings.CutPrefix(line, "* SEARCH "); ok {
			all = tokens(c.MustDo(t, "UID FETCH "+strings.ReplaceAll(uids, " ", ",")+" BODY.PEEK[HEADER.FIELDS (Subject)]")...)
		}
	}
	return all
}

// TestMbsyncShared synchronises a mailbox of another user, of which a client that
// may only read changes nothing but \Seen, and one that may write keeps both sides
// equal (RFC 4314 §4).
func TestMbsyncShared(t *testing.T) {
	t.Parallel()
	need(t, "mbsync")
	s, ada := startShared(t)
	dir := t.TempDir()
	near := &maildir{t: t, dir: dir}
	rc := write(t, filepath.Join(dir, "rc"), mbsyncAccount(s, other)+`MaildirStore near
Path `+dir+`/
Inbox `+dir+`/INBOX

Channel c
Far ":far:`+sharedName+`"
Near :near:Team
Create Near
Expunge Both
SyncState *
`)
	sync := func() (string, error) { return run(t, dir, "", "mbsync", "-c", rc, "c") }
	if out, err := sync(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	equal(t, "read", near.list("Team"), []string{"onefalse", "twofalse"})

	name, _ := near.find("Team", "one")
	near.setFlags("Team", name, "FS")
	near.add("Team", "three")
	if out, err := sync(); err != nil || !strings.Contains(out, "NO [NOPERM]") {
		t.Errorf("%v\n%s", err, out)
	}
	equal(t, "all, after changes without rights", inTeam(t, ada, "ALL"), []string{"one", "two"})
	equal(t, "seen, after changes without rights", inTeam(t, ada, "SEEN"), []string{"one"})
	equal(t, "flagged, after changes without rights", inTeam(t, ada, "FLAGGED"), nil)

	// What was refused before, mbsync does not try again.
	ada.MustDo(t, "SETACL Team "+other+" lrswite")
	near.remove("Team", "one")
	near.flag("Team", "two", true)
	near.add("Team", "four")
	if out, err := sync(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	equal(t, "all, with rights", inTeam(t, ada, "ALL"), []string{"four", "two"})
	equal(t, "flagged, with rights", inTeam(t, ada, "FLAGGED"), []string{"two"})
}

// TestMuttShared reads a mailbox of another user and saves and flags there as far
// as it may.
func TestMuttShared(t *testing.T) {
	t.Parallel()
	need(t, "mutt", "tmux")
	s, ada := startShared(t)
	bela := s.MustLogin(t, other, password)
	if _, err := bela.Append("INBOX", "", sample("three")); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	url := "imap://127.0.0.1:" + port(s.IMAP) + "/"
	rc := write(t, filepath.Join(dir, "rc"), muttAccount(url, other)+`set confirmappend = no
set delete = yes
set quit = yes
set move = no
set mark_old = no
macro index S "<save-message><kill-line>=`+strings.Replace(sharedName, " ", "<quote-char> ", 1)+`<enter>"
`)
	open := func(mailbox string) *terminal {
		return openTerminal(t, dir, "mutt", "-n", "-F", rc, "-f", url+mailbox)
	}
	quit := func(m *terminal) {
		m.keys("q")
		m.ended()
	}

	m := open(sharedName)
	m.await("two")
	m.keys("Enter")
	m.await("This is one.")
	m.keys("i", "F")
	m.await("Cannot flag message: Operation not permitted by ACL")
	m.keys("d")
	m.await("Cannot delete message: Operation not permitted by ACL")
	quit(m)
	m = open("INBOX")
	m.await("three")
	m.keys("S")
	m.await("you lack rights for this: it needs i, you have lrs")
	quit(m)
	equal(t, "all, after changes without rights", inTeam(t, ada, "ALL"), []string{"one", "two"})
	equal(t, "seen, after changes without rights", inTeam(t, ada, "SEEN"), []string{"one"})
	equal(t, "flagged, after changes without rights", inTeam(t, ada, "FLAGGED"), nil)

	ada.MustDo(t, "SETACL Team "+other+" lrswite")
	m = open(sharedName)
	m.await("two")
	m.keys("F", "d") // flags two, which is not seen, and then deletes the next one, three
	quit(m)
	m = open("INBOX")
	m.await("three")
	m.keys("S")
	quit(m)
	equal(t, "all, with rights", inTeam(t, ada, "ALL"), []string{"one", "three"})
}
