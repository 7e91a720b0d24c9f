package netserver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// napper echoes lines and tells how much news there is, and sleeps between.
type napper struct {
	c     *Conn
	way   string // that it waits
	news  atomic.Int64
	told  int64
	quit  atomic.Bool
	turns atomic.Int64 // that it was called
	nods  func()       // is called, unless it is nil, before it falls asleep
}

func (n *napper) serve(context.Context) {
	n.turns.Add(1)
	if n.quit.Load() {
		fmt.Fprintf(n.c, "quit\n")
		return
	}
	for {
		if news := n.news.Load(); news != n.told {
			n.told = news
			fmt.Fprintf(n.c, "news %d\n", news)
		}
		woken, err := n.wait()
		switch {
		case errors.Is(err, ErrAsleep):
			if n.nods != nil {
				n.nods()
			}
			return
		case woken:
			continue
		}
		var line []byte
		if err == nil {
			line, err = n.c.ReadLine(100)
		}
		if err != nil {
			fmt.Fprintf(n.c, "bye %v\n", err)
			return
		}
		fmt.Fprintf(n.c, "%s\n", line)
	}
}

// How they wait.
const (
	await = "Await"
	park  = "ParkForWake"
	sleep = "SleepForWake"
)

func (n *napper) wait() (woken bool, err error) {
	if n.way == await {
		return false, n.c.Await()
	}
	if err := n.c.Flush(); err != nil {
		return false, err
	}
	if n.way == park {
		return n.c.ParkForWake()
	}
	return n.c.SleepForWake()
}

// startNappers returns a server of them, and those whose clients are there. begin is
// called before each of them is served, unless it is nil.
func startNappers(t *testing.T, o Options, l ListenerOptions, way string, begin func(n *napper)) (*fixture, <-chan *napper) {
	t.Helper()
	came := make(chan *napper, 16)
	l.Protocol, l.Handler = "test", func(ctx context.Context, c *Conn) {
		n := &napper{c: c, way: way}
		c.Known()
		c.SetReadTimeout(time.Hour)
		if begin != nil {
			begin(n)
		}
		c.MaySleep(n.serve)
		came <- n
		n.serve(ctx)
	}
	return start(t, o, l), came
}

// awaitAsleep waits until so many connections sleep.
func awaitAsleep(t *testing.T, f *fixture, n int) {
	t.Helper()
	awaitCount(t, "connections asleep", n, func() int {
		f.sleepers.mu.Lock()
		defer f.sleepers.mu.Unlock()
		return len(f.sleepers.conns)
	})
}

// awaitGone waits until there is no connection.
func awaitGone(t *testing.T, f *fixture) {
	t.Helper()
	awaitCount(t, "connections", 0, f.Connections)
}

func awaitCount(t *testing.T, what string, n int, count func() int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); count() != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d %s, not %d", count(), what, n)
		}
	}
}

func expectLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if line, err := r.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("%q, %v; want %q", line, err, want)
	}
}

// TestSleep: a connection that sleeps hears its client, Wake and Interrupt, and that
// the client is gone.
func TestSleep(t *testing.T) {
	for _, way := range []string{await, park, sleep} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", way, secure), func(t *testing.T) {
				f, came := startNappers(t, Options{DozeTime: time.Millisecond}, ListenerOptions{ImplicitTLS: secure}, way, nil)
				connect := func() (net.Conn, *bufio.Reader, *napper) {
					nc, r := dial(t, f.addr)
					if secure {
						nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
						r = bufio.NewReader(nc)
						if err := nc.(*tls.Conn).Handshake(); err != nil {
							t.Fatal(err)
						}
					}
					return nc, r, <-came
				}
				nc, r, n := connect()
				for i := range 3 {
					awaitAsleep(t, f, 1)
					fmt.Fprintf(nc, "line %d\n", i)
					expectLine(t, r, fmt.Sprintf("line %d", i))
				}
				awaitAsleep(t, f, 1)
				turns := n.turns.Load()
				n.news.Add(1)
				n.c.Wake()
				if way != await {
					expectLine(t, r, "news 1")
					awaitAsleep(t, f, 1)
				} else {
					fmt.Fprintf(nc, "x\n") // Wake is nothing to who waits for a command
					expectLine(t, r, "news 1")
					expectLine(t, r, "x")
				}
				if got := n.turns.Load(); got != turns+1 {
					t.Errorf("it was called %d times", got-turns)
				}
				awaitAsleep(t, f, 1)
				n.c.Interrupt()
				expectLine(t, r, "bye "+ErrTimeout.Error())

				nc, r, n = connect()
				awaitAsleep(t, f, 1)
				n.quit.Store(true)
				fmt.Fprintf(nc, "x\n")
				expectLine(t, r, "quit")
				awaitGone(t, f)

				gone, _, _ := connect()
				awaitAsleep(t, f, 1)
				gone.Close()
				awaitGone(t, f)
			})
		}
	}
}

