package netserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

type fixture struct {
	*Server
	certs *Certificates
	addr  string
}

func start(t testing.TB, o Options, l ListenerOptions) *fixture {
	t.Helper()
	certFile, keyFile, err := SelfSigned(t.TempDir(), []string{"localhost", "127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	certs, err := LoadCertificates(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	o.Log, o.Certificates = slog.New(slog.DiscardHandler), certs
	s := New(context.WithoutCancel(t.Context()), o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(ln, l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Shutdown(ctx)
	})
	return &fixture{s, certs, ln.Addr().String()}
}

func dial(t testing.TB, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc, bufio.NewReader(nc)
}

// echo answers each line with itself; it parks before each.
func echo(max int) Handler {
	return func(ctx context.Context, c *Conn) {
		c.Known()
		for {
			if !c.HasLine() {
				c.Flush()
				if err := c.Park(); err != nil {
					c.WriteString("bye " + err.Error() + "\n")
					return
				}
			}
			line, err := c.ReadLine(max)
			if err != nil {
				c.WriteString("error " + err.Error() + "\n")
				return
			}
			switch string(line) {
			case "tls":
				c.WriteString("go\n")
				c.Flush()
				if err := c.StartTLS(ctx); err != nil {
					return
				}
			case "panic":
				panic("as asked")
			default:
				c.WriteString(fmt.Sprintf("%v %d\n", c.IsTLS(), len(line)))
			}
		}
	}
}

// TestLines: line lengths around the buffer's and the limit's size, in one
// packet and octet by octet.
func TestLines(t *testing.T) {
	const max = 40_000
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", Handler: echo(max)})
	nc, r := dial(t, f.addr)
	for _, n := range []int{0, 1, 100, readBuffer - 2, readBuffer - 1, readBuffer, readBuffer + 1, 2*readBuffer - 1, 2 * readBuffer, max - 1, max} {
		fmt.Fprintf(nc, "%s\r\nx\n", strings.Repeat("a", n))
		for _, want := range []string{fmt.Sprintf("false %d\n", n), "false 1\n"} {
			if got, _ := r.ReadString('\n'); got != want {
				t.Errorf("a line of %d: %q", n, got)
			}
		}
	}
	for _, c := range "ab\r\n" {
		nc.Write([]byte(string(c)))
	}
	if got, _ := r.ReadString('\n'); got != "false 2\n" {
		t.Error(got)
	}
	fmt.Fprintf(nc, "%s\r\n", strings.Repeat("a", max+1))
	if got, _ := r.ReadString('\n'); got != "error "+ErrLineTooLong.Error()+"\n" {
		t.Error(got)
	}
}

// TestInjection: what a client sends behind STARTTLS, before the handshake,
// is never taken for a command inside TLS (RFC 3501 §6.2.1).
func TestInjection(t *testing.T) {
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", Handler: echo(100)})
	nc, r := dial(t, f.addr)
	io.WriteString(nc, "tls\r\ninjected\r\n")
	if got, _ := r.ReadString('\n'); got != "go\n" {
		t.Fatal(got)
	}
	if rest, err := io.ReadAll(r); err == nil && len(rest) > 0 {
		t.Errorf("answered %q", rest)
	}
	nc, r = dial(t, f.addr)
	io.WriteString(nc, "tls\r\n")
	r.ReadString('\n')
	tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
	// Records of all sizes, several in one packet, so that parking must not
	// miss what is inside the TLS layer.
	tr := bufio.NewReader(tc)
	for _, n := range []int{1, 5, 99} {
		for range 3 {
			fmt.Fprintf(tc, "%s\r\n", strings.Repeat("b", n))
		}
		for range 3 {
			if got, _ := tr.ReadString('\n'); got != fmt.Sprintf("true %d\n", n) {
				t.Error(got)
			}
		}
	}
}

// TestReload: new connections get the new certificate, a bad one changes
// nothing, and sessions stay.
func TestReload(t *testing.T) {
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", ImplicitTLS: true, ALPN: []string{"imap"}, Handler: echo(100)})
	serial := func() string {
		tc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"imap"}})
		if err != nil {
			t.Fatal(err)
		}
		defer tc.Close()
		if p := tc.ConnectionState().NegotiatedProtocol; p != "imap" {
			t.Errorf("protocol %q", p)
		}
		return tc.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	old, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	first := serial()
	bad := filepath.Join(t.TempDir(), "bad")
	os.WriteFile(bad, []byte("x"), 0o600)
	if err := f.certs.Reload(bad, bad); err == nil || serial() != first {
		t.Error("a bad certificate was taken", err)
	}
	certFile, keyFile, err := SelfSigned(t.TempDir(), []string{"localhost"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.certs.Reload(certFile, keyFile); err != nil || serial() == first {
		t.Error("the certificate was not replaced", err)
	}
	io.WriteString(old, "x\r\n")
	if got, _ := bufio.NewReader(old).ReadString('\n'); got != "true 1\n" {
		t.Error(got)
	}
	// Another protocol's client is refused (RFC 7301 §3.2), TLS 1.1 as well.
	if tc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); err == nil {
		tc.Close()
		t.Error("another protocol was taken")
	}
	if tc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		tc.Close()
		t.Error("TLS 1.1 was taken")
	}
}

