package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

func theBinary(t *testing.T) string {
	t.Helper()
	bin, err := harness.Shared()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// command runs the binary to its end.
func command(t *testing.T, stdin string, args ...string) (out string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, theBinary(t), args...)
	cmd.Stdin = strings.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func startServer(t *testing.T) *harness.Server {
	t.Helper()
	s, err := harness.New(theBinary(t), filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// TestUserCommands: the same answers while the server runs and while it does
// not.
func TestUserCommands(t *testing.T) {
	online := startServer(t)
	for name, data := range map[string]string{"online": online.Data, "offline": filepath.Join(t.TempDir(), "data")} {
		t.Run(name, func(t *testing.T) {
			for _, tc := range []struct {
				args  string
				stdin string
				want  string
				code  int
			}{
				{"user add Ada --password-stdin --dry-run", "secret\n", "Dry run, nothing was changed. Otherwise: Made ada@localhost.\n", 0},
				{"user add Ada --password-stdin", "secret\n", "Made ada@localhost.\n", 0},
				{"user add ada --password-stdin", "secret\n", "angarium: ada: ada@localhost exists already\n", 1},
				{"user add bob@x.example --password-stdin --json", "secret", `{"name":"bob@x.example"}` + "\n", 0},
				{"user add bad@@name --password-stdin", "secret\n", "angarium: bad@@name: an account's name is an address like name@domain\n", 1},
				{"user add empty --password-stdin", "\n", "angarium: empty: a password has 1 to 1024 octets and no line ends\n", 1},
				{"user add noterminal", "", "angarium: there is no terminal to ask for the password: use --password-stdin\n", 2},
				{"user passwd ada --password-stdin", "new\n", "Changed the password of ada@localhost.\n", 0},
				{"user passwd nobody --password-stdin", "new\n", "angarium: nobody: no such account\n", 1},
				{"user list", "", "ada@localhost\nbob@x.example\n", 0},
				{"user show nobody", "", "angarium: nobody: no such account\n", 1},
				{"user import - --dry-run", "c:x\nd:y\n", "Dry run, nothing was changed. Otherwise: 2 accounts made, 0 passwords replaced, 0 that exist left alone.\n", 0},
				{"user import -", "# a comment\nc:x\nd\n", "angarium: -: line 3: expected name:password or name:{SCHEME}hash; nothing was imported\n", 1},
				{"user import -", "c:x\nc@localhost:y\n", "angarium: -: line 2: c@localhost is in line 1 already; nothing was imported\n", 1},
				{"user import -", "c:{NOPE}x\n", "angarium: -: line 1: the password's scheme is not known; nothing was imported\n", 1},
				{"user import -", "c:{PLAIN}x\nada:y\n", "1 accounts made, 0 passwords replaced, 1 that exist left alone.\n", 0},
				{"user delete bob@x.example --dry-run", "", "Dry run, nothing was changed. Otherwise: Deleted bob@x.example with 0 messages.\n", 0},
				{"user delete bob@x.example", "", "Deleted bob@x.example with 0 messages.\n", 0},
				{"user delete bob@x.example", "", "angarium: bob@x.example: no such account\n", 1},
				{"quota list", "", "ada@localhost: 0 octets (limit none), 0 messages (limit none)\nc@localhost: 0 octets (limit none), 0 messages (limit none)\n", 0},
				{"quota set ada --storage 10GiB --dry-run", "", "Dry run, nothing was changed. Otherwise: ada@localhost: 0 octets (limit 10GiB, its own), 0 messages (limit none)\n", 0},
				{"quota set ada --messages none", "", "ada@localhost: 0 octets (limit none), 0 messages (limit none, its own)\n", 0},
				{"quota set ada --storage 1500 --messages default", "", "ada@localhost: 0 octets (limit 1500, its own), 0 messages (limit none)\n", 0},
				{"quota set c --messages 1024 --json", "", `{"name":"c@localhost","storage":{"used":0,"limit":-1,"own":false},"messages":{"used":0,"limit":1024,"own":true}}` + "\n", 0},
				{"quota list", "", "ada@localhost: 0 octets (limit 1500, its own), 0 messages (limit none)\nc@localhost: 0 octets (limit none), 0 messages (limit 1024, its own)\n", 0},
				{"quota set ada", "", "angarium: name a limit with --storage or --messages; nothing was changed\n", 2},
				{"quota set ada --storage 10GB", "", "angarium: \"10GB\" is no amount like 1000, 500MiB or 10GiB, nor none, nor default\n", 2},
				{"quota set nobody --storage 1", "", "angarium: nobody: no such account\n", 1},
				{"acl set ada INBOX c read", "", "ada@localhost, INBOX: ada@localhost lrswipkxtean, c@localhost lrs\n", 0},
				{"acl set ada INBOX c +write --dry-run", "", "Dry run, nothing was changed. Otherwise: ada@localhost, INBOX: ada@localhost lrswipkxtean, c@localhost lrswipkxten\n", 0},
				{"acl set ada Sent anyone l", "", "ada@localhost, Sent: ada@localhost lrswipkxtean, anyone l\n", 0},
				{"acl list ada", "", "ada@localhost, INBOX: ada@localhost lrswipkxtean, c@localhost lrs\nada@localhost, Sent: ada@localhost lrswipkxtean, anyone l\n", 0},
				{"acl list ada Trash --json", "", `[{"owner":"ada@localhost","mailbox":"Trash","grants":[{"identifier":"ada@localhost","rights":"lrswipkxtean"}]}]` + "\n", 0},
				{"acl list --with c", "", "ada@localhost, INBOX: c@localhost lrs\nada@localhost, Sent: c@localhost l\n", 0},
				{"acl set ada INBOX c none", "", "ada@localhost, INBOX: ada@localhost lrswipkxtean\n", 0},
				{"acl set ada Sent anyone none", "", "ada@localhost, Sent: ada@localhost lrswipkxtean\n", 0},
				{"acl list --with c", "", "", 0},
				{"acl list ada", "", "", 0},
				{"acl list", "", "angarium: name an account, or a user with --with\n", 2},
				{"acl list ada --with c", "", "angarium: name an account, or a user with --with\n", 2},
				{"acl list nobody", "", "angarium: nobody: no such account\n", 1},
				{"acl set ada Nowhere c read", "", "angarium: ada, Nowhere: no such mailbox\n", 1},
				{"acl set ada INBOX group:x read", "", "angarium: ada, INBOX: there are no groups; name each user, or anyone\n", 3},
				{"acl set ada INBOX c lrq", "", "angarium: ada, INBOX: rights are letters of lrswipkxtecdan, or none, read, post, append, write or all; nothing was changed\n", 1},
				{"user list --nope", "", "angarium: unknown flag: --nope; see angarium user list --help\n", 2},
				{"user show", "", "angarium: accepts 1 arg(s), received 0; see angarium user show --help\n", 2},
			} {
				out, code := command(t, tc.stdin, append(strings.Fields(tc.args), "--data", data)...)
				if out != tc.want || code != tc.code {
					t.Errorf("%s: %q, code %d; want %q, %d", tc.args, out, code, tc.want, tc.code)
				}
			}
		})
	}
	// A password that was changed while the server runs counts at once.
	c, err := harness.DialIMAP(online.IMAP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("ada", "new"); err != nil {
		t.Error(err)
	}
	if _, err := c.Append("INBOX", "", "Subject: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if out, code := command(t, "", "user", "delete", "ada", "--data", online.Data); code != exitRefused || !strings.Contains(out, "holds 1 messages; nothing was deleted") {
		t.Errorf("%q, code %d", out, code)
	}
	if out, code := command(t, "", "user", "delete", "ada", "--yes", "--data", online.Data); code != 0 {
		t.Errorf("%q, code %d", out, code)
	}
}

// TestTrace: over the administration socket, as scripts and people use it.
func TestTrace(t *testing.T) {
	s := startServer(t)
	if err := s.Import("ada:secret"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(s.Data, "trace", "ada@localhost")
	for _, tc := range []struct {
		args, want string // want is a regular expression
		code       int
	}{
		{"trace list", "", 0},
		{"trace start nobody", "angarium: nobody: no such account\n", exitFailed},
		{"trace start ada --for 0s", "angarium: --for is from 1s to 168h\n", exitUsage},
		{"trace start ada --protocol smtp", "angarium: ada: a trace is of imap, pop3, lmtp or all; none was begun\n", exitFailed},
		{"trace start ada --for 10m --protocol imap", `Sessions of ada@localhost are traced until \S+ \S+, into ` + dir + "\n", 0},
		{"trace start ada", `angarium: ada: ada@localhost is traced already, until \S+; stop that trace first\n`, exitFailed},
		{"trace list", `ada@localhost imap until \S+ \S+: 0 sessions, 0 octets, in ` + dir + "\n", 0},
		{"trace list --json", `\[\{"user":"ada@localhost","protocol":"imap","bodies":false,"begun":"\S+","until":"\S+","dir":"` + dir + `","sessions":0,"octets":0\}\]\n`, 0},
		{"trace stop ada", "Stopped: 0 sessions of ada@localhost, 0 octets, are in " + dir + "\n", 0},
		{"trace stop ada", "angarium: ada: ada@localhost is not traced\n", exitFailed},
	} {
		out, code := command(t, "", append(strings.Fields(tc.args), "--data", s.Data)...)
		if !regexp.MustCompile("^"+tc.want+"$").MatchString(out) || code != tc.code {
			t.Errorf("%s: %q, code %d; want %s, %d", tc.args, out, code, tc.want, tc.code)
		}
	}
	if log := s.Log(); !regexp.MustCompile(`msg=trace_started account=ada@localhost protocol=imap bodies=false until=\S+ by="uid \d+"`).MatchString(log) || !strings.Contains(log, `msg=trace_ended account=ada@localhost why="it was stopped"`) {
		t.Error(log)
	}
	traceOverRestart(t, s, dir)
	data := filepath.Join(t.TempDir(), "data")
	if out, code := command(t, "ada:secret\n", "user", "import", "-", "--data", data); code != 0 {
		t.Fatal(out)
	}
	if out, code := command(t, "", "trace", "start", "ada", "--data", data); code != exitTemporary || !strings.Contains(out, "no server runs") {
		t.Errorf("%q, code %d", out, code)
	}
}

// traceOverRestart: a trace goes on when the server is killed and starts again.
func traceOverRestart(t *testing.T, s *harness.Server, dir string) {
	t.Helper()
	if out, code := command(t, "", "trace", "start", "ada", "--data", s.Data); code != 0 {
		t.Fatal(out)
	}
	s.Kill()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	imapDo(t, s, "ada", "NOOP")
	files, err := filepath.Glob(filepath.Join(dir, "imap-*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if b, err := os.ReadFile(files[0]); err != nil || !strings.Contains(string(b), " NOOP\n") {
		t.Errorf("%s, %v", b, err)
	}
	if out, code := command(t, "", "trace", "stop", "ada", "--data", s.Data); code != 0 || !strings.HasPrefix(out, "Stopped: 1 sessions of ada@localhost") {
		t.Errorf("%q, code %d", out, code)
	}
}

// TestCommandsPage: the handbook lists the commands that there are, and no others.
func TestCommandsPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(angarium [a-z ]*[a-z])").FindAllStringSubmatch(string(page), -1) {
		listed[m[1]] = true
	}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasSubCommands() || c.Hidden {
			return
		}
		if !listed[c.CommandPath()] {
			t.Errorf("%s is not there", c.CommandPath())
		}
		delete(listed, c.CommandPath())
	}
	walk(newRoot())
	for name := range listed {
		t.Errorf("%s is no command", name)
	}
}

// TestSecondProcess: one clear sentence.
func TestSecondProcess(t *testing.T) {
	s := startServer(t)
	out, code := command(t, "", "serve", "--data", s.Data, "--listen", "imap=127.0.0.1:1")
	want := "angarium: the data directory " + s.Data + " is in use by another angarium process; stop that one, or name another directory with --data\n"
	if !strings.HasSuffix(out, want) || strings.Count(out, "\n") != 1 || code != exitTemporary {
		t.Errorf("%q, code %d", out, code)
	}
}

func TestConfigCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.toml")
	os.WriteFile(file, []byte("config_version = 1\nlisen = []\n"), 0o600)
	out, code := command(t, "", "config", "check", "--config", file)
	if out != "angarium: "+file+":2: unknown key \"lisen\"; did you mean \"listen\"?\n" || code != 1 {
		t.Errorf("%q, code %d", out, code)
	}
	os.WriteFile(file, []byte("config_version = 1\ndata = \"/d\"\n"), 0o600)
	if out, code = command(t, "", "config", "show", "--effective", "--config", file, "--listen", "imap=:1"); code != 0 || !strings.Contains(out, "data = '/d'\n") || !strings.Contains(out, "listen = ['imap=:1']") {
		t.Errorf("%q, code %d", out, code)
	}
	if out, code = command(t, "", "config", "check", "--listen", "smtp=:1"); code != exitUsage || !strings.Contains(out, "PROTO=ADDRESS") {
		t.Errorf("%q, code %d", out, code)
	}
	if out, code = command(t, "", "version"); code != 0 || !strings.HasPrefix(out, "angarium ") {
		t.Errorf("%q, code %d", out, code)
	}
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

// serial returns the serial number of the certificate that a server shows.
func serial(t *testing.T, addr string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// TestReload: a good file is swapped in whole while sessions stay, a bad one
// changes nothing and says so.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file, data := filepath.Join(dir, "a.toml"), filepath.Join(dir, "data")
	first, second := freeAddr(t), freeAddr(t)
	configure := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("config_version = 1\ndata = \""+data+"\"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	configure("listen = [\"imaps=" + first + "\"]\n")
	cmd := exec.Command(theBinary(t), "serve", "--config", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		for s := bufio.NewScanner(log); s.Scan(); {
			lines <- s.Text()
		}
		close(lines)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		for range lines {
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	await := func(what string) {
		t.Helper()
		timeout := time.After(20 * time.Second)
		for {
			select {
			case l, ok := <-lines:
				if !ok {
					t.Fatalf("the server ended; no %q", what)
				}
				if strings.Contains(l, what) {
					return
				}
			case <-timeout:
				t.Fatalf("no %q in the log", what)
			}
		}
	}
	await("msg=serving")
	old, err := harness.DialIMAPS(first)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	before := serial(t, first)

	configure("listen = [\"imaps=" + second + "\"]\nnope = 1\n")
	cmd.Process.Signal(syscall.SIGHUP)
	await("the one before stays in use")
	if out, code := command(t, "", "reload", "--data", data); code != 1 || !strings.Contains(out, `unknown key "nope"`) {
		t.Errorf("%q, code %d", out, code)
	}
	if serial(t, first) != before {
		t.Error("a bad file changed the certificate")
	}

	configure("listen = [\"imaps=" + second + "\"]\n[log]\nformat = \"json\"\n")
	if out, code := command(t, "", "reload", "--data", data); code != 1 || !strings.Contains(out, "log.format") {
		t.Errorf("%q, code %d", out, code)
	}

	certFile, keyFile, err := netserver.SelfSigned(dir, []string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if out, code := command(t, "secret\n", "user", "add", "limited", "--password-stdin", "--data", data); code != 0 {
		t.Errorf("%q, code %d", out, code)
	}
	configure(fmt.Sprintf("listen = [\"imaps=%s\"]\n[tls]\ncertificate = %q\nkey = %q\n[quota]\nstorage = \"1KiB\"\nmessages = 5\n", second, certFile, keyFile))
	if out, code := command(t, "", "reload", "--data", data); code != 0 || out != "The configuration was reloaded.\n" {
		t.Errorf("%q, code %d", out, code)
	}
	if out, code := command(t, "", "quota", "list", "--data", data); code != 0 || !strings.Contains(out, "limited@localhost: 0 octets (limit 1KiB), 0 messages (limit 5)\n") {
		t.Errorf("%q, code %d", out, code)
	}
	if serial(t, second) == before {
		t.Error("the certificate was not replaced")
	}
	if nc, err := net.Dial("tcp", first); err == nil {
		nc.Close()
		t.Error("the old listener is still there")
	}
	if _, err := old.Do("NOOP"); err != nil {
		t.Errorf("the session did not stay: %v", err)
	}
}

// TestSystemd: readiness, reload, watchdog and stop are told, and a socket
// that systemd opened is served.
func TestSystemd(t *testing.T) {
	dir := t.TempDir()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The shell knows its process id, which is the server's after exec.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$0" serve --data "$1"`, theBinary(t), filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), "LISTEN_FDS=1", "LISTEN_FDNAMES=imap", "WATCHDOG_USEC=200000", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await := func(want string) {
		t.Helper()
		notify.SetReadDeadline(time.Now().Add(20 * time.Second))
		b := make([]byte, 4096)
		for {
			n, err := notify.Read(b)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.HasPrefix(string(b[:n]), want) {
				return
			}
		}
	}
	await("READY=1")
	c, err := harness.DialIMAP(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	await("WATCHDOG=1")
	cmd.Process.Signal(syscall.SIGHUP)
	await("RELOADING=1\nMONOTONIC_USEC=")
	await("READY=1")
	cmd.Process.Signal(syscall.SIGTERM)
	await("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestTry: the commands that it prints work, and Ctrl-C leaves nothing behind.
func TestTry(t *testing.T) {
	tmp := t.TempDir()
	cmd := exec.Command(theBinary(t), "try", "--base-port", "21000")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for s := bufio.NewScanner(out); !strings.Contains(text.String(), "Ctrl-C") && s.Scan(); {
		text.WriteString(s.Text() + "\n")
	}
	m := regexp.MustCompile(`account (\S+)  password (\S+)`).FindStringSubmatch(text.String())
	if m == nil {
		t.Fatal(text.String())
	}
	c, err := harness.DialIMAPS("127.0.0.1:21993")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(m[1], m[2]); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Do("EXAMINE INBOX"); err != nil || !strings.Contains(strings.Join(got, "\n"), "* 5 EXISTS") {
		t.Error(got, err)
	}
	for line := range strings.Lines(text.String()) {
		pasted := strings.TrimSpace(line)
		want := map[string]string{"curl": "Subject: Welcome", "printf": "250 2.0.0"}[strings.Fields(pasted + " .")[0]]
		if want == "" {
			continue
		}
		if _, err := exec.LookPath("curl"); err != nil {
			continue // clients_test tells
		}
		if got, err := exec.Command("sh", "-c", pasted).CombinedOutput(); !strings.Contains(string(got), want) {
			t.Errorf("%s: %v\n%s", pasted, err, got)
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestHandbook runs what the handbook's pages mark as tested, each page in a
// directory of its own, with its first TOML block as angarium.toml.
func TestHandbook(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?ms)^```([a-z ]*)\n(.*?)^```$")
	tested := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		toml, dir := "", t.TempDir()
		for _, m := range block.FindAllStringSubmatch(string(b), -1) {
			switch {
			case m[1] == "toml" && toml == "":
				toml = m[2]
			case m[1] == "sh tested":
				tested++
				os.WriteFile(filepath.Join(dir, "angarium.toml"), []byte(toml), 0o600)
				cmd := exec.Command("sh", "-ec", m[2])
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(theBinary(t))+":"+os.Getenv("PATH"))
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %v\n%s\n%s", page, err, m[2], out)
				}
			}
		}
	}
	if tested < 3 {
		t.Errorf("only %d blocks are tested", tested)
	}
	if _, code := command(t, "", "config", "check", "--config", "../../dist/angarium.toml"); code != 0 {
		t.Error("dist/angarium.toml is not good")
	}
}
