package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMuttResync has mutt and neomutt come back to a mailbox that they keep a
// cache of: with CONDSTORE and with QRESYNC they ask only for what is new to
// them, and must show what is there.
func TestMuttResync(t *testing.T) {
	for _, program := range []string{"mutt", "neomutt"} {
		for _, extension := range []string{"condstore", "qresync"} {
			t.Run(program+"/"+extension, func(t *testing.T) {
				t.Parallel()
				need(t, program, "script")
				resyncMutt(t, program, extension)
			})
		}
	}
}

func resyncMutt(t *testing.T, program, extension string) {
	s := start(t)
	c := login(t, s)
	far := &account{t: t, s: s, c: c, deliver: true}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "cache"), 0o700); err != nil {
		t.Fatal(err)
	}
	url := "imap://127.0.0.1:" + port(s.IMAP) + "/"
	rc := write(t, filepath.Join(dir, "rc"), `set imap_user = "`+user+`"
set imap_pass = "`+password+`"
set ssl_starttls = no
set ssl_force_tls = no
set folder = "`+url+`"
set header_cache = "`+filepath.Join(dir, "cache")+`/"
set imap_condstore = yes
set imap_qresync = `+map[string]string{"condstore": "no", "qresync": "yes"}[extension]+`
set imap_idle = yes
set confirmappend = no
set delete = yes
set quit = yes
set move = no
set mark_old = no
set wait_key = no
`)
	open := func(keys string) {
		t.Helper()
		must(t, dir, "", "script", "-qec", program+" -n -F "+rc+" -f "+url+"INBOX -e 'push "+keys+"<quit>'", "/dev/null")
	}
	// What it shows, and which of that as flagged.
	list := func() (all []string) {
		t.Helper()
		for _, name := range []string{"all", "flagged"} {
			write(t, filepath.Join(dir, name), "")
		}
		pipe := func(pattern, file string) string {
			return "<tag-pattern>" + pattern + "<enter><tag-prefix-cond><pipe-message>cat>" + filepath.Join(dir, file) + "<enter><end-cond><untag-pattern>~A<enter>"
		}
		open(pipe("~A", "all") + pipe("~F", "flagged"))
		flagged := " " + strings.Join(tokens(read(t, filepath.Join(dir, "flagged"))), " ") + " "
		for _, token := range tokens(read(t, filepath.Join(dir, "all"))) {
			all = append(all, fmt.Sprint(token, strings.Contains(flagged, " "+token+" ")))
		}
		return all
	}
	for i := range 8 {
		far.add("INBOX", fmt.Sprintf("token%d", i))
	}
	equal(t, "first", list(), far.list("INBOX"))
	// While it is away, and by its own hand.
	far.remove("INBOX", "token1")
	far.flag("INBOX", "token2", true)
	far.move("INBOX", "token3", "Archive")
	far.add("INBOX", "token8")
	equal(t, "after others' changes", list(), far.list("INBOX"))
	open("<tag-pattern>token4<enter><tag-prefix><flag-message><untag-pattern>~A<enter>" +
		"<tag-pattern>token5<enter><tag-prefix><delete-message><untag-pattern>~A<enter>" +
		"<tag-pattern>token6<enter><tag-prefix><save-message><kill-line>=Archive<enter>")
	far.flag("INBOX", "token2", false)
	want := []string{"token0false", "token2false", "token4true", "token7false", "token8false"}
	equal(t, "INBOX", far.list("INBOX"), want)
	equal(t, "Archive", far.list("Archive"), []string{"token3false", "token6false"})
	equal(t, "at last", list(), want)
}