// TestWake: Wake ends a wait, also one that has not begun, and disturbs no
// other reads. A resumed TLS session shows that listeners share their keys.
func TestWake(t *testing.T) {
	conns := make(chan *Conn, 1)
	f := start(t, Options{}, ListenerOptions{Protocol: "wake", ImplicitTLS: true, Handler: func(ctx context.Context, c *Conn) {
		conns <- c
		for {
			woken, err := c.ParkForWake()
			switch {
			case err != nil:
				return
			case woken:
				c.WriteString("woken\n")
			default:
				line, err := c.ReadLine(100)
				if err != nil {
					return
				}
				c.WriteString(string(line) + "\n")
			}
			c.Flush()
		}
	}})
	cache := tls.NewLRUClientSessionCache(1)
	for i := range 2 {
		tc, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: cache})
		if err != nil {
			t.Fatal(err)
		}
		if resumed := tc.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d resumed: %v", i, resumed)
		}
		r := bufio.NewReader(tc)
		c := <-conns
		for range 50 {
			c.Wake()
			if got, _ := r.ReadString('\n'); got != "woken\n" {
				t.Fatal(got)
			}
			io.WriteString(tc, "li")
			c.Wake() // perhaps in the midst of a line
			io.WriteString(tc, "ne\n")
			for want := map[string]bool{"line\n": true}; len(want) > 0; {
				got, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				delete(want, got)
			}
			c.Wake()
			for got := ""; got != "woken\n"; {
				got, _ = r.ReadString('\n')
			}
			// Whatever wake-up is left over is taken before the next turn.
			io.WriteString(tc, "end\n")
			for got := ""; got != "end\n"; {
				got, _ = r.ReadString('\n')
			}
		}
		tc.Close()
	}
}

// TestTotalMax: connections at the limit and beyond.
func TestTotalMax(t *testing.T) {
	f := start(t, Options{TotalMax: 3}, ListenerOptions{Protocol: "echo", Refuse: "full\n", Handler: echo(100)})
	for i := range 4 {
		nc, r := dial(t, f.addr)
		io.WriteString(nc, "x\n")
		want := "false 1\n"
		if i == 3 {
			want = "full\n"
		}
		if got, _ := r.ReadString('\n'); got != want {
			t.Errorf("connection %d: %q", i+1, got)
		}
	}
}

// TestPrefix: an IPv6 client is its /64; loopback does not count.
func TestPrefix(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.1": "192.0.2.1/32", "2001:db8::1": "2001:db8::/64", "127.0.0.1": "invalid Prefix", "::1": "invalid Prefix"} {
		if got := prefix(netip.MustParseAddr(addr)).String(); got != want {
			t.Errorf("%s: %s", addr, got)
		}
	}
}

