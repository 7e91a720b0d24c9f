package clients

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPostfix sends mail through a Postfix of its own, which relays it over
// LMTP on a UNIX socket.
func TestPostfix(t *testing.T) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	need(t, "postfix")
	if os.Getuid() != 0 {
		if os.Getenv("ANGARIUM_TEST_REQUIRE") == "1" {
			t.Fatal("Postfix starts as root only")
		}
		t.Skip("Postfix starts as root only")
	}
	// Its processes run as users of their own: they need a directory which
	// those can enter.
	dir, err := os.MkdirTemp("/tmp", "angarium-postfix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	socket := filepath.Join(dir, "lmtp.sock")
	s := start(t, "--listen", "lmtp="+socket)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	conf := startPostfix(t, dir, addr, socket)

	const messages = 40
	var want []string
	for i := range messages {
		token := fmt.Sprintf("token%02d", i)
		if err := smtp.SendMail(addr, nil, "sender@x.example", []string{user, other}, []byte(sample(token))); err != nil {
			t.Fatal(err)
		}
		want = append(want, token)
	}
	if err := smtp.SendMail(addr, nil, "sender@x.example", []string{"nobody@localhost"}, []byte(sample("lost"))); err != nil {
		t.Fatal(err)
	}
	c := login(t, s)
	deadline := time.Now().Add(60 * time.Second)
	for {
		queue, _ := exec.Command("postqueue", "-c", conf, "-j").CombinedOutput()
		status, log := c.MustDo(t, "STATUS INBOX (MESSAGES)"), read(t, filepath.Join(dir, "log"))
		bounced := strings.Contains(log, "550 5.1.1 <nobody@localhost> no such user")
		if status[0] == fmt.Sprintf("* STATUS INBOX (MESSAGES %d)", messages) && !strings.Contains(string(queue), user) && bounced {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s; the unknown recipient bounced: %v; the queue: %s\nthe log:\n%s", status, bounced, queue, log)
		}
		time.Sleep(100 * time.Millisecond) // polling for another program's queue
	}
	c.MustDo(t, "EXAMINE INBOX")
	slices.Sort(want)
	equal(t, "INBOX", tokens(c.MustDo(t, "FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]")...), want)
}

// startPostfix runs a Postfix in dir and returns its configuration directory.
func startPostfix(t *testing.T, dir, addr, socket string) string {
	t.Helper()
	conf := filepath.Join(dir, "conf")
	write(t, filepath.Join(conf, "main.cf"), `compatibility_level = 3.6
queue_directory = `+dir+`/spool
data_directory = `+dir+`/data
maillog_file = `+dir+`/log
maillog_file_prefixes = `+dir+`
mail_owner = postfix
setgid_group = postdrop
multi_instance_enable = yes
myhostname = mta.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
virtual_mailbox_domains = localhost
virtual_transport = lmtp:unix:`+socket+`
alias_maps =
smtputf8_enable = yes
# Bounces to sender@x.example go nowhere.
default_transport = discard
relay_transport = discard
`)
	write(t, filepath.Join(conf, "master.cf"), addr+` inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
lmtp unix - - n - - lmtp
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
`)
	os.Chmod(conf, 0o755)
	for _, f := range []string{"main.cf", "master.cf"} {
		os.Chmod(filepath.Join(conf, f), 0o644)
	}
	for _, d := range []string{"spool", "data"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := osuser.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	if err := os.Chown(filepath.Join(dir, "data"), uid, -1); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("postfix", "-c", conf, "start").CombinedOutput(); err != nil {
		t.Fatalf("starting Postfix: %v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("postfix", "-c", conf, "stop").Run() })
	return conf
}
