package harness

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// RSS returns the server's resident memory in octets.
func (s *Server) RSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.PID()))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0, err
	}
	return resident * int64(os.Getpagesize()), nil
}

// SettleTime is how long a server must be quiet until it has given back what a
// busy time took: it looks every few seconds whether it was.
const SettleTime = 10 * time.Second

// SettledRSS leaves the server alone for some time, and returns the resident
// memory then.
func (s *Server) SettledRSS(quiet time.Duration) (int64, error) {
	time.Sleep(quiet) // the memory is what is measured
	return s.RSS()
}

// PeakRSS returns the most resident memory that the server had.
func (s *Server) PeakRSS() (int64, error) {
	kib, err := s.proc("status", "VmHWM:")
	return kib << 10, err
}

// DiskReads returns how many octets the server had read from disks: what was
// cached does not count.
func (s *Server) DiskReads() (int64, error) { return s.proc("io", "read_bytes:") }

// proc returns the number behind a name in a file of /proc.
func (s *Server) proc(file, name string) (n int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.PID(), file))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), "\n"+name)
	if !ok {
		return 0, fmt.Errorf("%s is not in /proc/%d/%s", name, s.PID(), file)
	}
	_, err = fmt.Sscan(rest, &n)
	return n, err
}
