package imapserver

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// sharing is ada's mailbox Work, which bela has rights for, and a session of each.
type sharing struct {
	*testServer
	t         *testing.T
	acct      *store.Account
	ada, bela *servertest.Client
	n         int
}

func newSharing(t *testing.T, o Options) *sharing {
	s := &sharing{testServer: newTestServer(t, o), t: t}
	s.acct = s.Account(t, "ada@localhost")
	s.ada, s.bela = s.as("ada"), s.as("bela")
	s.must(s.ada, "CREATE Work\r\nt APPEND Work (\\Deleted kw) {5+}\r\nhello")
	return s
}

func (s *sharing) as(user string) *servertest.Client {
	c := s.dial(s.t)
	c.Line()
	s.must(c, "LOGIN "+user+" secret")
	return c
}

// do sends commands, of which the last has the tag of the answer, and returns all
// that came.
func (s *sharing) do(c *servertest.Client, commands string) (out string) {
	s.t.Helper()
	c.Send(s.t, "t "+commands+"\r\n")
	for range 1 + strings.Count(commands, "\r\nt ") {
		for {
			line := c.Line()
			out += line + "\n"
			if strings.HasPrefix(line, "t ") || strings.HasPrefix(line, "* BYE") || strings.HasPrefix(line, "<") {
				break
			}
		}
	}
	return out
}

func (s *sharing) must(c *servertest.Client, commands string) string {
	s.t.Helper()
	out := s.do(c, commands)
	if !strings.Contains(out, "t OK") || strings.Contains(out, "t NO") || strings.Contains(out, "t BAD") {
		s.t.Fatalf("%s: %s", commands, out)
	}
	return out
}

