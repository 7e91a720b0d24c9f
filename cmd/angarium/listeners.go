package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"

	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/errs"
)

// listeners are the open listeners by their entry in the configuration.
type listeners map[string]net.Listener

// openListeners opens those of a configuration that are not in have yet. When
// one cannot be opened, none is.
func openListeners(c *config.Config, have listeners) (listeners, error) {
	opened := listeners{}
	for _, entry := range c.Listen {
		if have[entry] != nil {
			continue
		}
		ln, err := openListener(c, entry)
		if err != nil {
			opened.close()
			return nil, err
		}
		opened[entry] = ln
	}
	return opened, nil
}

func (l listeners) close() {
	for _, ln := range l {
		ln.Close()
	}
}

func openListener(c *config.Config, entry string) (net.Listener, error) {
	l, err := config.ParseListener(entry)
	if err != nil {
		return nil, err
	}
	if l.Network == "unix" {
		mode, err := c.Mode()
		if err != nil {
			return nil, err
		}
		return listenUnix(l.Address, fs.FileMode(mode))
	}
	ln, err := net.Listen(l.Network, l.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, errs.As("angarium.listen", errs.InUse, "cannot listen on "+entry+": another program does", err)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", entry, err)
	}
	return ln, nil
}

// listenUnix listens on a path. A socket that a dead process left there is
// removed; one that answers is not.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("cannot listen on %s: there is a file that is no socket", path)
		}
		if nc, err := net.Dial("unix", path); err == nil {
			nc.Close()
			return nil, errs.New("angarium.listen", errs.InUse, "cannot listen on "+path+": another program does")
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, mode); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// activated returns the listeners that systemd opened, by protocol: the
// FileDescriptorName of each socket unit.
func activated() (map[string][]net.Listener, error) {
	byName, err := activation.ListenersWithNames()
	if err != nil {
		return nil, err
	}
	for name := range byName {
		if _, err := config.ParseListener(name + "=localhost:1"); err != nil {
			return nil, fmt.Errorf("systemd passed a socket named %q: set FileDescriptorName= to imap, imaps, pop3, pop3s or lmtp", name)
		}
	}
	return byName, nil
}

// serveAll starts serving on listeners.
func (s *servers) serveAll(l listeners) error {
	for entry, ln := range l {
		spec, err := config.ParseListener(entry)
		if err != nil {
			return err
		}
		s.net.Serve(ln, s.options(spec.Protocol, entry))
	}
	return nil
}
