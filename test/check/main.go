// Command check shows that a mail server keeps IMAP's promises to many clients
// at once. Clients of an account append, flag, move, copy, expunge and look at
// messages that name themselves, beside deliveries over LMTP and a POP3 client;
// what each was told, and when, is compared with what can have been (invariants
// 1 to 17, 19 to 22, 24 to 26 and 28 of the reliability paper; test/kill has 27 and
// 29). Every other client enables QRESYNC, keeps what it knows of mailboxes that
// it leaves, and catches up when it comes back; some of these have UIDONLY too,
// others NOTIFY or IMAP4rev2. With a second account, one of the mailboxes is its,
// and half of the clients: all see each other's. Beside them a mailbox is shared
// whose owner gives and takes rights all the time (26). In the end all mailboxes
// are read once more.
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
	guest                string // a second account with the same password; "": none
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
	flag.StringVar(&o.guest, "guest", "", "a second account, to share mailboxes with, for a server that has them below \"Other Users/\" (this project's own: there is one)")
	flag.StringVar(&o.password, "password", "check-test", "their password")
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
	o.guest = "guest@" + o.user[strings.IndexByte(o.user, '@')+1:]
	if err := srv.Import(o.user+":"+o.password, o.guest+":"+o.password); err != nil {
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
	p, err := o.prepare()
	if err != nil {
		return nil, err
	}
	defer p.clear()
	if err := p.fill(h); err != nil {
		return nil, err
	}
	if err := p.traffic(h, now()+int64(o.seconds*float64(time.Second))); err != nil {
		return nil, err
	}
	h.judge()
	return h, p.audit(h)
}

// place is the mailboxes of a round, whose names are there once in both accounts.
type place struct {
	options
	admins  map[string]*harness.IMAP // by account
	homes   map[string]string        // of all mailboxes: the account
	boxes   []string                 // where messages come and go
	copies  string                   // where they are copied to
	changes string                   // whose rights change; "": there is none
	visits  string                   // of the guest, for what is taken out of it
}

// prepare makes the mailboxes.
func (o options) prepare() (*place, error) {
	p := &place{options: o, admins: map[string]*harness.IMAP{}, homes: map[string]string{}}
	box := func(home, name string) string {
		name = fmt.Sprintf("check-%d-%s", o.seed, name)
		p.homes[name] = home
		return name
	}
	last := o.user
	if o.guest != "" {
		last = o.guest
		p.changes, p.visits = box(o.user, "changes"), box(o.guest, "visits")
	}
	p.boxes = []string{box(o.user, "0"), box(o.user, "1"), box(last, "2")}
	p.copies = box(o.user, "copies")
	for _, user := range []string{o.user, last} {
		c, err := o.dial(user)
		if err != nil {
			return nil, err
		}
		p.admins[user] = c
	}
	for name, home := range p.homes {
		if _, err := p.admins[home].Do(fmt.Sprintf("CREATE %q", name)); err != nil {
			return nil, err
		}
	}
	if o.lmtp != "" {
		p.boxes = append(p.boxes, inbox)
		p.homes[inbox] = o.user
	}
	return p, p.share()
}

const inbox = "INBOX"

// share gives each user all rights for the mailboxes of the other.
func (p *place) share() error {
	other := map[string]string{p.user: p.guest, p.guest: p.user}
	for _, name := range append(p.boxes[:len(p.boxes):len(p.boxes)], p.copies) {
		home := p.homes[name]
		if other[home] == "" {
			continue
		}
		if _, err := p.admins[home].Do(fmt.Sprintf("SETACL %q %q %s", name, other[home], standardRights)); err != nil {
			return err
		}
	}
	return nil
}

// clear takes away what the next round begins without.
func (p *place) clear() {
	for _, c := range p.admins {
		c.Do("SELECT " + inbox) // so that the mailboxes can be deleted
	}
	for name, home := range p.homes {
		if name == inbox {
			empty(p.admins[home])
		} else {
			p.admins[home].Do(fmt.Sprintf("DELETE %q", name))
		}
	}
	for _, c := range p.admins {
		c.Close()
	}
}

// traffic runs all clients.
func (p *place) traffic(h *history, end int64) error {
	failures := make([]error, p.sessions+visitorsMax+2)
	var wg sync.WaitGroup
	for id := range p.sessions {
		wg.Go(func() {
			s := p.session(h, id, []string{p.user, p.guest}[id/profiles%2])
			var err error
			if s.c, err = p.dial(s.user); err != nil {
				failures[id] = err
				return
			}
			defer s.c.Close()
			failures[id] = s.run(end)
		})
	}
	if p.lmtp != "" {
		wg.Go(func() { failures[p.sessions] = newMailer(h, p.options).run(end) })
	}
	if p.guest != "" {
		wg.Go(func() {
			x := &sharer{h: h, rng: p.rng(p.sessions), c: p.admins[p.user], box: p.changes, visitor: p.guest}
			failures[p.sessions+1] = x.run(end)
		})
		for i := range visitorsMax {
			id := p.sessions + 2 + i
			wg.Go(func() { failures[id] = p.visitor(h, id).run(end) })
		}
	}
	wg.Wait()
	return errors.Join(failures...)
}

func (p *place) rng(id int) *rand.Rand { return rand.New(rand.NewPCG(p.seed, uint64(id))) }

// session returns a client that is not connected yet.
func (p *place) session(h *history, id int, user string) *session {
	if user == "" {
		user = p.user // there is no second one
	}
	return &session{h: h, id: id, rng: p.rng(id), user: user, boxes: p.boxes, homes: p.homes, copy: p.copies, own: map[string][]*instance{}}
}

func (p *place) visitor(h *history, id int) *visitor {
	v := &visitor{session: p.session(h, id, p.guest), box: p.changes, mine: p.visits, notified: id%2 == 1,
		dial: func() (*harness.IMAP, error) { return p.options.dial(p.guest) }}
	if v.notified {
		v.others = map[string]*status{}
	}
	return v
}

// audit reads the mailboxes once more.
func (p *place) audit(h *history) error {
	for box, home := range p.homes {
		found, err := contents(p.admins[home], box)
		if err != nil {
			return err
		}
		switch box {
		case p.visits:
		case p.changes:
			h.auditPosts(found)
		default:
			h.audit(box, found)
		}
		h.auditVanished(box, found)
	}
	return nil
}

// fill puts more messages into mailboxes than a command may be for.
func (p *place) fill(h *history) error {
	for _, box := range p.boxes {
		for n := range p.limit * 5 / 4 {
			token := fmt.Sprintf("fill-%d-%s-%d", p.seed, box, n)
			i := h.arriving(token, box)
			if _, err := p.admins[p.homes[box]].Append(box, "", "Subject: "+token+"\r\n\r\n"+token+"\r\n"); err != nil {
				return err
			}
			h.change(i, func() { i.arrive.end = now() })
		}
	}
	return nil
}

// empty takes everything out of the INBOX, which is selected and which the next
// round begins with.
func empty(admin *harness.IMAP) {
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

func (o *options) dial(user string) (*harness.IMAP, error) {
	c, err := harness.DialIMAP(o.addr)
	if err != nil {
		return nil, err
	}
	if err := c.Login(user, o.password); err != nil {
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
