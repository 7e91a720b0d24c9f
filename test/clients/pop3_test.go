package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFetchmail polls over POP3 with STLS: first keeping the mail, by UIDL, so
// that a second run fetches nothing again; then taking it away.
func TestFetchmail(t *testing.T) {
	need(t, "fetchmail")
	s := start(t)
	deliver(t, s, sample("one"), sample("two"), sample("three"))
	dir := t.TempDir()
	box := filepath.Join(dir, "mbox")
	rc := func(server, options string) string {
		return write(t, filepath.Join(dir, "rc"), "set no bouncemail\npoll 127.0.0.1 protocol pop3 port "+port(s.POP3)+" "+server+" "+
			"user \""+user+"\" password \""+password+"\" no sslcertck "+options+" mda \"cat >> "+box+"\"\n")
	}
	out := must(t, dir, "", "fetchmail", "-v", "-f", rc("uidl", "keep"), "--idfile", filepath.Join(dir, "ids"), "--nodetach")
	if !strings.Contains(out, "STLS") {
		t.Errorf("fetchmail did not use STLS:\n%s", out)
	}
	want := []string{"one", "three", "two"}
	equal(t, "first poll", tokens(read(t, box)), want)
	// Exit code 1 is fetchmail's for no new mail.
	if out, err := run(t, dir, "", "fetchmail", "-f", rc("uidl", "keep"), "--idfile", filepath.Join(dir, "ids"), "--nodetach"); err == nil || err.Error() != "exit status 1" {
		t.Errorf("second poll: %v\n%s", err, out)
	}
	equal(t, "second poll", tokens(read(t, box)), want)
	deliver(t, s, sample("four"))
	must(t, dir, "", "fetchmail", "-f", rc("uidl", "keep"), "--idfile", filepath.Join(dir, "ids"), "--nodetach")
	equal(t, "third poll", tokens(read(t, box)), []string{"four", "one", "three", "two"})
	must(t, dir, "", "fetchmail", "-f", rc("", "no keep fetchall"), "--nodetach")
	if got := login(t, s).MustDo(t, "STATUS INBOX (MESSAGES)"); got[0] != "* STATUS INBOX (MESSAGES 0)" {
		t.Error(got)
	}
}

// TestGetmail reads over POP3 with TLS, octet by octet as it
// was delivered.
func TestGetmail(t *testing.T) {
	need(t, "getmail")
	s := start(t)
	deliver(t, s, sample("one"), sample("two"))
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "got"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rc"), "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = 127.0.0.1\nport = "+port(s.POP3S)+"\nusername = "+user+"\npassword = "+password+
		"\n[destination]\ntype = MDA_external\npath = /bin/sh\narguments = (\"-c\", \"cat > "+dir+"/got/$$\")\nallow_root_commands = true\nunixfrom = false\n[options]\ndelete = true\nread_all = false\n")
	must(t, dir, "", "getmail", "--getmaildir="+dir, "--rcfile=rc")
	var got []string
	names, _ := filepath.Glob(filepath.Join(dir, "got", "*"))
	for _, n := range names {
		got = append(got, read(t, n))
	}
	equal(t, "what getmail took", tokens(got...), []string{"one", "two"})
	for _, f := range got {
		// getmail adds fields above and uses the system's line ends.
		want := strings.ReplaceAll(sample(tokens(f)[0]), "\r\n", "\n")
		if !strings.HasSuffix(f, want) {
			t.Errorf("%q does not end in %q", f, want)
		}
	}
	if got := login(t, s).MustDo(t, "STATUS INBOX (MESSAGES)"); got[0] != "* STATUS INBOX (MESSAGES 0)" {
		t.Error(got)
	}
}
