package clients

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/angarium/angarium/test/harness"
)

// terminal is a screen with a program that somebody types to.
type terminal struct {
	t      *testing.T
	socket string
}

// openTerminal runs a program on a screen of its own, with HOME in dir.
func openTerminal(t *testing.T, dir string, program ...string) *terminal {
	t.Helper()
	s := &terminal{t, filepath.Join(t.TempDir(), "tmux")}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("tmux", "-S", s.socket, "capture-pane", "-p").CombinedOutput()
			t.Logf("%s shows:\n%s", program[0], out)
		}
		exec.Command("tmux", "-S", s.socket, "kill-server").Run() // fails where the program ended
	})
	s.tmux(append([]string{"-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "env", "HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, ".config")}, program...)...)
	return s
}

func (s *terminal) tmux(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// keys presses keys, by the names that tmux has for them.
func (s *terminal) keys(keys ...string) {
	s.t.Helper()
	s.tmux(append([]string{"send-keys"}, keys...)...)
}

// line types a text and Enter.
func (s *terminal) line(text string) {
	s.t.Helper()
	s.tmux("send-keys", "-l", text)
	s.keys("Enter")
}

func (s *terminal) screen() string { return s.tmux("capture-pane", "-p") }

// await waits until the screen shows a text.
func (s *terminal) await(text string) {
	s.t.Helper()
	harness.Await(s.t, text, func() bool { return strings.Contains(s.screen(), text) })
}

// gone waits until it shows a text no more.
func (s *terminal) gone(text string) {
	s.t.Helper()
	harness.Await(s.t, "a screen without "+text, func() bool { return !strings.Contains(s.screen(), text) })
}

// ended waits until the program has ended.
func (s *terminal) ended() {
	s.t.Helper()
	harness.Await(s.t, "the end", func() bool { return exec.Command("tmux", "-S", s.socket, "has-session").Run() != nil })
}
