package harness

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// T is what tests give to functions that end them when something fails.
type T interface {
	Helper()
	Skip(args ...any)
	Skipf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
	Failed() bool
	Errorf(format string, args ...any)
	Logf(format string, args ...any)
}

// WithWindow skips a test of programs that have windows, which takes a quiet machine,
// but for ANGARIUM_TEST_BROWSER=1.
func WithWindow(t T, programs ...string) {
	t.Helper()
	if os.Getenv("ANGARIUM_TEST_BROWSER") != "1" {
		t.Skip("ANGARIUM_TEST_BROWSER=1 runs it")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is missing; .ci/run does not install it", p)
		}
	}
}

// MustStart runs a server with accounts, "user:password", until the test ends. It
// has to end well and to have no error in its log.
func MustStart(t T, args []string, users ...string) *Server {
	t.Helper()
	bin, err := Shared()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(bin, filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	s.Args = args
	if err := s.Import(users...); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if code, err := s.Stop(); err != nil || code != 0 {
			t.Errorf("the server ended with %d, %v", code, err)
		}
		if log := s.Log(); strings.Contains(log, "level=ERROR") {
			t.Errorf("the server's log:\n%s", log)
		}
	})
	return s
}

// MustRun runs a program, and what it starts, until the test ends: with variables
// beside those that there are, and a HOME of its own if none is among them. Its
// third file is file, if that is not nil.
func MustRun(t T, env []string, file *os.File, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir()), env...)
	if file != nil {
		cmd.ExtraFiles = []*os.File{file}
	}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, log.Bytes()[max(0, log.Len()-3000):])
		}
	})
}

// MustLogin logs in over IMAP until the test ends.
func (s *Server) MustLogin(t T, user, password string) *IMAP {
	t.Helper()
	c, err := DialIMAP(s.IMAP)
	if err == nil {
		err = c.Login(user, password)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// MustDeliver delivers messages over LMTP.
func (s *Server) MustDeliver(t T, from, to string, messages ...string) {
	t.Helper()
	c, err := DialLMTP(s.LMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, m := range messages {
		if r, err := c.Deliver(from, []string{to}, m); err != nil || !strings.HasPrefix(r[0], "250") {
			t.Fatal(r, err)
		}
	}
}

// MustDo runs a command that has to succeed.
func (c *IMAP) MustDo(t T, command string) []string {
	t.Helper()
	out, err := c.Do(command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// MustAnswer waits until a command in a mailbox has an answer: programs show changes
// before the server has them.
func (c *IMAP) MustAnswer(t T, mailbox, command, want string) {
	t.Helper()
	Await(t, want+" to "+command+" in "+mailbox, func() bool {
		c.MustDo(t, "EXAMINE "+mailbox)
		return c.MustDo(t, command)[0] == want
	})
}
