package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/angarium/angarium/test/harness"
)

// index has the server index the texts, as it does after a first search, and
// ends it.
func (b *bench) index() error {
	if err := b.srv.Start(); err != nil {
		return err
	}
	c, err := harness.DialBulk(b.srv.IMAP, user, password, make([]byte, 1<<20))
	if err != nil {
		return err
	}
	defer c.Close()
	for _, command := range []string{"SELECT INBOX", `SEARCH BODY "word is w777w"`} {
		var slow *harness.Answer // a search that takes too long is ended, but its texts are indexed
		if err := c.Do(command); err != nil && !errors.As(err, &slow) {
			return err
		}
	}
	if err := b.srv.AwaitIndex(); err != nil {
		return err
	}
	_, err = b.srv.Stop()
	return err
}

// drop takes the stopped server's files out of the system's page cache, which
// lets go of what is on the disk.
func (b *bench) drop() error {
	unix.Sync()
	if b.allCaches {
		return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3\n"), 0)
	}
	return filepath.WalkDir(b.srv.Data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	})
}
