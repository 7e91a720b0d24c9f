package netserver

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// waitReadable waits until the connection has input or an end, or its read
// deadline passes.
func waitReadable(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil // a test's pipe: the read itself waits
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err != unix.EAGAIN && err != unix.EINTR
	})
}

// recordConn hands one TLS record at a time to the TLS layer above it, so that
// no part of a further one is inside that layer while the connection is
// parked: what waits, waits in the kernel, where Park sees it.
type recordConn struct {
	net.Conn
	left   int // octets of the current record still to be handed over
	header [5]byte
	have   int // of the header
	given  int // of the header
}

func (r *recordConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.left == 0 && r.given == r.have {
		r.have, r.given = 0, 0
	}
	for r.have < len(r.header) {
		n, err := r.Conn.Read(r.header[r.have:])
		r.have += n
		if err != nil {
			if r.have > r.given {
				break // hand over what there is; the error comes again
			}
			return 0, err
		}
		if n == 0 {
			return 0, io.ErrNoProgress
		}
		if r.have == len(r.header) {
			r.left = int(r.header[3])<<8 | int(r.header[4])
		}
	}
	if r.given < r.have {
		n := copy(p, r.header[r.given:r.have])
		r.given += n
		return n, nil
	}
	n, err := r.Conn.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// SyscallConn lets Park wait on the connection below.
func (r *recordConn) SyscallConn() (syscall.RawConn, error) {
	return r.Conn.(syscall.Conn).SyscallConn()
}