// from returns a connection of an address.
func from(s *Server, addr string) *Conn {
	return &Conn{s: s, plain: &addrConn{remote: &net.TCPAddr{IP: net.ParseIP(addr), Port: 1}}}
}

// TestPerAddress: connections and new ones of an address, at the limits and
// beyond; others are not concerned.
func TestPerAddress(t *testing.T) {
	s := New(t.Context(), Options{})
	now := time.Now()
	var open []*Conn
	for i := range PerAddressMax + 1 {
		c := from(s, "2001:db8::"+strconv.Itoa(i+1))
		if ok := s.admit(c, now); ok != (i < PerAddressMax) {
			t.Fatalf("connection %d: %v", i+1, ok)
		} else if ok {
			open = append(open, c)
		}
	}
	if !s.admit(from(s, "2001:db8:1::1"), now) {
		t.Error("another network was refused")
	}
	for i := PerAddressMax; i < PerAddressNewMax+1; i++ {
		s.leave(open[0])
		open = append(open[1:], from(s, "2001:db8::1"))
		if ok := s.admit(open[len(open)-1], now.Add(59*time.Second)); ok != (i < PerAddressNewMax) {
			t.Fatalf("new connection %d: %v", i+1, ok)
		}
	}
	if !s.admit(from(s, "2001:db8::1"), now.Add(time.Minute)) {
		t.Error("a minute later it is still refused")
	}
}

// TestForget: addresses that are gone are forgotten, those that are there or
// still count are not.
func TestForget(t *testing.T) {
	s := New(t.Context(), Options{})
	now := time.Now()
	stays := from(s, "192.0.2.1")
	s.admit(stays, now)
	for i := range 100 {
		c := from(s, "198.51.100."+strconv.Itoa(i))
		s.admit(c, now)
		s.leave(c)
	}
	if n := len(s.mu.addresses); n != 101 {
		t.Errorf("%d addresses within the minute", n)
	}
	s.admit(from(s, "203.0.113.1"), now.Add(time.Minute))
	if n := len(s.mu.addresses); n != 2 {
		t.Errorf("%d addresses a minute later", n)
	}
	s.leave(stays)
}

// TestAnonymous: of too many connections that nobody logged in on, the oldest
// makes room; known ones stay.
func TestAnonymous(t *testing.T) {
	s := New(t.Context(), Options{TotalMax: 12})
	var all []*Conn
	for i := range 5 {
		c := from(s, "192.0.2."+strconv.Itoa(i+1))
		if !s.admit(c, time.Now()) {
			t.Fatal("refused")
		}
		all = append(all, c)
		if i == 0 {
			c.Known()
		}
	}
	for i, c := range all {
		if closed := c.plain.(*addrConn).closed; closed != (i == 1) {
			t.Errorf("connection %d closed: %v", i+1, closed)
		}
	}
}

type addrConn struct {
	net.Conn
	remote net.Addr
	closed bool
}

func (c *addrConn) Close() error        { c.closed = true; return nil }
func (c *addrConn) LocalAddr() net.Addr { return c.remote }

func (c *addrConn) RemoteAddr() net.Addr { return c.remote }

// TestPanic: a panic ends one session only, and is counted.
func TestPanic(t *testing.T) {
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", Handler: echo(100)})
	other, or := dial(t, f.addr)
	nc, r := dial(t, f.addr)
	io.WriteString(nc, "panic\n")
	if _, err := r.ReadString('\n'); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	io.WriteString(other, "x\n")
	if got, _ := or.ReadString('\n'); got != "false 1\n" || f.Panics() != 1 {
		t.Error(got, f.Panics())
	}
}