// TestNod: what happens while a connection falls asleep ends its sleep.
func TestNod(t *testing.T) {
	for name, happens := range map[string]func(n *napper){
		"news 1": func(n *napper) {
			if n.news.Add(1) == 1 {
				n.c.Wake()
			}
		},
		"bye " + ErrTimeout.Error(): func(n *napper) { n.c.Interrupt() },
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := startNappers(t, Options{}, ListenerOptions{}, sleep, func(n *napper) { n.nods = func() { happens(n) } })
			_, r := dial(t, f.addr)
			expectLine(t, r, name)
		})
	}
}

// TestSleepTime: who sleeps is silent for no longer than others, however often it was
// roused by what says nothing.
func TestSleepTime(t *testing.T) {
	for _, way := range []string{await, park, sleep} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			const timeout = 1500 * time.Millisecond
			var others atomic.Bool
			f, came := startNappers(t, Options{DozeTime: time.Millisecond}, ListenerOptions{}, way, func(n *napper) {
				if others.Swap(true) {
					n.c.SetReadTimeout(timeout)
				}
			})
			dial(t, f.addr)
			<-came
			awaitAsleep(t, f, 1)
			began := time.Now()
			_, r := dial(t, f.addr) // its time is over sooner
			n := <-came
			awaitAsleep(t, f, 2)
			f.sleepers.rouse(n.c)
			expectLine(t, r, "bye "+ErrTimeout.Error())
			if took := time.Since(began); took < timeout || took > 5*timeout {
				t.Errorf("it was ended after %v", took)
			}
			if turns := n.turns.Load(); turns != 3 {
				t.Errorf("it was called %d times", turns)
			}
		})
	}
}

// TestSleepRecords: what came with the command before is not slept over: nothing
// more of it comes from the kernel.
func TestSleepRecords(t *testing.T) {
	f, _ := startNappers(t, Options{DozeTime: time.Millisecond}, ListenerOptions{ImplicitTLS: true}, sleep, nil)
	nc, _ := dial(t, f.addr)
	held := &heldConn{Conn: nc}
	client := tls.Client(held, &tls.Config{InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(client)
	awaitAsleep(t, f, 1)
	held.hold = true
	for i := range 3 {
		fmt.Fprintf(client, "line %d\n", i)
	}
	if _, err := nc.Write(held.out.Bytes()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		expectLine(t, r, fmt.Sprintf("line %d", i))
	}
}

// heldConn keeps what is written while hold is set.
type heldConn struct {
	net.Conn
	hold bool
	out  bytes.Buffer
}

func (c *heldConn) Write(p []byte) (int, error) {
	if c.hold {
		return c.out.Write(p)
	}
	return c.Conn.Write(p)
}

// TestSleepRace: neither input nor news is missed, whatever moment it comes at.
func TestSleepRace(t *testing.T) {
	f, came := startNappers(t, Options{DozeTime: time.Microsecond}, ListenerOptions{}, sleep, nil)
	var all sync.WaitGroup
	for range 8 {
		nc, r := dial(t, f.addr)
		n := <-came
		all.Go(func() {
			for i := range 300 {
				news := rand.IntN(2) == 0
				if news {
					n.news.Add(1)
					n.c.Wake()
				}
				fmt.Fprintf(nc, "line %d\n", i)
				for answered := false; !answered || news; {
					line, err := r.ReadString('\n')
					if err != nil {
						t.Error(err)
						return
					}
					if strings.HasPrefix(line, "news ") {
						news = false
					} else {
						answered = true
					}
				}
				if rand.IntN(4) == 0 {
					time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
				}
			}
		})
	}
	all.Wait()
}

// TestShutdownAsleep: a server that stops ends the sessions that sleep.
func TestShutdownAsleep(t *testing.T) {
	f, _ := startNappers(t, Options{}, ListenerOptions{}, sleep, nil)
	var readers []*bufio.Reader
	for range 10 {
		_, r := dial(t, f.addr)
		readers = append(readers, r)
	}
	awaitAsleep(t, f, 10)
	f.Shutdown(t.Context())
	for _, r := range readers {
		expectLine(t, r, "bye "+ErrTimeout.Error())
	}
}

// TestSleepless: a connection that the kernel cannot watch waits as it did before.
func TestSleepless(t *testing.T) {
	f, came := startNappers(t, Options{}, ListenerOptions{}, sleep, nil)
	dial(t, f.addr)
	o := (<-came).c.listener
	client, server := net.Pipe()
	defer client.Close()
	c := newConn(f.Server, server, nil)
	c.listener = o
	f.wg.Add(1)
	go f.run(c)
	r := bufio.NewReader(client)
	for range 2 {
		fmt.Fprintf(client, "line\n")
		expectLine(t, r, "line")
	}
	if turns := (<-came).turns.Load(); turns != 2 {
		t.Errorf("it was called %d times: it was put to sleep again and again", turns)
	}
}