// grant gives bela exactly these rights for a mailbox of ada.
func (s *sharing) grant(mailbox string, rights mail.Rights) {
	s.t.Helper()
	_, err := s.acct.Update(s.t.Context(), func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(mailbox)
		if err != nil {
			return err
		}
		return tx.SetRights(box.ID, "bela@localhost", mail.RightsChange{Rights: rights})
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// rightsOf has for each command of the table what to send to learn whether rights
// are enough, and which it needs (RFC 4314 §4, RFC 5464 §3.3, RFC 6851 §4, RFC 9208
// §4.1.2): $box is the mailbox that it names, and the one that is selected, of another
// user.
var rightsOf = map[string]struct{ command, needs string }{
	"SELECT": {"SELECT $box", "r"}, "EXAMINE": {"EXAMINE $box", "r"}, "DELETE": {"DELETE $box", "x"}, "STATUS": {"STATUS $box (MESSAGES)", "r"},
	"CREATE": {"CREATE $box/new", "k"}, "RENAME": {"RENAME $box/Old $box/new", "xk"},
	"GETMETADATA": {"GETMETADATA $box /shared/comment", "l"}, "SETMETADATA": {`SETMETADATA $box (/shared/comment "x")`, "lw"},
	"SETACL": {"SETACL $box eve lr", "a"}, "DELETEACL": {"DELETEACL $box eve", "a"}, "GETACL": {"GETACL $box", "a"}, "LISTRIGHTS": {"LISTRIGHTS $box eve", "a"},
	"GETQUOTAROOT": {"GETQUOTAROOT $box", "r"}, "APPEND": {"APPEND $box {1+}\r\nx", "i"}, "UIDBATCHES": {"UIDBATCHES 500", "r"},
	"EXPUNGE": {"EXPUNGE", "re"}, "SEARCH": {"SEARCH ALL", "r"}, "SORT": {"SORT (DATE) UTF-8 ALL", "r"}, "THREAD": {"THREAD REFS UTF-8 ALL", "r"},
	"FETCH": {"FETCH 1 BODY[]", "r"}, "STORE": {"STORE 1 +FLAGS (\\Answered)", "rw"}, "COPY": {"COPY 1 $box", "ri"},
	"MOVE": {"MOVE 1 $into", "rtei"}, "REPLACE": {"REPLACE 1 $box {1+}\r\nx", "rtei"},
	// What they find or tell depends on rights, not their answer.
	"LIST": {}, "XLIST": {}, "LSUB": {}, "ESEARCH": {}, "NOTIFY": {}, "IDLE": {}, "MYRIGHTS": {}, "CLOSE": {},
}

// The names of these tests are those of the attacks in the reliability paper.

// TestA27 walks command and right (RFC 4314 §4): a command of another's mailbox
// is done with the rights that it needs, and without one of them it is not.
func TestA27(t *testing.T) {
	s := newSharing(t, Options{Offer: Optional})
	for _, row := range commands {
		of, ok := rightsOf[row.name]
		if !ok && row.named|row.selected != 0 {
			t.Errorf("%s is not tried", row.name)
		}
		if of.command == "" {
			continue
		}
		need, err := mail.ParseRights(of.needs)
		if err != nil || (row.named|row.selected)&^need != 0 {
			t.Errorf("%s needs %s, and its row says %s; %v", row.name, need, row.named|row.selected, err)
		}
		enough := []mail.Rights{need | mail.RightLookup, mail.AllRights}
		if row.name == "GETMETADATA" {
			enough[0] |= mail.RightPost // or another one that says more than l
		}
		var missing []mail.Rights
		for right := mail.Rights(1); right <= mail.AllRights; right <<= 1 {
			if need&right != 0 {
				missing = append(missing, mail.AllRights&^right)
			}
		}
		for _, rights := range append(enough, missing...) {
			s.try(row, of.command, rights, slices.Contains(enough, rights))
		}
	}
	for name := range maps.Keys(rightsOf) {
		if !slices.ContainsFunc(commands, func(c command) bool { return c.name == name }) {
			t.Errorf("there is no command %s", name)
		}
	}
}

// try has bela send a command with these rights for what it names, in mailboxes
// made for it.
func (s *sharing) try(row command, command string, rights mail.Rights, enough bool) {
	s.n++
	work, into := fmt.Sprintf("Work%d", s.n), fmt.Sprintf("Into%d", s.n)
	s.must(s.ada, "CREATE "+work+"/Old\r\nt CREATE "+into+"\r\nt APPEND "+work+" (\\Deleted kw) {5+}\r\nhello")
	boxes := []string{work, work + "/Old", into}
	for _, box := range boxes {
		s.grant(box, mail.AllRights)
	}
	const others = `"Other Users/ada@localhost/`
	command = regexp.MustCompile(`\$box(\S*)`).ReplaceAllString(command, others+work+`$1"`)
	command = strings.ReplaceAll(command, "$into", others+into+`"`)
	if row.states == selected {
		s.must(s.bela, "SELECT "+others+work+`"`)
	}
	for _, box := range boxes {
		s.grant(box, rights)
	}
	before, _ := s.acct.Snapshot()
	out := s.do(s.bela, command)
	after, _ := s.acct.Snapshot()
	switch {
	case enough && !strings.Contains(out, "t OK"):
		s.t.Errorf("%s with %s: %s", row.name, rights, out)
	case !enough && (strings.Contains(out, "t OK") || before.ModSeq() != after.ModSeq()):
		s.t.Errorf("%s with %s is done: %s", row.name, rights, out)
	case !enough && rights&mail.RightLookup == 0 && !strings.Contains(out, "no such mailbox"):
		s.t.Errorf("%s with %s: %s", row.name, rights, out)
	}
	if strings.Contains(out, "* BYE") {
		s.bela = s.as("bela")
	}
}

// TestA29Rights: what a right is needed for stops when it is taken away, in
// sessions that have the mailbox selected (RFC 4314 §5.1.1) or wait in IDLE, at
// once where the server speaks unasked.
func TestA29Rights(t *testing.T) {
	const box = `"Other Users/ada@localhost/Work"`
	for name, revoke := range map[string]func(s *sharing){
		"the right":   func(s *sharing) { s.grant("Work", mail.RightLookup) },
		"all rights":  func(s *sharing) { s.grant("Work", 0) },
		"the mailbox": func(s *sharing) { s.must(s.ada, "DELETE Work") },
		"the owner": func(s *sharing) {
			if err := s.Store.DeleteAccount(t.Context(), "ada@localhost"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, next := range []string{"FETCH 1 BODY[]", "SEARCH ALL", "COPY 1 Archive", "NOOP", ""} {
			s := newSharing(t, Options{})
			s.grant("Work", mail.AllRights)
			s.must(s.bela, "SELECT "+box)
			if next == "" {
				s.bela.Send(t, "t IDLE\r\n")
				if got := s.bela.Line(); got != "+ idling" {
					t.Fatal(got)
				}
			}
			revoke(s)
			out := ""
			if next == "" {
				out = s.bela.Line() + "\n"
			} else {
				out = s.do(s.bela, next)
			}
			if !strings.HasSuffix(out, "* BYE [UNAVAILABLE] The selected mailbox was deleted\n") || strings.Contains(out, "hello") && name != "the mailbox" && name != "the owner" {
				t.Errorf("%s, %s: %s", name, next, out)
			}
		}
	}
}

// TestGrantedWrite: what is allowed while a mailbox is selected may be done by the
// next command, and the client is told that it is not read-only any more, or that
// it is (RFC 3501 §7.1, RFC 4314 §5.2).
func TestGrantedWrite(t *testing.T) {
	const box = `"Other Users/ada@localhost/Work"`
	for command, choose := range map[string]string{"STORE 1 +FLAGS.SILENT (\\Answered)": "SELECT", "EXPUNGE": "SELECT", "MOVE 1 Archive": "SELECT", "REPLACE 1 " + box + " {1+}\r\nx": "SELECT",
		"STORE 1 +FLAGS.SILENT (\\Flagged)": "EXAMINE", "UID EXPUNGE 1": "EXAMINE"} {
		s := newSharing(t, Options{})
		s.grant("Work", mail.RightLookup|mail.RightRead)
		if out := s.must(s.bela, choose+" "+box); !strings.Contains(out, "t OK [READ-ONLY]") {
			t.Fatal(out)
		}
		if out := s.do(s.bela, command); !strings.Contains(out, "t NO [NOPERM]") && choose == "SELECT" {
			t.Errorf("%s without rights: %s", command, out)
		}
		s.grant("Work", mail.AllRights)
		out := s.do(s.bela, command)
		if told := strings.Contains(out, "* OK [READ-WRITE]"); told != (choose == "SELECT") || told != strings.Contains(out, "t OK") {
			t.Errorf("%s after %s: %s", command, choose, out)
		}
		s.grant("Work", mail.RightLookup|mail.RightRead)
		if out := s.must(s.bela, "NOOP"); strings.Contains(out, "* OK [READ-ONLY]") != (choose == "SELECT") {
			t.Errorf("%s: %s", choose, out)
		}
	}
}

// TestGrantedTold: a user that watches is told of what others share with them.
func TestGrantedTold(t *testing.T) {
	s := newSharing(t, Options{})
	s.must(s.bela, `NOTIFY SET (subtree "Other Users" (MessageNew MessageExpunge MailboxName))`)
	s.grant("Work", mail.RightLookup|mail.RightRead)
	if got := s.bela.Line(); got != `* LIST (\HasNoChildren) "/" "Other Users/ada@localhost/Work"` {
		t.Fatal(got)
	}
	if got := s.bela.Line(); !strings.HasPrefix(got, `* STATUS "Other Users/ada@localhost/Work" (`) {
		t.Fatal(got)
	}
	s.must(s.ada, "APPEND Work {1+}\r\nx")
	if got := s.bela.Line(); got != `* STATUS "Other Users/ada@localhost/Work" (UIDNEXT 3 MESSAGES 2)` {
		t.Fatal(got)
	}
	s.grant("Work", 0)
	if got := s.bela.Line(); got != `* LIST (\NonExistent \HasNoChildren) "/" "Other Users/ada@localhost/Work"` {
		t.Fatal(got)
	}
	s.must(s.ada, "APPEND Work {1+}\r\nx")
	if out := s.do(s.bela, "NOOP"); out != "t OK NOOP completed\n" {
		t.Fatal(out)
	}
}

// TestA55: nobody can put mailboxes before the eyes of all others, unless the
// administrator lets them; LIST tells of all who share by name.
func TestA55(t *testing.T) {
	s := newSharing(t, Options{})
	for i := range 20 {
		name := fmt.Sprintf("u%02d@localhost", i)
		info, err := s.Store.CreateAccount(t.Context(), name, "{PLAIN}x")
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Store.Account(t.Context(), info.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Update(t.Context(), func(tx *store.Tx) error {
			box, err := tx.Snapshot().Mailbox(mail.Inbox)
			if err != nil {
				return err
			}
			return tx.SetRights(box.ID, "bela@localhost", mail.RightsChange{Rights: mail.RightLookup})
		}); err != nil {
			t.Fatal(err)
		}
	}
	for command, want := range map[string]string{"SETACL Work anyone lr": "t NO [NOPERM]", "SETACL Work anyone +l": "t NO [NOPERM]", "SETACL Work -anyone l": "t OK", "SETACL Work ANYONE r": "t NO [NOPERM]",
		"SETACL Work anyone@localhost r": "t OK", "SETACL Work anyone -l": "t OK", "SETACL Work anyone \"\"": "t OK", "DELETEACL Work anyone": "t OK"} {
		if out := s.do(s.ada, command); !strings.HasPrefix(out, want) {
			t.Errorf("%s: %s", command, out)
		}
	}
	if out := s.do(s.bela, `LIST "" "Other Users/*/INBOX"`); strings.Count(out, "* LIST (\\HasNoChildren)") != 20 {
		t.Error(out)
	}
}

// TestNotesUnseen: who may read a mailbox and not see it in lists is not told of its
// entries (RFC 5464 §3.3).
func TestNotesUnseen(t *testing.T) {
	for rights, want := range map[mail.Rights]string{
		mail.RightRead:                    "t OK NOOP completed\n",
		mail.RightRead | mail.RightLookup: "* METADATA \"Other Users/ada@localhost/Work\" /shared/comment\nt OK NOOP completed\n",
	} {
		s := newSharing(t, Options{})
		s.grant("Work", rights)
		s.must(s.bela, `NOTIFY SET (subtree "Other Users" (MailboxMetadataChange))`)
		s.must(s.ada, `SETMETADATA Work (/shared/comment "x")`)
		if out := s.do(s.bela, "NOOP"); out != want {
			t.Errorf("%s: %q", rights, out)
		}
	}
}
