package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/directory"
	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
)

type server struct {
	net  *netserver.Server
	addr string
}

func serve(ctx context.Context, st *store.Store, sessions int) (*server, error) {
	log := slog.New(slog.DiscardHandler)
	a := auth.New(directory.New(st, "large.example"), auth.Options{Log: log, Now: time.Now})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{netserver.New(ctx, netserver.Options{Log: log, Certificates: nil}), ln.Addr().String()}
	imap := imapserver.New(st, a, imapserver.Options{Log: log, SessionsMax: sessions + 10})
	s.net.Serve(ln, netserver.ListenerOptions{Protocol: "imap", Refuse: imapserver.Refuse, Handler: imap.On("imap")})
	return s, nil
}

func (s *server) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s.net.Shutdown(ctx)
}

var buffer [1 << 20]byte // of the one client that reads at a time

func dial(addr string) (*harness.Bulk, error) {
	return harness.DialBulk(addr, user, password, buffer[:])
}

// commands runs commands one by one.
func commands(addr string, messages int) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Printf("%-44s %10s %10s %14s %14s\n", "", "ms", "CPU ms", "octets sent", "allocated KiB")
	_, before, _ := memory(true)
	for _, first := range []struct{ command, note string }{
		{"SELECT INBOX", " (the list is on disk)"},
		{"FETCH 1 (FLAGS)", " (waits for the list)"},
	} {
		if err := measure(c, first.command, 1, first.note); err != nil {
			return err
		}
	}
	_, after, _ := memory(true)
	list := after - before
	half := messages/2 + 1
	for _, command := range []string{ // the same again: the least of three
		"SELECT INBOX",
		"FETCH 1:* (UID FLAGS)",
		"UID FETCH 1:* (FLAGS)",
		"FETCH 1:* FAST",
		fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", 1<<40),
		"SEARCH UNSEEN",
		"UID SEARCH RETURN (COUNT) SEEN",
		"UID SEARCH RETURN (ALL) UNSEEN",
		"UID SEARCH RETURN (PARTIAL -1:-100) ALL",
		"SORT (REVERSE ARRIVAL) UTF-8 ALL",
		"STATUS INBOX (MESSAGES UNSEEN UIDNEXT)",
		"NOOP",
	} {
		if err := measure(c, command, 3, ""); err != nil {
			return err
		}
	}
	for _, command := range []string{ // what changes something is done once
		fmt.Sprintf("STORE %d +FLAGS (\\Deleted)", half),
		"EXPUNGE",
		"APPEND INBOX {3+}\r\nx\r\n",
		"STORE 1:* +FLAGS.SILENT (\\Answered)",
	} {
		if err := measure(c, command, 1, ""); err != nil {
			return err
		}
	}
	fmt.Printf("the list of messages in memory: %.1f MiB, %.0f octets a message\n", float64(list)/(1<<20), float64(list)/float64(messages))
	return nil
}

// measure tells the least of some runs: the first fills pools.
func measure(c *harness.Bulk, command string, runs int, note string) error {
	least, leastCPU, allocated := time.Hour, time.Hour, uint64(1<<63)
	for range runs {
		before, _, _ := memory(false)
		begin, beginCPU := time.Now(), cpu()
		if err := c.Do(command); err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		least, leastCPU = min(least, time.Since(begin)), min(leastCPU, cpu()-beginCPU)
		after, _, _ := memory(false)
		allocated = min(allocated, after-before)
	}
	name, _, _ := bytes.Cut([]byte(command), []byte("\r\n"))
	fmt.Printf("%-44s %10.2f %10.2f %14d %14.1f\n", string(name)+note, float64(least.Microseconds())/1000, float64(leastCPU.Microseconds())/1000, c.Octets, float64(allocated)/1024)
	return nil
}

// many has sessions select the mailbox, all at once, and tells what each
// costs, then what one change costs with all of them there.
func many(addr string, sessions int) error {
	first, err := dial(addr)
	if err != nil {
		return err
	}
	defer first.Close()
	if err := first.Do("SELECT INBOX"); err != nil {
		return err
	}
	_, heap, stacks := memory(true)
	clients := make([]*harness.Bulk, sessions)
	for i := range clients {
		if clients[i], err = dial(addr); err != nil {
			return err
		}
		defer clients[i].Close()
		if err := clients[i].Do("SELECT INBOX"); err != nil {
			return err
		}
	}
	_, heap2, stacks2 := memory(true)
	fmt.Printf("%d sessions with the mailbox selected: %.1f KiB of heap and %.1f KiB of stack each, the client's part included\n",
		sessions, float64(int64(heap2-heap))/1024/float64(sessions), float64(int64(stacks2-stacks))/1024/float64(sessions))
	before, _, _ := memory(false)
	begin := time.Now()
	if err := first.Do("STORE 1 FLAGS (\\Flagged)"); err != nil {
		return err
	}
	for _, c := range clients {
		if err := c.Do("NOOP"); err != nil {
			return err
		}
	}
	after, _, _ := memory(false)
	_, heap3, _ := memory(true)
	fmt.Printf("one STORE, and a NOOP in each: %.1f ms, %.1f KiB allocated; %.1f KiB of heap more\n",
		float64(time.Since(begin).Microseconds())/1000, float64(after-before)/1024, float64(int64(heap3-heap2))/1024)
	return nil
}
