// Command fair shows how much others suffer while one account works on a large
// mailbox. It fills a store, starts the real binary, measures FETCH of a few
// messages by several sessions of another account, and STORE of one message by a
// session of a third one, while nothing else happens, and then while another
// process repeats one long command.
//
//	go run ./test/fair --messages 100000 --seconds 8
//
// Client and server share the machine, so that on few processors the client's
// own work is in the figures: what counts is the ratio.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/bench/stats"
	"github.com/angarium/angarium/test/harness"
)

const (
	noisy    = "noisy@fair.example"
	quiet    = "quiet@fair.example"
	writer   = "writer@fair.example"
	password = "fair-test"
	fetchers = 4
	pause    = 2 * time.Millisecond // of who is measured between two commands
)

// compute is a command for repeat that has nothing to do with the server.
const compute = "computes"

// commands are what the noisy account repeats. Two octets are too few for the
// index of texts, so that every message is read.
var commands = []string{
	`SEARCH BODY "zq"`,
	"SORT (SUBJECT DATE) UTF-8 ALL",
	"THREAD REFERENCES UTF-8 ALL",
	"STORE 1:* +FLAGS.SILENT (\\Flagged)",
	"STORE 1:* -FLAGS.SILENT (\\Flagged)",
	"COPY 1:* Archive",
}

func main() {
	messages := flag.Int("messages", 100_000, "messages in the large mailbox")
	seconds := flag.Int("seconds", 8, "how long each command is repeated")
	loud := flag.String("loud", "", "used by this command itself: repeat the command in the argument at this address, or compute")
	flag.Parse()
	d := time.Duration(*seconds) * time.Second
	err := error(nil)
	if *loud != "" {
		err = repeat(*loud, flag.Arg(0), d)
	} else {
		err = run(*messages, d)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fair:", err)
		os.Exit(1)
	}
}

func run(messages int, d time.Duration) error {
	dir, err := os.MkdirTemp("", "angarium-fair-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	srv, err := harness.Built(dir)
	if err != nil {
		return err
	}
	if err := makeStore(srv.Data, messages); err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return err
	}
	defer srv.Kill()
	loud, err := login(srv.IMAP, noisy)
	if err != nil {
		return err
	}
	defer loud.Close()
	if _, err := loud.Do("FETCH 1:* (FLAGS)"); err != nil { // in memory from here on
		return err
	}
	base, err := measure(srv.IMAP, d, "")
	if err != nil {
		return err
	}
	fmt.Printf("%-40s %9s %9s %9s %7s %9s %9s %9s %9s %9s\n", "while", "FETCHes", "p50 ms", "p99 ms", "ratio",
		"STOREs", "p50 ms", "p99 ms", "max ms", "repeated")
	base.print("nothing", base)
	// What the machine itself makes of it when something else computes.
	control, err := measure(srv.IMAP, d, compute)
	if err != nil {
		return err
	}
	control.repeated = 0
	control.print("another program "+compute, base)
	for _, command := range commands {
		s, err := measure(srv.IMAP, d, command)
		if err != nil {
			return fmt.Errorf("%s: %w", command, err)
		}
		s.print(command, base)
	}
	return nil
}

func login(address, user string) (*harness.IMAP, error) {
	c, err := harness.DialIMAP(address)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, password); err != nil {
		return nil, err
	}
	_, err = c.Do("SELECT INBOX")
	return c, err
}

// repeat is the noise: one command after the other for d. It prints a line when it
// begins, and then how many there were and how many of them the server refused.
func repeat(address, command string, d time.Duration) error {
	if command == compute {
		fmt.Println(begins)
		repeated, refused, end := 0, 0, time.Now().Add(d)
		for ; time.Now().Before(end); repeated++ {
		}
		fmt.Println(repeated, refused)
		return nil
	}
	c, err := login(address, noisy)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(begins)
	repeated, refused, end := 0, 0, time.Now().Add(d)
	for ; time.Now().Before(end); repeated++ {
		err := c.Skip(command)
		var no *harness.Answer
		if errors.As(err, &no) {
			refused++
		} else if err != nil {
			return err
		}
	}
	fmt.Println(repeated, refused)
	return nil
}

