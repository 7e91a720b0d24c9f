// Package harness runs the real angarium binary for tests of the whole: it
// builds it, starts it on loopback in a directory of the caller's, kills or
// stops it, and speaks just enough IMAP and LMTP to load it and to look at
// what is there. It is used by tests and by the commands below test/ and bench/.
package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Build compiles the binary into dir and returns its path. It must be called
// from below the module's root.
func Build(dir string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "angarium")
	cmd := exec.Command("go", "build", "-o", bin, "./cmd/angarium")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, out)
	}
	return bin, nil
}

var sharedDir string // "" until shared was called

var shared = sync.OnceValues(func() (_ string, err error) {
	if sharedDir, err = os.MkdirTemp("", "angarium-binary-"); err != nil {
		return "", err
	}
	return Build(sharedDir)
})

// Shared returns a binary that all tests of a package use, built on first use.
func Shared() (string, error) { return shared() }

// Main runs a package's tests and removes the shared binary, if there is one: for
// TestMain.
func Main(m interface{ Run() int }) int {
	code := m.Run()
	if sharedDir != "" {
		os.RemoveAll(sharedDir)
	}
	return code
}

// TestNeed is for tests of other people's programs: it skips the test where one is missing, except where
// nothing may be missing.
func TestNeed(t interface {
	Helper()
	Skipf(string, ...any)
	Fatalf(string, ...any)
}, programs ...string) {
	t.Helper()
	for _, p := range programs {
		_, err := exec.LookPath(p)
		switch {
		case err == nil:
		case os.Getenv("ANGARIUM_TEST_REQUIRE") == "1":
			t.Fatalf("%s is missing", p)
		default:
			t.Skipf("%s is missing: .ci/run installs it", p)
		}
	}
}

// Await looks every 20 milliseconds whether another program got somewhere. A
// test that waits for two minutes fails.
func Await(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func moduleRoot() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	if ok {
		root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	return "", errors.New("the module's root was not found: run this from a checkout")
}

// Server is one angarium on loopback. Its addresses stay the same over
// restarts.
type Server struct {
	Binary string
	Data   string   // --data
	Args   []string // more arguments of serve
	Under  []string // a program, with its arguments, that Start runs the binary under

	IMAP, IMAPS, POP3, POP3S, LMTP string // host:port
	LMTPSocket                     string // path

	cmd  *exec.Cmd
	log  *os.File // without a name; of the server that was started last
	done chan struct{}
}

// New chooses free loopback ports for a server on the data directory.
func New(binary, data string) (*Server, error) {
	s := &Server{Binary: binary, Data: data, LMTPSocket: filepath.Join(data, "lmtp.sock")}
	for _, addr := range []*string{&s.IMAP, &s.IMAPS, &s.POP3, &s.POP3S, &s.LMTP} {
		ln, err := listenBelow()
		if err != nil {
			return nil, err
		}
		*addr = ln.Addr().String()
		defer ln.Close() // all are open at once, so that they differ
	}
	return s, os.MkdirAll(data, 0o700)
}

// Built is New for a binary that it builds, with both it and the data in dir.
func Built(dir string) (*Server, error) {
	bin, err := Build(dir)
	if err != nil {
		return nil, err
	}
	return New(bin, filepath.Join(dir, "data"))
}

// listenBelow listens on a port that the system gives to nobody by itself, and no
// other process of tests gets from here while this one runs, so that it is still free
// when a server starts, and starts again.
func listenBelow() (ln net.Listener, err error) {
	for range 100 {
		port := 20_000 + rand.IntN(12_000)
		if err = reserve(port); err != nil {
			continue
		}
		if ln, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return ln, nil
		}
	}
	return nil, fmt.Errorf("no free port: %w", err)
}

// reserved holds the descriptors by which ports are this process's: one file has an
// octet for each port, and the system lets go of their locks when the process ends.
var reserved struct {
	sync.Mutex
	files []*os.File
}

