// Package clients runs mail programs of other people against a real server, as
// their users would.
package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

const (
	user     = "ada@localhost"
	other    = "bela@localhost"
	password = "secret"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// need skips the test where a program is missing; CI has all of them.
func need(t *testing.T, programs ...string) {
	t.Helper()
	harness.TestNeed(t, programs...)
}

// start runs a server with two accounts.
func start(t *testing.T, args ...string) *harness.Server {
	t.Helper()
	return harness.MustStart(t, args, user+":"+password, other+":"+password)
}

// run runs a program in dir with HOME there, and returns what it printed.
func run(t *testing.T, dir string, stdin string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "LC_ALL=C.UTF-8", "TERM=dumb")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must is run for programs that have to succeed.
func must(t *testing.T, dir string, stdin string, program string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, stdin, program, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return out
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// sample is a message that its token names.
func sample(token string) string {
	return fmt.Sprintf("From: sender@x.example\r\nTo: %s\r\nSubject: %s\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%s@x.example>\r\n\r\nThis is %s.\r\n.dot\r\n\r\nEnd.\r\n", user, token, token, token)
}

func deliver(t *testing.T, s *harness.Server, messages ...string) {
	t.Helper()
	s.MustDeliver(t, "sender@x.example", user, messages...)
}

func login(t *testing.T, s *harness.Server) *harness.IMAP {
	t.Helper()
	return s.MustLogin(t, user, password)
}

// awaitAnswer waits until a command has an answer: programs show a change
// before the server has made it.
func awaitAnswer(t *testing.T, c *harness.IMAP, command, want string) {
	t.Helper()
	harness.Await(t, want+" to "+command, func() bool { return c.MustDo(t, command)[0] == want })
}

// tokens returns the sorted tokens in texts, one for each "Subject: ".
func tokens(texts ...string) (all []string) {
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if s, ok := strings.CutPrefix(strings.TrimSpace(line), "Subject: "); ok {
				all = append(all, s)
			}
		}
	}
	slices.Sort(all)
	return all
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}
