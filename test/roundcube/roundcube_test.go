// Package roundcube uses Roundcube, Debian's, in a browser as people do, on a
// real server. It takes a quiet machine, and so runs with ANGARIUM_TEST_BROWSER=1
// only. ANGARIUM_TEST_SCREENSHOTS names a directory for pictures of it.
package roundcube

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

const (
	user     = "ada@a.example"
	other    = "cilla@a.example"
	password = "secret"
)

// installed is Roundcube as Debian installs it, settings its configuration.
const (
	installed = "/var/lib/roundcube"
	settings  = "/etc/roundcube"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestRoundcube reads, searches, threads, flags, moves and writes a draft, and
// makes, renames and shares a mailbox (with its plugin acl); each time the server is
// asked what happened.
func TestRoundcube(t *testing.T) {
	harness.WithWindow(t, "php", "chromium", "chromedriver", "/usr/share/roundcube/bin/update.sh")
	s := harness.MustStart(t, nil, user+":"+password, other+":"+password)
	deliver(t, s, message(1, "one", 0), message(2, "two", 0), message(3, "Re: one", 1))
	site := startSite(t, s)
	b := open(t)
	c := login(t, s)

	b.visit(site)
	b.enter("#rcmloginuser", user)
	b.enter("#rcmloginpwd", password)
	b.click("#rcmloginsubmit")
	p := &page{b}
	p.shows("Re: one", "two", "one")
	var mailboxes []string
	b.eval("return [...document.querySelectorAll('#mailboxlist > li > a')].map(a => a.firstChild.textContent.trim())", &mailboxes)
	if want := []string{"Inbox", "Drafts", "Sent", "Junk", "Trash", "Archive"}; !slices.Equal(mailboxes, want) {
		t.Errorf("mailboxes %q, want %q", mailboxes, want)
	}
	b.shot("list")

	// New mail comes while it is open.
	p.idle()
	deliver(t, s, message(4, "four", 0))
	p.command("'list', 'INBOX'")
	p.shows("four", "Re: one", "two", "one")

	p.row("two", " span.flag")
	b.until("document.querySelector('#messagelist tr.message.flagged')")
	c.MustAnswer(t, "INBOX", "SEARCH FLAGGED", "* SEARCH 2")

	p.idle()
	b.eval("rcmail.set_list_options(null, 'date', 'DESC', 1)", nil)
	p.shows("four", "one", "two")
	p.command("'expand-all'")
	p.shows("four", "one", "Re: one", "two")
	b.shot("threads")
	p.idle()
	b.eval("rcmail.set_list_options(null, 'subject', 'ASC', 0)", nil)
	p.shows("four", "one", "Re: one", "two")

	p.idle()
	b.enter("#mailsearchform", "four\uE007")
	p.shows("four")
	b.shot("search")
	p.command("'reset-search'")
	p.shows("four", "one", "Re: one", "two")

	p.row("four", " td.subject")
	b.until("document.querySelector('#messagecontframe').contentDocument?.body?.innerText.includes('The text of four.')")
	b.shot("read")
	c.MustAnswer(t, "INBOX", "SEARCH SEEN", "* SEARCH 4")

	p.command("'move', 'Archive'")
	p.shows("one", "Re: one", "two")
	c.MustAnswer(t, "Archive", "SEARCH SUBJECT four SEEN", "* SEARCH 1")
	p.row("one", " td.subject")
	p.command("'delete'")
	p.shows("Re: one", "two")
	c.MustAnswer(t, "Trash", "SEARCH SUBJECT one", "* SEARCH 1")

	p.idle()
	b.visit(site + "?_task=mail&_action=compose")
	b.enter("#compose-subject", "draft")
	b.enter("#composebody", "Grüße")
	p.command("'savedraft'")
	b.until("document.querySelector('[name=_draft_saveid]').value != ''")
	b.shot("compose")
	c.MustAnswer(t, "Drafts", "SEARCH CHARSET UTF-8 SUBJECT draft BODY \"Grüße\" SEEN", "* SEARCH 1")

	b.visit(site + "?_task=settings&_action=edit-folder&_mbox=")
	b.enter("[name=_name]", "Größe")
	p.command("'save'")
	harness.Await(t, "the new mailbox", func() bool { return len(c.MustDo(t, `LIST "" Gr&APYA3w-e`)) == 2 })
	b.visit(site + "?_task=settings&_action=edit-folder&_mbox=Gr%26APYA3w-e")
	b.enter("[name=_name]", "Renamed")
	p.command("'save'")
	harness.Await(t, "its new name", func() bool { return len(c.MustDo(t, `LIST (SUBSCRIBED) "" Renamed`)) == 2 })
	b.visit(site + "?_task=settings&_action=folders")
	b.until("[...document.querySelectorAll('#subscription-table li > a')].some(a => a.textContent.trim() == 'Renamed')")
	b.shot("folders")

	b.visit(site + "?_task=settings&_action=edit-folder&_mbox=Renamed")
	b.until("rcmail.gui_objects.acltable")
	p.command("'acl-create'")
	b.enter("#acluser", other)
	b.shot("share")
	p.command("'acl-save'")
	b.until("rcmail.acl_list.rowcount == 1")
	c.MustAnswer(t, "Renamed", "GETACL Renamed", "* ACL Renamed "+user+" lrswipkxtecdan "+other+" lrs")
	b.shot("shared")
	b.eval("rcmail.acl_list.select_row([...document.querySelectorAll('tr[data-userid]')].find(r => r.dataset.userid == '"+other+"').id.substr(6))", nil)
	p.command("'acl-delete'")
	b.click(".ui-dialog button.delete")
	b.until("rcmail.acl_list.rowcount == 0")
	c.MustAnswer(t, "Renamed", "GETACL Renamed", "* ACL Renamed "+user+" lrswipkxtecdan")
}

// page is what Roundcube shows.
type page struct{ b *browser }

// idle waits until nothing is on its way: what is said to a busy page is lost,
// and of two requests at a time one may overwrite what the other has noted.
func (p *page) idle() {
	p.b.t.Helper()
	p.b.until("!rcmail.busy && jQuery.active == 0")
}

// command does what a button does.
func (p *page) command(arguments string) {
	p.b.t.Helper()
	p.idle()
	p.b.eval("rcmail.command("+arguments+")", nil)
}

// shows waits until the list holds messages with these subjects.
func (p *page) shows(subjects ...string) {
	p.b.t.Helper()
	var got []string
	harness.Await(p.b.t, fmt.Sprintf("%q", subjects), func() bool {
		err := p.b.call("POST", "/execute/sync", map[string]any{"args": []any{},
			"script": "return [...document.querySelectorAll('#messagelist tr.message td.subject .subject a span')].filter(s => s.offsetParent).map(s => s.textContent)"}, &got)
		return err == nil && slices.Equal(got, subjects)
	})
}

// row clicks on a part of the row with a subject.
func (p *page) row(subject, css string) {
	p.b.t.Helper()
	var id string
	p.b.eval(fmt.Sprintf("return [...document.querySelectorAll('#messagelist tr.message')].find(r => r.querySelector('.subject a span').textContent == %q).id", subject), &id)
	p.b.click("#" + strings.ReplaceAll(id, "+", `\+`) + css)
}

// message is the n-th of the test, perhaps an answer to another.
func message(n int, subject string, answers int) string {
	references := ""
	if answers > 0 {
		references = fmt.Sprintf("References: <%d@x.example>\r\n", answers)
	}
	return fmt.Sprintf("From: Bela <bela@x.example>\r\nTo: %s\r\nSubject: %s\r\nDate: Mon, 23 Nov 2026 12:0%d:00 +0000\r\nMessage-ID: <%d@x.example>\r\n%s\r\nThe text of %[2]s.\r\n",
		user, subject, n, n, references)
}

// startSite serves Roundcube with a configuration and a database of the test.
func startSite(t *testing.T, s *harness.Server) (url string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"defaults.inc.php", "mimetypes.php"} {
		if err := os.Symlink(filepath.Join(settings, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	config := `<?php $config = ['db_dsnw' => 'sqlite:///` + dir + `/db?mode=0600', 'imap_host' => '` + s.IMAP + `', 'smtp_host' => 'localhost:1',
'des_key' => 'abcdefghijklmnopqrstuvwx', 'log_dir' => '` + dir + `/', 'temp_dir' => '` + dir + `/', 'imap_debug' => true, 'plugins' => ['acl'], 'language' => 'en_US'];`
	if err := os.WriteFile(filepath.Join(dir, "config.inc.php"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b, err := os.ReadFile(filepath.Join(dir, "errors.log")); err == nil {
			t.Errorf("Roundcube's errors:\n%s", b)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "imap.log")); t.Failed() && err == nil {
			t.Logf("its IMAP:\n%s", b[max(0, len(b)-3000):])
		}
	})
	addr := freeAddr(t)
	harness.MustRun(t, []string{"ROUNDCUBE_CONFIG_DIR=" + dir, "PHP_CLI_SERVER_WORKERS=3"}, nil, "php", "-S", addr, "-t", filepath.Join(installed, "public_html"))
	url = "http://" + addr + "/"
	harness.Await(t, "php", func() bool {
		resp, err := http.Head(url + "skins/elastic/meta.json")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return url
}

func deliver(t *testing.T, s *harness.Server, messages ...string) {
	t.Helper()
	s.MustDeliver(t, "bela@x.example", user, messages...)
}

func login(t *testing.T, s *harness.Server) *harness.IMAP {
	t.Helper()
	return s.MustLogin(t, user, password)
}

func look(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
