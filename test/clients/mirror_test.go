package clients

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// side is one of the two copies of some mailboxes that a program keeps equal.
type side interface {
	add(box, token string)
	remove(box, token string)
	flag(box, token string, on bool) // \Flagged
	move(box, token, to string)
	list(box string) []string // "token flagged" of each message
}

// mirror is what both sides must hold.
type mirror struct {
	t         *testing.T
	rng       *rand.Rand
	far, near side
	boxes     []string
	want      map[string]map[string]bool // mailbox → token → \Flagged
	next      int
}

// synchronise runs a program through rounds of random edits on both sides.
// Nothing may be lost, doubled or resurrected.
func synchronise(t *testing.T, far, near side, boxes []string, run func()) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &mirror{t: t, rng: rand.New(rand.NewPCG(seed, 1)), far: far, near: near, boxes: boxes, want: map[string]map[string]bool{}}
	for _, b := range boxes {
		m.want[b] = map[string]bool{}
	}
	m.add(far, 20)
	run()
	m.check()
	for range 2 {
		m.edit()
		run()
		m.check()
		run() // a second run changes nothing
		m.check()
	}
}

func (m *mirror) add(s side, n int) {
	for range n {
		m.next++
		token := fmt.Sprintf("token%04d", m.next)
		box := m.boxes[m.rng.IntN(len(m.boxes))]
		s.add(box, token)
		m.want[box][token] = false
	}
}

// edit changes disjoint messages on the two sides.
func (m *mirror) edit() {
	type message struct{ box, token string }
	var all []message
	for _, box := range m.boxes {
		for token := range m.want[box] {
			all = append(all, message{box, token})
		}
	}
	for _, one := range all {
		s := m.far
		if m.rng.IntN(2) == 0 {
			s = m.near
		}
		box, token := m.want[one.box], one.token
		switch m.rng.IntN(6) {
		case 0:
			s.remove(one.box, token)
			delete(box, token)
		case 1, 2:
			box[token] = !box[token]
			s.flag(one.box, token, box[token])
		case 3:
			if to := m.boxes[m.rng.IntN(len(m.boxes))]; to != one.box {
				s.move(one.box, token, to)
				m.want[to][token] = box[token]
				delete(box, token)
			}
		}
	}
	m.add(m.far, m.rng.IntN(10))
	m.add(m.near, m.rng.IntN(10))
}

func (m *mirror) check() {
	m.t.Helper()
	for _, box := range m.boxes {
		var want []string
		for token, flagged := range m.want[box] {
			want = append(want, fmt.Sprint(token, flagged))
		}
		slices.Sort(want)
		for name, s := range map[string]side{"far": m.far, "near": m.near} {
			got := s.list(box)
			slices.Sort(got)
			equal(m.t, box+" on the "+name+" side", got, want)
		}
	}
	if m.t.Failed() {
		m.t.FailNow()
	}
}

// account is a side on a server. One mailbox gets its mail by delivery.
type account struct {
	t       *testing.T
	s       *harness.Server
	c       *harness.IMAP
	deliver bool // INBOX gets its mail by LMTP
}

func (a *account) add(box, token string) {
	if box == "INBOX" && a.deliver {
		deliver(a.t, a.s, sample(token))
	} else if _, err := a.c.Append(box, "", sample(token)); err != nil {
		a.t.Fatal(err)
	}
}

// find selects the mailbox and returns the message's UID.
func (a *account) find(box, token string) string {
	a.c.MustDo(a.t, "SELECT "+box)
	for _, line := range a.c.MustDo(a.t, "UID SEARCH SUBJECT "+token) {
		if uid, ok := strings.CutPrefix(line, "* SEARCH "); ok {
			return uid
		}
	}
	a.t.Fatalf("%s is not on the server", token)
	return ""
}

func (a *account) remove(box, token string) {
	uid := a.find(box, token)
	a.c.MustDo(a.t, "UID STORE "+uid+" +FLAGS.SILENT (\\Deleted)")
	a.c.MustDo(a.t, "UID EXPUNGE "+uid)
}

func (a *account) flag(box, token string, on bool) {
	a.c.MustDo(a.t, "UID STORE "+a.find(box, token)+map[bool]string{false: " -", true: " +"}[on]+"FLAGS (\\Flagged)")
}

func (a *account) move(box, token, to string) {
	a.c.MustDo(a.t, "UID MOVE "+a.find(box, token)+" "+to)
}

var subjectOf = regexp.MustCompile(`Subject: (token\d+)`)

func (a *account) list(box string) (all []string) {
	a.c.MustDo(a.t, "EXAMINE "+box)
	for _, line := range a.c.MustDo(a.t, "UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])") {
		if s := subjectOf.FindStringSubmatch(line); s != nil {
			all = append(all, fmt.Sprint(s[1], strings.Contains(line, `\Flagged`)))
		}
	}
	return all
}

// maildir is a side in the file system: a directory with a maildir for each
// mailbox.
type maildir struct {
	t       *testing.T
	dir     string
	expunge bool // removing a message is removing its file, not the flag T
	made    int
}

func (d *maildir) add(box, token string) {
	write(d.t, d.newName(box, token, "S"), strings.ReplaceAll(sample(token), "\r\n", "\n"))
}

func (d *maildir) newName(box, token, flags string) string {
	d.made++
	return filepath.Join(d.dir, box, "cur", fmt.Sprintf("%d.%d_%s.host:2,%s", time.Now().Unix(), d.made, token, flags))
}

func (d *maildir) files(box string) (all []string) {
	for _, sub := range []string{"new", "cur"} {
		names, _ := filepath.Glob(filepath.Join(d.dir, box, sub, "*"))
		all = append(all, names...)
	}
	return all
}

func (d *maildir) find(box, token string) (name, flags string) {
	for _, n := range d.files(box) {
		if slices.Contains(tokens(read(d.t, n)), token) {
			_, flags, _ = strings.Cut(filepath.Base(n), ":2,")
			return n, flags
		}
	}
	d.t.Fatalf("%s is not in the maildir", token)
	return "", ""
}

// setFlags changes the flags in a file's name.
func (d *maildir) setFlags(box, name, flags string) {
	letters := strings.Split(flags, "")
	slices.Sort(letters)
	base, _, _ := strings.Cut(filepath.Base(name), ":2,")
	if err := os.Rename(name, filepath.Join(d.dir, box, "cur", base+":2,"+strings.Join(letters, ""))); err != nil {
		d.t.Fatal(err)
	}
}

func (d *maildir) remove(box, token string) {
	name, flags := d.find(box, token)
	if !d.expunge {
		d.setFlags(box, name, flags+"T")
	} else if err := os.Remove(name); err != nil {
		d.t.Fatal(err)
	}
}

func (d *maildir) flag(box, token string, on bool) {
	name, flags := d.find(box, token)
	if flags = strings.ReplaceAll(flags, "F", ""); on {
		flags += "F"
	}
	d.setFlags(box, name, flags)
}

// move gives the file a new name: the old one may hold the UID that the
// message had.
func (d *maildir) move(box, token, to string) {
	name, flags := d.find(box, token)
	if err := os.Rename(name, d.newName(to, token, flags)); err != nil {
		d.t.Fatal(err)
	}
}

func (d *maildir) list(box string) (all []string) {
	for _, n := range d.files(box) {
		_, flags, _ := strings.Cut(filepath.Base(n), ":2,")
		all = append(all, fmt.Sprint(tokens(read(d.t, n))[0], strings.Contains(flags, "F")))
	}
	return all
}
