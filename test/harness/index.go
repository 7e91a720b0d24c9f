package harness

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"
)

// indexQuiet is how long nothing is added to the index of texts when it is
// done; the server rests between blocks of it.
const indexQuiet = 3 * time.Second

// AwaitIndex waits until the server has indexed the texts that a search asked for.
func (s *Server) AwaitIndex() error {
	dir := filepath.Join(s.Data, "search")
	for size, quiet := int64(-1), time.Now().Add(indexQuiet); time.Now().Before(quiet); {
		time.Sleep(100 * time.Millisecond) // another process works
		now, err := sizeOf(dir)
		if err != nil {
			return err
		}
		if now != size {
			size, quiet = now, time.Now().Add(indexQuiet)
		}
	}
	return nil
}

// sizeOf is the octets of the files below a directory, which may be missing.
func sizeOf(dir string) (octets int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			octets += info.Size()
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return octets, err
}
