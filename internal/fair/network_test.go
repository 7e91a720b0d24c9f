package fair

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	longWork = 6 * time.Millisecond
	rounds   = 40
	// clientOf names the addresses of TestNetworkIsWatched in the environment of
	// its client.
	clientOf = "ANGARIUM_TEST_FAIR_CLIENT"
)

func TestMain(m *testing.M) {
	if addresses := os.Getenv(clientOf); addresses != "" {
		prompt, err := ask(strings.Fields(addresses))
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(prompt))
		return
	}
	os.Exit(m.Run())
}

// TestNetworkIsWatched: while the goroutine that a client woke computes with a
// turn, and a processor has nothing to do, other clients are answered at once.
// Without watchNetwork hardly one of the rounds passes: what they send is seen
// after 10 ms. The clients are a process of their own, since this one would
// look at the network for them.
func TestNetworkIsWatched(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("there is but one processor")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	q := newQueue(1, time.Now)
	long := serve(t, func() {
		turn, err := q.NewWork().Take(context.Background(), 1)
		if err != nil {
			t.Error(err)
		}
		for begun := time.Now(); time.Since(begun) < longWork; {
		}
		turn.End()
	})
	short := serve(t, func() {})
	client := exec.Command(os.Args[0])
	client.Env = append(os.Environ(), clientOf+"="+long+" "+short)
	client.Stderr = os.Stderr
	out, err := client.Output()
	if err != nil {
		t.Fatal(err)
	}
	if prompt, err := strconv.Atoi(string(out)); err != nil || prompt < rounds/4 {
		t.Errorf("%s of %d short requests were answered while a long one was worked on (%v)", out, rounds, err)
	}
}

// serve answers each octet of a client with another one, after some work.
func serve(t *testing.T, work func()) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer ln.Close()
		server, err := ln.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer server.Close()
		for b := make([]byte, 1); ; {
			if _, err := server.Read(b); err != nil {
				return
			}
			work()
			if _, err := server.Write(b); err != nil {
				return
			}
		}
	}()
	return ln.Addr().String()
}

// ask is the client: it asks for long work, and during that for short work, and
// tells how often the short was done before the long.
func ask(addresses []string) (prompt int, err error) {
	var conns []net.Conn
	for _, a := range addresses {
		c, err := net.Dial("tcp", a)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		conns = append(conns, c)
	}
	long, short, b := conns[0], conns[1], []byte{1}
	for range rounds {
		time.Sleep(longWork) // the server has nothing to do
		begun := time.Now()
		_, err1 := long.Write(b)
		time.Sleep(longWork / 6)
		_, err2 := short.Write(b)
		_, err3 := short.Read(b)
		if time.Since(begun) < longWork {
			prompt++
		}
		_, err4 := long.Read(b)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return 0, err
		}
	}
	return prompt, nil
}
