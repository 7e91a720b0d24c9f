// Package thunderbird uses Thunderbird, Debian's, on a real server: its own code
// for IMAP does what its user asks for, by its remote control. It takes a quiet
// machine, and so runs with ANGARIUM_TEST_BROWSER=1 only.
package thunderbird

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

const (
	user     = "ada@localhost"
	password = "secret"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestThunderbird hears of new mail, reads, flags, tags, searches, copies, moves
// and deletes, writes a draft, and makes and renames folders; each time the
// server is asked what happened. What another session does is seen without asking.
func TestThunderbird(t *testing.T) {
	harness.WithWindow(t, "thunderbird", "Xvfb")
	s := harness.MustStart(t, nil, user+":"+password)
	c := s.MustLogin(t, user, password)
	m := open(t, s)
	m.run(`
const info = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
info.init("imap://127.0.0.1", null, "imap://127.0.0.1", "`+user+`", "`+password+`", "", "");
Services.logins.addLoginAsync(info).then(() => { server.getNewMessages(root, null, null); answer(null) });`, nil)

	// What folders are for (RFC 6154).
	m.await("root.descendants.length == 6")
	var folders []string
	m.run(`const uses = Ci.nsMsgFolderFlags;
answer(root.descendants.map(f => f.name + " " + ["Inbox", "Drafts", "SentMail", "Junk", "Trash", "Archive"].find(u => f.getFlag(uses[u]))))`, &folders)
	slices.Sort(folders)
	if want := []string{"Archive Archive", "Drafts Drafts", "INBOX Inbox", "Junk Junk", "Sent SentMail", "Trash Trash"}; !slices.Equal(folders, want) {
		t.Errorf("folders %q, want %q", folders, want)
	}

	// It waits in IDLE.
	m.do(`folder("INBOX").updateFolder(null)`)
	s.MustDeliver(t, "bela@x.example", user, message("one"), message("two"), message("three"), message("four"))
	m.await(`["one", "two", "three", "four"].every(s => header("INBOX", s))`)
	var text string
	m.run(`const { MsgHdrToMimeMessage } = ChromeUtils.importESModule("resource:///modules/gloda/MimeMessage.sys.mjs");
MsgHdrToMimeMessage(header("INBOX", "two"), null, (h, message) => answer(message.coerceBodyToPlaintext(folder("INBOX"))), true)`, &text)
	if !strings.Contains(text, "The text of two: Grüße.") {
		t.Errorf("the text is %q", text)
	}

	m.do(`folder("INBOX").markMessagesRead([header("INBOX", "one")], true)`)
	c.MustAnswer(t, "INBOX", "UID SEARCH SUBJECT one SEEN", "* SEARCH 1")
	m.do(`folder("INBOX").markMessagesFlagged([header("INBOX", "two")], true)`)
	c.MustAnswer(t, "INBOX", "UID SEARCH FLAGGED", "* SEARCH 2")
	m.do(`folder("INBOX").addKeywordsToMessages([header("INBOX", "two")], "$label1")`)
	c.MustAnswer(t, "INBOX", "UID SEARCH KEYWORD $label1", "* SEARCH 2")
	c.MustDo(t, "SELECT INBOX")
	c.MustDo(t, `STORE 3 +FLAGS.SILENT (\Flagged $label2)`)
	m.await(`header("INBOX", "three").isFlagged && header("INBOX", "three").getStringProperty("keywords").includes("$label2")`)

	var found []string
	m.run(`const search = Cc["@mozilla.org/messenger/searchSession;1"].createInstance(Ci.nsIMsgSearchSession);
search.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder("INBOX"));
const term = search.createTerm(), value = term.value;
term.attrib = value.attrib = Ci.nsMsgSearchAttrib.Body;
term.op = Ci.nsMsgSearchOp.Contains;
value.str = "of two: Grüße";
term.value = value;
search.appendTerm(term);
const found = [];
search.registerListener({ onSearchHit(h) { found.push(h.mime2DecodedSubject) }, onSearchDone() { answer(found) }, onNewSearch() {} });
search.search(null)`, &found)
	if !slices.Equal(found, []string{"two"}) {
		t.Errorf("the search found %q", found)
	}

	m.do(`root.createSubfolder("Größe", null)`)
	m.await(`folder("Größe")`)
	m.do(`MailServices.copy.copyMessages(folder("INBOX"), [header("INBOX", "two")], folder("Größe"), false, null, null, false)`)
	c.MustAnswer(t, "Gr&APYA3w-e", "SEARCH SUBJECT two FLAGGED KEYWORD $label1", "* SEARCH 1")
	m.do(`MailServices.copy.copyMessages(folder("INBOX"), [header("INBOX", "three")], folder("Archive"), true, null, null, false)`)
	c.MustAnswer(t, "Archive", "SEARCH SUBJECT three FLAGGED", "* SEARCH 1")
	m.do(`folder("INBOX").deleteMessages([header("INBOX", "four")], null, false, true, null, false)`)
	c.MustAnswer(t, "Trash", "SEARCH SUBJECT four", "* SEARCH 1")
	c.MustAnswer(t, "INBOX", "SEARCH UNDELETED", "* SEARCH 1 2")
	m.await(`!header("INBOX", "three") && !header("INBOX", "four")`)

	m.do(`folder("Größe").rename("Renamed", null)`)
	harness.Await(t, "the new name", func() bool { return len(c.MustDo(t, `LIST (SUBSCRIBED) "" Renamed`)) == 2 })
	draft := filepath.Join(t.TempDir(), "draft.eml")
	if err := os.WriteFile(draft, []byte(message("draft")), 0o600); err != nil {
		t.Fatal(err)
	}
	m.do(fmt.Sprintf(`const file = Cc["@mozilla.org/file/local;1"].createInstance(Ci.nsIFile);
file.initWithPath(%q);
MailServices.copy.copyFileMessage(file, folder("Drafts"), null, false, Ci.nsMsgMessageFlags.Read, "", null, null)`, draft))
	c.MustAnswer(t, "Drafts", "SEARCH SUBJECT draft SEEN", "* SEARCH 1")
}

func message(subject string) string {
	return fmt.Sprintf("From: Bela <bela@x.example>\r\nTo: %s\r\nSubject: %s\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%[2]s@x.example>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThe text of %[2]s: Grüße.\r\n", user, subject)
}

// open starts Thunderbird, with a profile that has the account, on a screen that
// nobody sees: without one its window never opens.
func open(t *testing.T, s *harness.Server) *marionette {
	t.Helper()
	addr, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	_, control, _ := net.SplitHostPort(addr)
	_, port, _ := net.SplitHostPort(s.IMAP)
	home := t.TempDir()
	preferences := `user_pref("marionette.port", ` + control + `);
user_pref("network.proxy.type", 0);
user_pref("app.update.enabled", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("mailnews.start_page.enabled", false);
user_pref("mail.shell.checkDefaultClient", false);
user_pref("mail.accountmanager.accounts", "account1");
user_pref("mail.accountmanager.defaultaccount", "account1");
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account1.identities", "id1");
user_pref("mail.identity.id1.useremail", "` + user + `");
user_pref("mail.identity.id1.valid", true);
user_pref("mail.server.server1.type", "imap");
user_pref("mail.server.server1.hostname", "127.0.0.1");
user_pref("mail.server.server1.port", ` + port + `);
user_pref("mail.server.server1.userName", "` + user + `");
user_pref("mail.server.server1.name", "` + user + `");
user_pref("mail.server.server1.socketType", 0);
user_pref("mail.server.server1.authMethod", 3);
user_pref("mail.server.server1.login_at_startup", false);
`
	if err := os.WriteFile(filepath.Join(home, "user.js"), []byte(preferences), 0o600); err != nil {
		t.Fatal(err)
	}
	harness.MustRun(t, []string{"DISPLAY=:" + strconv.Itoa(screen(t))}, nil, "thunderbird", "--marionette", "--remote-allow-system-access", "--no-remote", "--profile", home)
	return dial(t, addr)
}

// screen starts an X server and returns its number.
func screen(t *testing.T) (number int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	harness.MustRun(t, nil, w, "Xvfb", "-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp")
	w.Close()
	if _, err := fmt.Fscanln(r, &number); err != nil {
		t.Fatalf("Xvfb does not say which screen it is: %v", err)
	}
	return number
}
