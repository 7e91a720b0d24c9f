package main

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// The file is written over and over, so that it stays in the page cache.
const (
	logOctets = 128 << 20
	largest   = 64 << 20 // of a change
)

// syncLog is a file of changes. One sync is for all who wrote before it began.
type syncLog struct {
	file *os.File
	end  atomic.Int64

	mu          sync.Mutex
	turned      sync.Cond
	begun, done uint64 // syncs
	err         error
}

// newLog makes a file without a name.
func newLog(dir string) (*syncLog, error) {
	f, err := os.CreateTemp(dir, "limit-")
	if err != nil {
		return nil, err
	}
	os.Remove(f.Name())
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < logOctets; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros, at); err != nil {
			return nil, err
		}
	}
	l := &syncLog{file: f}
	l.turned.L = &l.mu
	return l, f.Sync()
}

// write returns when the octets are on the disk.
func (l *syncLog) write(octets []byte) error {
	n := int64(len(octets))
	at := (l.end.Add(n) - n) % (logOctets - largest)
	if _, err := l.file.WriteAt(octets, at); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for want := l.begun + 1; l.done < want; {
		if l.begun > l.done {
			l.turned.Wait()
			continue
		}
		l.begun++
		l.mu.Unlock()
		err := syscall.Fdatasync(int(l.file.Fd()))
		l.mu.Lock()
		l.done = l.begun
		if err != nil {
			l.err = err
		}
		l.turned.Broadcast()
	}
	return l.err
}
