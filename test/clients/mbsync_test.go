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

// mirror is what both sides of a synchronisation must hold.
type mirror struct {
	t       *testing.T
	rng     *rand.Rand
	s       *harness.Server
	imap    *harness.IMAP
	maildir string
	boxes   []string
	want    map[string]map[string]bool // mailbox → token → \Flagged
	next    int
}

// TestMbsync synchronises two ways through three rounds of random edits on
// both sides. Nothing may be lost, doubled or resurrected.
func TestMbsync(t *testing.T) {
	need(t, "mbsync")
	s := start(t)
	dir := t.TempDir()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	m := &mirror{t: t, rng: rand.New(rand.NewPCG(seed, 1)), s: s, imap: login(t, s), maildir: filepath.Join(dir, "mail"),
		boxes: []string{"INBOX", "Archive", "Work"}, want: map[string]map[string]bool{}}
	do(t, m.imap, "CREATE Work")
	for _, b := range m.boxes {
		m.want[b] = map[string]bool{}
	}
	if err := os.MkdirAll(m.maildir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rc"), `IMAPAccount a
Host 127.0.0.1
Port `+port(s.IMAPS)+`
User `+user+`
Pass `+password+`
SSLType IMAPS
CertificateFile `+filepath.Join(s.Data, "tls", "self-signed.crt")+`

IMAPStore far
Account a

MaildirStore near
Path `+m.maildir+`/
Inbox `+m.maildir+`/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns INBOX Archive Work
Create Both
Expunge Both
SyncState *
`)
	sync := func() { t.Helper(); must(t, dir, "", "mbsync", "-c", filepath.Join(dir, "rc"), "-a") }
	m.editFar(30)
	sync()
	m.check()
	for range 3 {
		m.edit()
		sync()
		m.check()
		sync() // a second run changes nothing
		m.check()
	}
}

func (m *mirror) token() string {
	m.next++
	return fmt.Sprintf("token%04d", m.next)
}

// edit changes disjoint messages on the two sides.
func (m *mirror) edit() {
	for _, box := range m.boxes {
		var far, near []string
		for token := range m.want[box] {
			if m.rng.IntN(2) == 0 {
				far = append(far, token)
			} else {
				near = append(near, token)
			}
		}
		do(m.t, m.imap, "SELECT "+box)
		for _, token := range far {
			m.editOne(box, token, m.farDelete, m.farFlag)
		}
		do(m.t, m.imap, "EXPUNGE")
		for _, token := range near {
			m.editOne(box, token, m.nearDelete, m.nearFlag)
		}
		for range m.rng.IntN(5) {
			token := m.token()
			name := filepath.Join(m.maildir, box, "cur", fmt.Sprintf("%d.%s.host:2,S", time.Now().Unix(), token))
			write(m.t, name, strings.ReplaceAll(sample(token), "\r\n", "\n"))
			m.want[box][token] = false
		}
	}
	m.editFar(m.rng.IntN(10))
}

func (m *mirror) editOne(box, token string, del, flag func(box, token string)) {
	switch m.rng.IntN(4) {
	case 0:
		del(box, token)
		delete(m.want[box], token)
	case 1:
		if !m.want[box][token] {
			flag(box, token)
			m.want[box][token] = true
		}
	}
}

// editFar adds messages on the server: by delivery and by APPEND.
func (m *mirror) editFar(n int) {
	for range n {
		token := m.token()
		box := m.boxes[m.rng.IntN(len(m.boxes))]
		if box == "INBOX" {
			deliver(m.t, m.s, sample(token))
		} else if _, err := m.imap.Append(box, "", sample(token)); err != nil {
			m.t.Fatal(err)
		}
		m.want[box][token] = false
	}
}

func (m *mirror) farUID(token string) string {
	for _, line := range do(m.t, m.imap, "UID SEARCH SUBJECT "+token) {
		if rest, ok := strings.CutPrefix(line, "* SEARCH "); ok {
			return rest
		}
	}
	m.t.Fatalf("%s is not on the server", token)
	return ""
}

func (m *mirror) farDelete(_, token string) {
	do(m.t, m.imap, "UID STORE "+m.farUID(token)+" +FLAGS.SILENT (\\Deleted)")
}
func (m *mirror) farFlag(_, token string) {
	do(m.t, m.imap, "UID STORE "+m.farUID(token)+" +FLAGS (\\Flagged)")
}

func (m *mirror) nearFile(box, token string) string {
	for _, sub := range []string{"new", "cur"} {
		names, _ := filepath.Glob(filepath.Join(m.maildir, box, sub, "*"))
		for _, n := range names {
			if slices.Contains(tokens(read(m.t, n)), token) {
				return n
			}
		}
	}
	m.t.Fatalf("%s is not in the maildir", token)
	return ""
}

// setNearFlag adds a flag's letter to a maildir file's name.
func (m *mirror) setNearFlag(box, token, letter string) {
	name := m.nearFile(box, token)
	base, flags, _ := strings.Cut(filepath.Base(name), ":2,")
	letters := strings.Split(flags+letter, "")
	slices.Sort(letters)
	to := filepath.Join(m.maildir, box, "cur", base+":2,"+strings.Join(letters, ""))
	if err := os.Rename(name, to); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mirror) nearDelete(box, token string) { m.setNearFlag(box, token, "T") }
func (m *mirror) nearFlag(box, token string)   { m.setNearFlag(box, token, "F") }

var subjectOf = regexp.MustCompile(`Subject: (token\d+)`)

// check compares both sides with what must be there.
func (m *mirror) check() {
	m.t.Helper()
	for _, box := range m.boxes {
		var want, far, near []string
		for token, flagged := range m.want[box] {
			want = append(want, fmt.Sprint(token, flagged))
		}
		do(m.t, m.imap, "EXAMINE "+box)
		for _, line := range fetchAll(m.t, m.imap) {
			if s := subjectOf.FindStringSubmatch(line); s != nil {
				far = append(far, fmt.Sprint(s[1], strings.Contains(line, `\Flagged`)))
			}
		}
		for _, sub := range []string{"new", "cur"} {
			names, _ := filepath.Glob(filepath.Join(m.maildir, box, sub, "*"))
			for _, n := range names {
				_, flags, _ := strings.Cut(filepath.Base(n), ":2,")
				near = append(near, fmt.Sprint(tokens(read(m.t, n))[0], strings.Contains(flags, "F")))
			}
		}
		for _, l := range [][]string{want, far, near} {
			slices.Sort(l)
		}
		equal(m.t, box+" on the server", far, want)
		equal(m.t, box+" in the maildir", near, want)
	}
}

func fetchAll(t *testing.T, c *harness.IMAP) []string {
	if out := do(t, c, "STATUS INBOX (MESSAGES)"); len(out) == 0 {
		t.Fatal("no STATUS")
	}
	return do(t, c, "UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])")
}
