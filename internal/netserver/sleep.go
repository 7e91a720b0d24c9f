package netserver

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// dozeTime is how long a connection waits for the next command on a goroutine before
// it sleeps, unless the options say otherwise: to fall asleep and to be roused takes a
// good part of a short command.
const dozeTime = 2 * time.Second

// expireEvery is how often at most it is looked whose time is over: all that sleep are
// looked at.
const expireEvery = time.Second

// ErrAsleep is what Await and ParkForWake return, to handlers that called MaySleep, when
// nothing came for a while, and SleepForWake at once.
var ErrAsleep = errors.New("the connection sleeps")

// MaySleep lets these three fail with ErrAsleep. The handler returns then, at
// once and with nothing ended, and its goroutine and stack are gone. When there is input,
// or its end, or Wake or Interrupt was called, or the time is over, resume goes on in its
// place: it looks what Wake was about, and calls again what failed. nil takes it back.
func (c *Conn) MaySleep(resume func(ctx context.Context)) { c.resume = resume }

// fallsAsleep reports whether a wait that failed goes on without a goroutine.
func (c *Conn) fallsAsleep(err error) bool {
	c.asleep = errors.Is(err, os.ErrDeadlineExceeded) && c.resume != nil && !c.stopped.Load() && time.Now().Before(c.until)
	return c.asleep
}

// sleepsAtOnce reports whether SleepForWake does. After it slept it looks what there is.
func (c *Conn) sleepsAtOnce() bool {
	c.asleep = c.resume != nil && c.until.IsZero() && !c.stopped.Load() && (c.records == nil || c.records.in == nil)
	if c.asleep {
		c.until = c.beginWait()
	}
	return c.asleep
}

// mustWake reports whether something happened that ends its sleep.
func (c *Conn) mustWake() bool {
	c.wake.Lock()
	defer c.wake.Unlock()
	return c.stopped.Load() || c.wake.waiting && c.wake.pending
}

// resumed runs a connection that was asleep.
func (s *Server) resumed(c *Conn, resume func(ctx context.Context)) {
	defer s.end(c)
	c.asleep = false
	c.endWait()
	c.wake.Lock()
	if c.wake.waiting && c.wake.pending { // what that was about the handler looks at now
		c.until = time.Time{}
		c.wake.pending = false
	}
	c.wake.waiting = false
	c.wake.Unlock()
	c.boundary()
	resume(s.ctx)
	c.Flush()
}

// sleepers are the connections that sleep. The kernel tells which of them have input,
// each once, until it is watched again.
type sleepers struct {
	s *Server

	mu     sync.Mutex
	file   *os.File // of epoll(7); nil: there is none yet
	epoll  int      // its descriptor
	ended  chan struct{}
	conns  map[int32]*Conn // by descriptor
	timer  *time.Timer     // of expire; nil while file is
	expiry time.Time       // when it is due, unless no connection sleeps
}

// add puts a connection to sleep. The caller must not touch it any more (invariant 4).
func (l *sleepers) add(c *Conn) {
	err := l.watch(c)
	if err != nil {
		l.s.opts.Log.Debug("an idle connection cannot be watched: it keeps its memory", "session", c.ID(), "error", err)
		resume := c.resume
		c.MaySleep(nil) // any more
		go l.s.resumed(c, resume)
		return
	}
	// Who called Wake or Interrupt a moment ago found nobody asleep.
	if c.mustWake() {
		l.rouse(c)
	}
}

func (l *sleepers) watch(c *Conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.openLocked(); err != nil {
		return err
	}
	raw, err := c.socket()
	if raw == nil {
		return errors.Join(errors.New("it is no socket"), err)
	}
	if e := raw.Control(func(fd uintptr) { err = l.controlLocked(c, int32(fd)) }); e != nil || err != nil {
		return errors.Join(e, err)
	}
	l.conns[c.fd] = c
	if len(l.conns) == 1 || c.until.Before(l.expiry) {
		l.expiry = c.until
		l.setTimerLocked()
	}
	return nil
}

// controlLocked has the kernel watch a connection, for the first time or again. What is
// closed it forgets by itself.
func (l *sleepers) controlLocked(c *Conn, fd int32) error {
	op := unix.EPOLL_CTL_MOD
	if !c.watched {
		op = unix.EPOLL_CTL_ADD
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: fd}
	if err := unix.EpollCtl(l.epoll, op, int(fd), &event); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	c.fd, c.watched = fd, true
	return nil
}

// open makes the file, for a server that serves something. Where that fails it is tried
// again when it is needed.
func (l *sleepers) open() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.openLocked(); err != nil {
		l.s.opts.Log.Warn("idle connections cannot be watched: they keep their memory", "error", err)
	}
}

func (l *sleepers) openLocked() error {
	if l.file != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime waits for it, without a thread
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	if err := file.SetReadDeadline(time.Time{}); err != nil { // the runtime cannot
		file.Close()
		return err
	}
	l.file, l.epoll, l.ended, l.conns = file, fd, make(chan struct{}), map[int32]*Conn{}
	l.timer = time.AfterFunc(time.Hour, l.expire)
	go l.listen(file, l.ended)
	return nil
}

// listen rouses connections with input until the file is closed.
func (l *sleepers) listen(file *os.File, ended chan<- struct{}) {
	defer close(ended)
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	var events [64]unix.EpollEvent
	raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err := unix.EpollWait(int(fd), events[:], 0)
			if err == unix.EINTR {
				continue
			}
			for _, e := range events[:max(n, 0)] {
				l.heard(e.Fd)
			}
			if n < len(events) {
				return false
			}
		}
	})
}

// heard rouses the connection of a descriptor, if it is asleep.
func (l *sleepers) heard(fd int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.conns[fd]; c != nil {
		l.rouseLocked(c)
	}
}

// rouse rouses a connection, if it is asleep.
func (l *sleepers) rouse(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.fd] == c {
		l.rouseLocked(c)
	}
}

func (l *sleepers) rouseLocked(c *Conn) {
	delete(l.conns, c.fd)
	go l.s.resumed(c, c.resume)
}

// expire rouses those whose time is over.
func (l *sleepers) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.expiry = time.Time{}
	for _, c := range l.conns {
		if !now.Before(c.until) {
			l.rouseLocked(c)
		} else if l.expiry.IsZero() || c.until.Before(l.expiry) {
			l.expiry = c.until
		}
	}
	if len(l.conns) > 0 {
		l.setTimerLocked()
	}
}

func (l *sleepers) setTimerLocked() { l.timer.Reset(max(time.Until(l.expiry), expireEvery)) }

// close is for when no connection is left.
func (l *sleepers) close() {
	l.mu.Lock()
	file, ended := l.file, l.ended
	if file != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	if file != nil {
		file.Close()
		<-ended
	}
}
