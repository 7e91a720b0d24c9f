package imapserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/store"
)

// fill puts n messages into ada's INBOX.
func fill(t *testing.T, s *testServer, n int) (*store.Account, store.MailboxID) {
	t.Helper()
	acct := s.Account(t, "ada@localhost")
	stage, err := s.Store.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stage.Discard()
	stage.Write([]byte("Subject: many\r\n\r\ntext\r\n"))
	staged, err := stage.Seal()
	if err != nil {
		t.Fatal(err)
	}
	var box *store.Mailbox
	_, err = acct.Update(t.Context(), func(tx *store.Tx) error {
		if box, err = tx.Snapshot().Mailbox(mail.Inbox); err != nil {
			return err
		}
		for range n {
			if _, err := tx.Append(box.ID, staged, store.AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return acct, box.ID
}

// TestThreadsInPieces: what is sent piece by piece reads as one answer.
func TestThreadsInPieces(t *testing.T) {
	s := newTestServer(t, Options{})
	const n = threadsPiece // several pieces: three numbers of Threads for each message
	fill(t, s, n)
	want := "* THREAD ("
	for i := range n {
		want += fmt.Sprintf("(%d)", i+1)
	}
	want += ")" // all have one subject (RFC 5256 §3 REFERENCES, step 5)
	c := s.dial(t)
	c.Line()
	c.Send(t, "a LOGIN ada secret\r\nb SELECT INBOX\r\nc THREAD REFERENCES UTF-8 ALL\r\n")
	for {
		line := c.Line()
		if strings.HasPrefix(line, "* THREAD") {
			if line != want {
				t.Errorf("got %d octets, want %d: %.200s", len(line), len(want), line)
			}
			return
		}
		if strings.HasPrefix(line, "c ") || strings.HasPrefix(line, "<") {
			t.Fatal(line)
		}
	}
}

// TestTurns: while others compute, long commands wait for their turn and short
// ones do not.
func TestTurns(t *testing.T) {
	s := newTestServer(t, Options{})
	fill(t, s, manyMessages)
	login := func() func(command string) string {
		c := s.dial(t)
		c.Line()
		do := func(command string) string {
			c.Send(t, "x "+command+"\r\n")
			for {
				if line := c.Line(); strings.HasPrefix(line, "x ") || strings.HasPrefix(line, "<") {
					return line
				}
			}
		}
		do("LOGIN ada secret")
		do("SELECT INBOX")
		return do
	}
	var held []*fair.Turn
	for range s.Net.Turns().Slots() {
		turn, err := s.Net.Turns().NewWork().Take(t.Context(), 99)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, turn)
	}
	long, short := login(), login()
	for _, command := range []string{"STORE 1:* +FLAGS (\\Deleted)", "COPY 1:* Trash", "SEARCH DELETED", "SEARCH TEXT nowhere", "SORT (SUBJECT) UTF-8 ALL",
		"THREAD REFERENCES UTF-8 ALL", "UID MOVE 1:* Archive"} {
		answers := make(chan string)
		go func() { answers <- long(command) }()
		for _, command := range []string{"FETCH 1:9 (FLAGS BODY.PEEK[])", "NOOP"} {
			if got := short(command); !strings.HasPrefix(got, "x OK") {
				t.Errorf("%s: %s", command, got)
			}
		}
		select {
		case got := <-answers:
			t.Errorf("%s did not wait: %s", command, got)
		default:
			held[0].End()
			if got := <-answers; !strings.HasPrefix(got, "x OK") {
				t.Errorf("%s: %s", command, got)
			}
			var err error
			if held[0], err = s.Net.Turns().NewWork().Take(t.Context(), 99); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, turn := range held {
		turn.End()
	}
}

// TestPace: a change of many messages that is ended has changed nothing.
func TestPace(t *testing.T) {
	s := newLocalServer(t, Options{})
	acct, box := fill(t, s, manyMessages)
	all := mail.UIDSetOf(mail.UIDRange{First: 1, Last: mail.UIDMax})
	enough := errors.New("enough")
	for name, change := range map[string]func(tx *store.Tx) error{
		"copy": func(tx *store.Tx) error { _, err := tx.Copy(box, all, box, store.ByOwner); return err },
		"the commit of a copy": func(tx *store.Tx) error {
			pace := tx.Pace
			tx.Pace = nil
			for range 3 { // it has to be a large one: 28,672 messages
				if _, err := tx.Copy(box, all, box, store.ByOwner); err != nil {
					return err
				}
			}
			tx.Pace = pace
			return nil
		},
		"expunge": func(tx *store.Tx) error { _, err := tx.Expunge(box, all); return err },
		"flags": func(tx *store.Tx) error {
			_, err := tx.SetFlags(box, all, store.FlagChange{Op: store.FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
			return err
		},
	} {
		before, _ := acct.Snapshot()
		paced := 0
		_, err := acct.Update(context.Background(), func(tx *store.Tx) error {
			tx.Pace = func() error {
				if paced++; paced == 3 {
					return enough
				}
				return nil
			}
			return change(tx)
		})
		after, _ := acct.Snapshot()
		if !errors.Is(err, enough) || paced != 3 || after.ModSeq() != before.ModSeq() {
			t.Errorf("%s: %v after %d pauses", name, err, paced)
		}
	}
}

// TestStrained: when memory is short, what takes some is refused, with its
// literals, and the session goes on.
func TestStrained(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	c.Line()
	do := func(command, want string) {
		t.Helper()
		c.Send(t, "x "+command+"\r\n")
		line := c.Line()
		for strings.HasPrefix(line, "* ") {
			line = c.Line()
		}
		if !strings.HasPrefix(line, want) {
			t.Errorf("%.40s: %s", command, line)
		}
	}
	do("LOGIN ada secret", "x OK")
	do("SELECT INBOX", "x OK")
	s.Net.SetPressure(netserver.RefuseWork)
	for _, command := range []string{"FETCH 1:* FLAGS", "SEARCH ALL", "STATUS INBOX (MESSAGES)", "APPEND INBOX {3+}\r\nabc", "LIST \"\" *"} {
		do(command, "x NO [UNAVAILABLE] the server is short of memory")
	}
	for _, command := range []string{"NOOP", "UNSELECT", "CAPABILITY"} {
		do(command, "x OK")
	}
	s.Net.SetPressure(netserver.NoPressure)
	do("SELECT INBOX", "x OK")
}
