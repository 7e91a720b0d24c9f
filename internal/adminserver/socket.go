package adminserver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	requestMax  = 64 << 20         // octets of a request: an import of a million users
	requestTime = 10 * time.Minute // for a request, its answer, and between signs of progress
	closeTime   = 5 * time.Second  // that running commands get when the server stops
)

// Server answers on a UNIX socket.
type Server struct {
	service *Service
	log     *slog.Logger
	uid     int
	ln      net.Listener
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// Serve answers on a listener until Close. Peers other than root and uid are
// refused.
func Serve(ctx context.Context, ln net.Listener, s *Service, uid int, log *slog.Logger) *Server {
	srv := &Server{service: s, log: log, uid: uid, ln: ln}
	srv.ctx, srv.cancel = context.WithCancel(ctx)
	srv.wg.Go(srv.accept)
	return srv
}

// Close stops, and waits for running commands; long ones are ended.
func (srv *Server) Close() {
	srv.ln.Close()
	late := time.AfterFunc(closeTime, srv.cancel)
	defer late.Stop()
	srv.wg.Wait()
	srv.cancel()
}

func (srv *Server) accept() {
	for {
		nc, err := srv.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			srv.log.Warn("the administration socket could not accept", "error", err)
			time.Sleep(100 * time.Millisecond) // out of descriptors, mostly
			continue
		}
		srv.wg.Go(func() { srv.handle(nc) })
	}
}

// handle answers one request.
func (srv *Server) handle(nc net.Conn) {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(requestTime))
	uid, err := peerUID(nc)
	if err != nil || !srv.allowed(uid) {
		srv.log.Warn("a stranger on the administration socket was refused", "uid", uid, "error", err)
		json.NewEncoder(nc).Encode(Response{Error: &Error{Text: "only root and the server's own user may administrate"}})
		return
	}
	var request Request
	line, err := bufio.NewReader(io.LimitReader(nc, requestMax)).ReadBytes('\n')
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(line)).Decode(&request)
	}
	if err != nil {
		json.NewEncoder(nc).Encode(Response{Error: &Error{Text: "the request cannot be read"}})
		return
	}
	response := srv.service.Do(srv.ctx, request, fmt.Sprintf("uid %d", uid), func(text string) {
		nc.SetDeadline(time.Now().Add(requestTime))
		json.NewEncoder(nc).Encode(Response{Progress: text})
	})
	if response.Error != nil {
		srv.log.Warn("admin_command", "cmd", request.Command, "uid", uid, "error", response.Error.Text)
	} else {
		srv.log.Info("admin_command", "cmd", request.Command, "uid", uid)
	}
	json.NewEncoder(nc).Encode(response)
}

// allowed reports whether a user may administrate.
func (srv *Server) allowed(uid int) bool { return uid == 0 || uid == srv.uid }

// peerUID returns who is at the other end (SO_PEERCRED).
func peerUID(nc net.Conn) (uid int, err error) {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		return -1, errors.New("not a UNIX socket")
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return -1, err
	}
	var cred *unix.Ucred
	if e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); e != nil {
		return -1, e
	}
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

// Call sends one request to the server behind a socket. progress is told how
// far a long one is.
func Call(ctx context.Context, path string, r Request, progress func(text string)) (Response, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return Response{}, err
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	nc.SetDeadline(time.Now().Add(requestTime))
	if err := json.NewEncoder(nc).Encode(r); err != nil {
		return Response{}, err
	}
	for d := json.NewDecoder(nc); ; {
		nc.SetDeadline(time.Now().Add(requestTime))
		var response Response
		if err := d.Decode(&response); err != nil {
			return Response{}, fmt.Errorf("the server ended the connection without an answer: %w", err)
		}
		if response.Progress == "" {
			return response, nil
		}
		progress(response.Progress)
	}
}
