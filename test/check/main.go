// Command check shows that a mail server keeps IMAP's promises to many clients
// at once. Clients of one account append, flag, move, copy, expunge and look at
// messages that name themselves, beside deliveries over LMTP and a POP3 client;
// what each was told, and when, is compared with what can have been (invariants
// 1 to 17, 19 to 22, 24, 25 and 28 of the reliability paper; test/kill has 27 and
// 29). Every other client enables QRESYNC, keeps what it knows of mailboxes that
// it leaves, and catches up when it comes back; some of these have UIDONLY too,
// others NOTIFY or IMAP4rev2. In the end all mailboxes are read once more.
//
//	go run ./test/check --seconds 60 --seed 1
//	go run ./test/check --server 127.0.0.1:11143 --user user0001@peer.localdomain --password secret
//
// Without --server it builds and runs this project's own. It ends with 1 when
// anything was violated.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
)

const sessionsMax = 12

// options of a run.
type options struct {
	addr, user, password string
	lmtp, pop3           string // "": not used
	seconds, round       float64
	seed                 uint64
	sessions             int
}

func main() {
	var o options
	flag.StringVar(&o.addr, "server", "", "address of an IMAP server (default: this project's own)")
	flag.StringVar(&o.lmtp, "lmtp", "", "address of its LMTP server, which delivers into the account's INBOX")
	flag.StringVar(&o.pop3, "pop3", "", "address of its POP3 server")
	flag.StringVar(&o.user, "user", "check@check.example", "account, whose mailboxes the run makes")
	flag.StringVar(&o.password, "password", "check-test", "its password")
	flag.Float64Var(&o.seconds, "seconds", 30, "how long")
	flag.Float64Var(&o.round, "round", 60, "seconds after which all is read once more, and new mailboxes are begun")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the random choices")
	flag.IntVar(&o.sessions, "sessions", sessionsMax, "clients at a time")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.addr == "" {
		stop, err := serve(&o)
		if err != nil {
			return err
		}
		defer stop()
	}
	fmt.Printf("seed %d, %d sessions, %.0f s\n", o.seed, o.sessions, o.seconds)
	var sum struct{ operations, messages, reads int }
	start := time.Now()
	for last := false; !last; {
		left := o.seconds - time.Since(start).Seconds()
		last = left <= o.round+1 // the rest would be too short for a round of its own
		round := o
		round.seconds = min(left, o.round)
		begun := time.Now()
		h, err := Check(round)
		if err != nil {
			return err
		}
		sum.operations += h.operations
		sum.messages += len(h.instances)
		for _, r := range h.reads {
			sum.reads += len(r)
		}
		fmt.Printf("round of seed %d: %d operations, %.0f a second, judged in %.0f s, %d violations\n", round.seed, h.operations,
			float64(h.operations)/round.seconds, time.Since(begun).Seconds()-round.seconds, len(h.violations))
		if len(h.violations) > 0 || last {
			fmt.Printf("%d operations (%.0f a second), %d messages, %d reads of flags, %d violations\n",
				sum.operations, float64(sum.operations)/time.Since(start).Seconds(), sum.messages, sum.reads, len(h.violations))
			if err := report(round.seed, h.violations); err != nil {
				return err
			}
		}
		o.seed++
	}
	return nil
}

// report prints violations; its error says that there are any.
func report(seed uint64, violations []violation) error {
	for i, v := range violations {
		if i == 20 {
			fmt.Printf("… and %d more\n", len(violations)-i)
			break
		}
		fmt.Println(v)
	}
	if len(violations) > 0 {
		return fmt.Errorf("failed with seed %d", seed)
	}
	return nil
}

// serve starts this project's own server.
func serve(o *options) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "angarium-check-")
	if err != nil {
		return nil, err
	}
	bin, err := harness.Build(dir)
	if err != nil {
		return nil, err
	}
	srv, err := harness.New(bin, filepath.Join(dir, "data"))
	if err != nil {
		return nil, err
	}
	if err := srv.Import(o.user + ":" + o.password); err != nil {
		return nil, err
	}
	if err := srv.Start(); err != nil {
		return nil, err
	}
	o.addr, o.lmtp, o.pop3 = srv.IMAP, srv.LMTP, srv.POP3
	return func() { srv.Stop(); os.RemoveAll(dir) }, nil
}

// Check runs the clients and judges what they saw.
func Check(o options) (*history, error) {
	h := newHistory()
	var boxes []string
	for i := range 3 {
		boxes = append(boxes, fmt.Sprintf("check-%d-%d", o.seed, i))
	}
	copies := fmt.Sprintf("check-%d-copies", o.seed)
	admin, err := o.dial()
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	for _, box := range append(boxes, copies) {
		if _, err := admin.Do(fmt.Sprintf("CREATE %q", box)); err != nil {
			return nil, err
		}
		defer admin.Do(fmt.Sprintf("DELETE %q", box))
	}
	if o.lmtp != "" {
		boxes = append(boxes, "INBOX")
		defer o.empty(admin)
	}
	end := now() + int64(o.seconds*float64(time.Second))
	failures := make([]error, o.sessions+1)
	var wg sync.WaitGroup
	for id := range o.sessions {
		wg.Go(func() {
			c, err := o.dial()
			if err != nil {
				failures[id] = err
				return
			}
			defer c.Close()
			s := &session{h: h, id: id, rng: rand.New(rand.NewPCG(o.seed, uint64(id))), c: c, boxes: boxes, copy: copies, own: map[string][]*instance{}}
			failures[id] = s.run(end)
		})
	}
	if o.lmtp != "" {
		wg.Go(func() { failures[o.sessions] = newMailer(h, o).run(end) })
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return nil, err
	}
	h.judge()
	for _, box := range append(boxes, copies) {
		found, err := contents(admin, box)
		if err != nil {
			return nil, err
		}
		h.audit(box, found)
		h.auditVanished(box, found)
	}
	_, err = admin.Do("SELECT INBOX") // so that the mailboxes can be deleted
	return h, err
}

// empty takes everything out of the INBOX, which the next round begins with.
func (o *options) empty(admin *harness.IMAP) {
	admin.Do("SELECT INBOX")
	admin.Do(`STORE 1:* +FLAGS.SILENT (\Deleted)`)
	admin.Do("CLOSE")
}

func (o *options) dial() (*harness.IMAP, error) {
	c, err := harness.DialIMAP(o.addr)
	if err != nil {
		return nil, err
	}
	if err := c.Login(o.user, o.password); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// contents reads a mailbox: token to UIDs.
func contents(c *harness.IMAP, box string) (map[string][]uint32, error) {
	if _, err := c.Do(fmt.Sprintf("EXAMINE %q", box)); err != nil {
		return nil, err
	}
	lines, err := c.Do("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
	found := map[string][]uint32{}
	for _, line := range lines {
		token := subject.FindStringSubmatch(line)
		uid, ok := number(line, "UID ")
		if token != nil && ok && strings.Contains(line, "FETCH") {
			found[token[1]] = append(found[token[1]], uint32(uid))
		}
	}
	return found, err
}
