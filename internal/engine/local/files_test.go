package local

import (
	"testing"

	"github.com/angarium/angarium/internal/vfs"
)

// slowFile is a file that takes time to close.
type slowFile struct {
	vfs.File
	closes, closed chan struct{}
}

func (f slowFile) Close() error {
	close(f.closes)
	<-f.closed
	return nil
}

// noFile is a file that nothing is done with.
type noFile struct{ vfs.File }

func (noFile) Close() error { return nil }

// TestSlowClose: while a removed segment is being closed, which takes long when its
// octets are still being written, others are read.
func TestSlowClose(t *testing.T) {
	for name, drop := range map[string]func(*fileCache, *openFile){
		"dropped":     func(c *fileCache, f *openFile) { c.done(f); c.drop(1) },
		"last reader": func(c *fileCache, f *openFile) { c.drop(1); c.done(f) },
		"trimmed": func(c *fileCache, f *openFile) {
			c.done(f)
			for n := range uint32(openFilesMax) {
				c.get(n + 2)
			}
		},
		"all": func(c *fileCache, f *openFile) { c.done(f); c.closeAll() },
	} {
		t.Run(name, func(t *testing.T) {
			slow := slowFile{closes: make(chan struct{}), closed: make(chan struct{})}
			c := &fileCache{m: map[uint32]*openFile{}, open: func(n uint32) (vfs.File, error) {
				if n == 1 {
					return slow, nil
				}
				return noFile{}, nil
			}}
			f, err := c.get(1)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				drop(c, f)
				close(ended)
			}()
			<-slow.closes
			if _, err := c.get(1000); err != nil { // hangs where it has to wait
				t.Fatal(err)
			}
			close(slow.closed)
			<-ended
		})
	}
}
