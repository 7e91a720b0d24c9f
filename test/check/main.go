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
	limit                int // MESSAGELIMIT of this project's own server; 0: none
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
	flag.IntVar(&o.limit, "message-limit", 0, "MESSAGELIMIT for this project's own server, at least 1000; mailboxes begin with more messages than that")
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
	srv, err := harness.Built(dir)
	if err != nil {
		return nil, err
	}
	if o.limit > 0 {
		config := filepath.Join(dir, "angarium.toml")
		if err := os.WriteFile(config, fmt.Appendf(nil, "config_version = 1\n\n[imap]\nmessage_limit = %d\n", o.limit), 0o600); err != nil {
			return nil, err
		}
		srv.Args = []string{"--config", config}
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
	if err := o.fill(h, admin, boxes); err != nil {
		return nil, err
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

// fill puts more messages into mailboxes than a command may be for.
func (o *options) fill(h *history, admin *harness.IMAP, boxes []string) error {
	for _, box := range boxes {
		for n := range o.limit * 5 / 4 {
			token := fmt.Sprintf("fill-%d-%s-%d", o.seed, box, n)
			i := h.arriving(token, box)
			if _, err := admin.Append(box, "", "Subject: "+token+"\r\n\r\n"+token+"\r\n"); err != nil {
				return err
			}
			h.change(i, func() { i.arrive.end = now() })
		}
	}
	return nil
}

// empty takes everything out of the INBOX, which the next round begins with.
func (o *options) empty(admin *harness.IMAP) {
	admin.Do("SELECT INBOX")
	for ok := true; ok; {
		lines, err := admin.Do(`UID STORE 1:* +FLAGS.SILENT (\Deleted)`)
		_, ok = lowest(lines)
		if _, e := admin.Do("EXPUNGE"); err != nil || e != nil {
			return // the next round tells what is wrong
		}
	}
}

// lowest returns the lowest UID that a command of a server with MESSAGELIMIT was
// done for, when there are lower ones that it was not done for (RFC 9738 §3.1).
func lowest(lines []string) (uid uint32, ok bool) {
	for _, line := range lines {
		if at := strings.Index(line, "[MESSAGELIMIT "); at >= 0 {
			_, err := fmt.Sscanf(line[at:], "[MESSAGELIMIT %d %d]", new(int), &uid)
			return uid, err == nil && uid > 1
		}
	}
	return 0, false
}

// everything runs a UID FETCH of all messages, in as many commands as it takes.
func everything(fetch func(set string) (lines []string, err error)) error {
	for set := "1:*"; ; {
		lines, err := fetch(set)
		low, ok := lowest(lines)
		if err != nil || !ok {
			return err
		}
		set = fmt.Sprintf("1:%d", low-1)
	}
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
	found := map[string][]uint32{}
	var lines []string
	err := everything(func(set string) ([]string, error) {
		got, err := c.Do("UID FETCH " + set + " (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
		lines = append(lines, got...)
		return got, err
	})
	for _, line := range lines {
		token := subject.FindStringSubmatch(line)
		uid, ok := number(line, "UID ")
		if token != nil && ok && strings.Contains(line, "FETCH") {
			found[token[1]] = append(found[token[1]], uint32(uid))
		}
	}
	return found, err
}