const begins = "begins"

// startNoise starts repeat in a process of its own, so that who measures does
// nothing else, and returns when it has logged in: what that costs is not measured.
// The function that it returns waits for the end.
func startNoise(address, command string, d time.Duration) (func() (repeated, refused int, err error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "--seconds", strconv.Itoa(int(d.Seconds())), "--loud", address, command)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	var word string
	if _, err := fmt.Fscanln(out, &word); err != nil || word != begins {
		return nil, errors.Join(fmt.Errorf("%s cannot begin", command), err, cmd.Wait())
	}
	return func() (repeated, refused int, err error) {
		_, err = fmt.Fscanln(out, &repeated, &refused)
		return repeated, refused, errors.Join(err, cmd.Wait())
	}, nil
}

// sample is how long commands took, and how often the noise was made.
type sample struct {
	fetches, stores []time.Duration // sorted
	repeated        int
	refused         int
}

// ms is a percentile in milliseconds.
func ms(times []time.Duration, share float64) float64 {
	return float64(stats.Percentile(times, share).Microseconds()) / 1000
}

func (s *sample) print(what string, base *sample) {
	fmt.Printf("%-40s %9d %9.2f %9.2f %6.2fx %9d %9.2f %9.2f %9.2f %9d", what,
		len(s.fetches), ms(s.fetches, .5), ms(s.fetches, .99), ms(s.fetches, .99)/ms(base.fetches, .99),
		len(s.stores), ms(s.stores, .5), ms(s.stores, .99), ms(s.stores, 1), s.repeated)
	if s.refused > 0 {
		fmt.Printf("  (%d refused)", s.refused)
	}
	fmt.Println()
}

// measure times FETCH and STORE for d, while a command is repeated if there is one.
func measure(address string, d time.Duration, command string) (*sample, error) {
	s := &sample{}
	var stop atomic.Bool
	var mu sync.Mutex
	var failure error
	var wg sync.WaitGroup
	var sessions []*harness.IMAP
	for i := range fetchers + 1 {
		user := quiet
		if i == fetchers {
			user = writer
		}
		c, err := login(address, user)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		sessions = append(sessions, c)
	}
	wait := func() (repeated, refused int, err error) { return 0, 0, nil }
	if command != "" {
		var err error
		if wait, err = startNoise(address, command, d); err != nil {
			return nil, err
		}
	}
	end := time.Now().Add(d)
	for i, c := range sessions {
		all, command := &s.fetches, fetch
		if i == fetchers {
			all, command = &s.stores, storeFlag
		}
		wg.Go(func() {
			times, err := repeatTimed(c, command, &stop)
			mu.Lock()
			defer mu.Unlock()
			failure = errors.Join(failure, err)
			*all = append(*all, times...)
		})
	}
	time.Sleep(time.Until(end)) // the time is what is measured
	stop.Store(true)
	wg.Wait()
	var err error
	s.repeated, s.refused, err = wait()
	failure = errors.Join(failure, err)
	slices.Sort(s.fetches)
	slices.Sort(s.stores)
	if failure == nil && (len(s.fetches) == 0 || len(s.stores) == 0) {
		failure = errors.New("nothing was fetched or stored")
	}
	return s, failure
}

// repeatTimed times the n-th command after the other.
func repeatTimed(c *harness.IMAP, command func(n int) string, stop *atomic.Bool) (times []time.Duration, err error) {
	for n := 0; !stop.Load(); n++ {
		begun := time.Now()
		if _, err := c.Do(command(n)); err != nil {
			return times, err
		}
		times = append(times, time.Since(begun))
		time.Sleep(pause) // a client that reads
	}
	return times, nil
}

func fetch(n int) string {
	n = n%(quietMessages-10) + 1
	return fmt.Sprintf("FETCH %d:%d (UID FLAGS ENVELOPE BODY.PEEK[])", n, n+9)
}

// storeFlag sets a flag of one message after the other, and then takes it away again.
func storeFlag(n int) string {
	return fmt.Sprintf(`STORE %d %cFLAGS.SILENT (\Flagged)`, n%quietMessages+1, "+-"[n/quietMessages%2])
}
