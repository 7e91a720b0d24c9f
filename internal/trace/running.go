package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
)

// runningFile says, in a trace's directory, that it runs. Its name begins with a
// dot so that who reads all files of the sessions does not meet it.
const runningFile = ".running"

// running is what the file holds.
type running struct {
	User     string    `json:"user"`
	Protocol string    `json:"protocol"`
	Bodies   bool      `json:"bodies"`
	Begun    time.Time `json:"begun"`
	Until    time.Time `json:"until"`
}

// keep writes the file.
func (t *Trace) keep() error {
	b, err := json.Marshal(running{t.info.User, t.info.Protocol, t.info.Bodies, t.info.Begun, t.info.Until})
	if err != nil {
		return err
	}
	return vfs.WriteWhole(vfs.Disk{}, filepath.Join(t.info.Dir, runningFile), b)
}

// forget removes the file of a directory, for good: who ended a trace does not
// want to find it again.
func forget(dir string) error {
	err := vfs.Disk{}.Remove(filepath.Join(dir, runningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = vfs.Disk{}.SyncDir(dir)
	}
	return err
}

// Resume goes on with the traces below dir that ran when the server ended. What
// cannot be read it leaves, and says so.
func Resume(dir string, log *slog.Logger) (all []*Trace) {
	names, err := vfs.Disk{}.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("trace_not_resumed", "dir", dir, "error", err)
	}
	for _, name := range names {
		sub := filepath.Join(dir, name)
		r, err := readRunning(sub)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // no trace runs there
		case err != nil:
			log.Warn("trace_not_resumed", "dir", sub, "error", err)
		default:
			all = append(all, resume(sub, r, log))
		}
	}
	return all
}

func resume(dir string, r running, log *slog.Logger) *Trace {
	t := newTrace(dir, Options{User: r.User, Protocol: r.Protocol, Bodies: r.Bodies}, log, r.Begun, r.Until)
	t.count()
	t.start()
	if !time.Now().Before(r.Until) {
		t.End("its time is over")
		return t
	}
	log.Info("trace_resumed", "account", r.User, "protocol", r.Protocol, "bodies", r.Bodies, "until", r.Until)
	return t
}

// readRunning reads the file of a directory. Errors: Corrupt, and those of vfs.
func readRunning(dir string) (r running, err error) {
	b, err := vfs.ReadWhole(vfs.Disk{}, filepath.Join(dir, runningFile))
	if err != nil {
		return r, err
	}
	span := func() time.Duration { return r.Until.Sub(r.Begun) }
	if err := json.Unmarshal(b, &r); err != nil || r.User == "" || url.PathEscape(r.User) != filepath.Base(dir) ||
		!slices.Contains(Protocols, r.Protocol) || span() <= 0 || span() > TimeMax {
		return r, errs.New("trace.Resume", errs.Corrupt, fmt.Sprintf("%s is damaged: this trace does not go on", runningFile))
	}
	return r, nil
}

// count finds out what the trace wrote before the server ended.
func (t *Trace) count() {
	entries, err := os.ReadDir(t.info.Dir)
	if err != nil {
		return // whoever writes next will see
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != runningFile && info.ModTime().After(t.info.Begun) {
			t.info.Sessions++
			t.info.Octets += info.Size()
		}
	}
}