// TestShutdown: parked sessions are told and end.
func TestShutdown(t *testing.T) {
	f := start(t, Options{}, ListenerOptions{Protocol: "echo", Handler: echo(100)})
	nc, r := dial(t, f.addr)
	io.WriteString(nc, "x\n")
	r.ReadString('\n')
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	f.Shutdown(ctx)
	if ctx.Err() != nil {
		t.Error("it took the whole time")
	}
	if got, _ := r.ReadString('\n'); got != "bye "+ErrTimeout.Error()+"\n" {
		t.Error(got)
	}
}

// FuzzRecords: TLS records reach the layer above one at a time, whole, and in
// order, however they arrive.
func FuzzRecords(f *testing.F) {
	f.Add([]byte{22, 3, 1, 0, 2, 'a', 'b', 23, 3, 3, 0, 0}, 3)
	f.Fuzz(func(t *testing.T, in []byte, size int) {
		size = max(1, min(size, 100))
		r := &recordConn{Conn: &pieces{in: in, size: size}}
		var out []byte
		buf := make([]byte, size)
		for {
			n, err := r.Read(buf)
			out = append(out, buf[:n]...)
			if err != nil {
				break
			}
		}
		if string(out) != string(in) {
			t.Errorf("%x became %x", in, out)
		}
	})
}

// TestLook: a look takes nothing from the layer above, whatever of records has
// arrived, and does not miss what an earlier one took.
func TestLook(t *testing.T) {
	var records []byte
	for _, n := range []int{0, 1, 300, 4 << 10, 16 << 10, 2} {
		records = append(binary.BigEndian.AppendUint16(append(records, 23, 3, 3), uint16(n)), bytes.Repeat([]byte{byte(n)}, n)...)
	}
	for _, size := range []int{1, 4, 5, 6, 700, 5000, len(records)} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for piece := range slices.Chunk(records, size) {
				client.Write(piece)
			}
			client.Close()
		}()
		r := &recordConn{Conn: server}
		var out []byte
		buf := make([]byte, 1000)
		for err == nil {
			if err := onReadable(server, r.look); err != nil {
				t.Fatal(err)
			}
			r.useless = 0
			var n int
			n, err = r.Read(buf)
			out = append(out, buf[:n]...)
		}
		if err != io.EOF || !bytes.Equal(out, records) {
			t.Errorf("in pieces of %d: %d octets of %d, %v", size, len(out), len(records), err)
		}
		server.Close()
		l.Close()
	}
}

type pieces struct {
	net.Conn
	in   []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in[:min(p.size, len(p.in))])
	p.in = p.in[n:]
	return n, nil
}

// TestGone: a peer that closed its side is gone, unless there is something of
// it left to be read.
func TestGone(t *testing.T) {
	look, told := make(chan bool), make(chan bool)
	f := start(t, Options{}, ListenerOptions{Protocol: "test", Handler: func(_ context.Context, c *Conn) {
		for <-look { // false: the connection is not needed any more
			told <- c.Gone()
		}
	}})
	gone := func() bool { look <- true; return <-told }
	nc, _ := dial(t, f.addr)
	if gone() {
		t.Error("a peer that is there is gone")
	}
	io.WriteString(nc, "x LOGOUT\r\n")
	nc.(*net.TCPConn).CloseWrite()
	if gone() {
		t.Error("a peer that said goodbye is gone before it was heard")
	}
	look <- false

	nc, _ = dial(t, f.addr)
	nc.(*net.TCPConn).CloseWrite()
	for end := time.Now().Add(5 * time.Second); !gone(); {
		if time.Now().After(end) {
			t.Error("a peer that closed its side is not gone")
			break
		}
	}
	look <- false
}

// BenchmarkLine is a line and its answer, parked in between.
func BenchmarkLine(b *testing.B) {
	f := start(b, Options{}, ListenerOptions{Protocol: "echo", Handler: echo(100)})
	nc, br := dial(b, f.addr)
	for b.Loop() {
		io.WriteString(nc, "line\n")
		if _, err := br.ReadSlice('\n'); err != nil {
			b.Fatal(err)
		}
	}
}