func reserve(port int) error {
	name := filepath.Join(os.TempDir(), fmt.Sprintf("angarium-ports-%d", os.Getuid()))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(port), Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock); err != nil {
		f.Close()
		return fmt.Errorf("another test has port %d: %w", port, err)
	}
	reserved.Lock()
	defer reserved.Unlock()
	reserved.files = append(reserved.files, f)
	return nil
}

// FreeAddress returns a loopback address that nobody listens on.
func FreeAddress() (string, error) {
	ln, err := listenBelow()
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// Start runs `angarium serve` and returns when it answers on IMAP and LMTP.
func (s *Server) Start() error {
	args := append([]string{"serve", "--data", s.Data,
		"--listen", "imap=" + s.IMAP, "--listen", "imaps=" + s.IMAPS,
		"--listen", "pop3=" + s.POP3, "--listen", "pop3s=" + s.POP3S,
		"--listen", "lmtp=" + s.LMTP, "--listen", "lmtp=" + s.LMTPSocket,
	}, s.Args...)
	line := slices.Concat(s.Under, []string{s.Binary}, args)
	s.cmd = exec.Command(line[0], line[1:]...)
	if err := s.newLog(); err != nil {
		return err
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	// The server dies with its starter, so that no run leaves one behind.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.done = make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	deadline := time.Now().Add(30 * time.Second)
	for _, addr := range []string{s.IMAP, s.LMTP} {
		if err := s.awaitGreeting(addr, deadline); err != nil {
			s.Kill()
			return fmt.Errorf("%w; the server's log:\n%s", err, s.Log())
		}
	}
	return nil
}

func (s *Server) awaitGreeting(addr string, deadline time.Time) error {
	for {
		select {
		case <-s.done:
			return errors.New("the server ended while starting")
		default:
		}
		nc, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			nc.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, err = nc.Read(make([]byte, 1))
			nc.Close()
			if err == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no greeting from %s: %w", addr, err)
		}
		time.Sleep(2 * time.Millisecond) // polling for another process to come up
	}
}

// Ended reports whether the server ended, by itself or by somebody else.
func (s *Server) Ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// PID returns the running server's process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the server as a crash would, if it was started.
func (s *Server) Kill() {
	if s.done == nil {
		return
	}
	s.cmd.Process.Kill()
	<-s.done
}

// Stop ends the server as an administrator would and returns its exit code.
func (s *Server) Stop() (int, error) {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-s.done:
		return s.cmd.ProcessState.ExitCode(), nil
	case <-time.After(40 * time.Second):
		s.Kill()
		return 0, errors.New("the server did not stop within 40 seconds of SIGTERM")
	}
}

// newLog makes a file that the server itself writes, so that what it wrote before an
// answer is there to be read after it.
func (s *Server) newLog() error {
	s.log.Close() // of the server before; nil is none
	var err error
	if s.log, err = os.CreateTemp("", "angarium-log-"); err != nil {
		return err
	}
	return os.Remove(s.log.Name())
}

// Log returns what the server has printed since it was started last.
func (s *Server) Log() string {
	if s.log == nil {
		return ""
	}
	b, err := io.ReadAll(io.NewSectionReader(s.log, 0, math.MaxInt64))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Import makes accounts, each line "name:password", through `user import`.
func (s *Server) Import(lines ...string) error {
	file := filepath.Join(s.Data, "import.txt")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	_, err := s.Command("user", "import", file)
	return err
}

// Command runs a command of the binary for the server's data and returns what
// it prints.
func (s *Server) Command(args ...string) ([]byte, error) {
	var out, failure bytes.Buffer
	cmd := exec.Command(s.Binary, append(args, "--data", s.Data)...)
	cmd.Stdout, cmd.Stderr = &out, &failure
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("angarium %s: %w\n%s", strings.Join(args, " "), err, failure.Bytes())
	}
	return out.Bytes(), nil
}
