// Command fair shows how much the FETCH of others suffers while one account
// works on a large mailbox. It fills a store, starts the real binary, measures
// FETCH of a few messages by several sessions of another account while nothing
// else happens, and then while another process repeats one long command.
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
	password = "fair-test"
	fetchers = 4
	pause    = 2 * time.Millisecond // of a fetcher between two commands
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
	fmt.Printf("%-40s %9s %9s %9s %7s %9s\n", "while", "FETCHes", "p50 ms", "p99 ms", "ratio", "repeated")
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

// sample is what fetchers saw, and how often the noise was made.
type sample struct {
	times    []time.Duration // sorted
	repeated int
	refused  int
}

func (s *sample) at(share float64) time.Duration { return stats.Percentile(s.times, share) }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (s *sample) print(what string, base *sample) {
	fmt.Printf("%-40s %9d %9.2f %9.2f %6.2fx %9d", what, len(s.times), ms(s.at(.5)), ms(s.at(.99)), float64(s.at(.99))/float64(base.at(.99)), s.repeated)
	if s.refused > 0 {
		fmt.Printf("  (%d refused)", s.refused)
	}
	fmt.Println()
}

// measure times FETCH for d, while a command is repeated if there is one.
func measure(address string, d time.Duration, command string) (*sample, error) {
	s := &sample{}
	var stop atomic.Bool
	var mu sync.Mutex
	var failure error
	var wg sync.WaitGroup
	var sessions []*harness.IMAP
	for range fetchers {
		c, err := login(address, quiet)
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
	for _, c := range sessions {
		wg.Go(func() {
			times, err := fetch(c, &stop)
			mu.Lock()
			defer mu.Unlock()
			failure = errors.Join(failure, err)
			s.times = append(s.times, times...)
		})
	}
	time.Sleep(time.Until(end)) // the time is what is measured
	stop.Store(true)
	wg.Wait()
	var err error
	s.repeated, s.refused, err = wait()
	failure = errors.Join(failure, err)
	slices.Sort(s.times)
	if failure == nil && len(s.times) == 0 {
		failure = errors.New("nothing was fetched")
	}
	return s, failure
}

// fetch times one FETCH after the other.
func fetch(c *harness.IMAP, stop *atomic.Bool) (times []time.Duration, err error) {
	for n := 1; !stop.Load(); n = n%(quietMessages-10) + 1 {
		begun := time.Now()
		if _, err := c.Do(fmt.Sprintf("FETCH %d:%d (UID FLAGS ENVELOPE BODY.PEEK[])", n, n+9)); err != nil {
			return times, err
		}
		times = append(times, time.Since(begun))
		time.Sleep(pause) // a client that reads
	}
	return times, nil
}
