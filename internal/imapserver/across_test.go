package imapserver

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// fill puts messages of one octet into ada's mailbox Work, beside the one there.
func (s *sharing) fill(n int) {
	s.t.Helper()
	stage, err := s.Store.Stage(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	defer stage.Discard()
	stage.Write([]byte("x"))
	staged, err := stage.Seal()
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s.acct.Update(s.t.Context(), func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox("Work")
		if err != nil {
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
		s.t.Fatal(err)
	}
}

// TestAcrossLimit: so many messages are copied into another account at once, and
// not one more.
func TestAcrossLimit(t *testing.T) {
	s := newSharing(t, Options{})
	s.fill(acrossMax)
	s.grant("Work", mail.AllRights)
	s.must(s.bela, `SELECT "Other Users/ada@localhost/Work"`)
	for _, verb := range []string{"COPY", "MOVE"} {
		if out := s.do(s.bela, verb+" 1:* Archive"); !strings.Contains(out, "t NO [LIMIT] too many messages for one command into another account") {
			t.Error(out)
		}
	}
	s.must(s.bela, fmt.Sprintf("COPY 1:%d Archive", acrossMax))
	if out := s.must(s.bela, "STATUS Archive (MESSAGES)"); !strings.Contains(out, fmt.Sprintf("(MESSAGES %d)", acrossMax)) {
		t.Error(out)
	}
}

// TestAcrossRefused: what the target's owner may not hold is refused, all of it,
// and MOVE has taken nothing away then.
func TestAcrossRefused(t *testing.T) {
	s := newSharing(t, Options{})
	s.fill(3)
	if err := s.Store.EditQuota(t.Context(), "bela@localhost", func(q *store.Quota) { q.Set(store.MessageCount, 3) }); err != nil {
		t.Fatal(err)
	}
	s.grant("Work", mail.AllRights)
	s.must(s.bela, `SELECT "Other Users/ada@localhost/Work"`)
	for _, verb := range []string{"COPY", "MOVE"} {
		if out := s.do(s.bela, verb+" 1:4 Archive"); !strings.Contains(out, "t NO [OVERQUOTA]") || strings.Contains(out, "EXPUNGE") {
			t.Error(out)
		}
	}
	if out := s.must(s.bela, "STATUS Archive (MESSAGES)"); !strings.Contains(out, "(MESSAGES 0)") {
		t.Error(out)
	}
	out := s.must(s.bela, "MOVE 2:4 Archive")
	if !strings.Contains(out, "COPYUID") || strings.Count(out, "EXPUNGE") != 3 {
		t.Error(out)
	}
}

// TestAcrossAnnotations: shared annotations go along where the user may make some,
// private ones never do (RFC 5257 §3.4).
func TestAcrossAnnotations(t *testing.T) {
	for rights, want := range map[mail.Rights]string{
		mail.AllRights:                            `value.priv NIL value.shared "ours"`,
		mail.AllRights &^ mail.RightAnnotate:      `value.priv NIL value.shared NIL`,
		mail.RightLookup | mail.RightInsert:       `value.priv NIL value.shared NIL`,
		mail.RightAnnotate | mail.RightInsert | 1: `value.priv NIL value.shared "ours"`,
	} {
		s := newSharing(t, Options{})
		s.grant("Work", rights)
		s.must(s.bela, "APPEND Archive ANNOTATION (/comment (value.priv \"mine\" value.shared \"ours\")) {2+}\r\nhi\r\nt SELECT Archive\r\nt COPY 1 \"Other Users/ada@localhost/Work\"")
		if out := s.must(s.ada, "SELECT Work\r\nt FETCH 2 (FLAGS ANNOTATION (/comment value))"); !strings.Contains(out, want) {
			t.Errorf("%s: %s", rights, out)
		}
	}
}

// TestAcrossIDs: a copy has the ids of its message, also when it comes back, and
// SEARCH finds it by them (RFC 8474 §5.1, §6).
func TestAcrossIDs(t *testing.T) {
	s := newSharing(t, Options{Offer: Optional})
	s.grant("Work", mail.AllRights)
	const theirs = `"Other Users/ada@localhost/Work"`
	s.must(s.bela, "APPEND Archive {3+}\r\nown\r\nt SELECT "+theirs+"\r\nt COPY 1 Archive\r\nt SELECT Archive\r\nt COPY 1:2 "+theirs)
	own := s.must(s.bela, "FETCH 1:2 (EMAILID THREADID X-GM-MSGID)")
	shared := s.must(s.bela, "SELECT "+theirs+"\r\nt FETCH 1:3 (EMAILID THREADID X-GM-MSGID)")
	for _, id := range []string{"EMAILID (M1_16) THREADID (T1_16)", "EMAILID (M1) THREADID (T1)"} {
		if !strings.Contains(own, id) || !strings.Contains(shared, id) {
			t.Errorf("%s: %s %s", id, own, shared)
		}
	}
	number := regexp.MustCompile(`1 FETCH .*X-GM-MSGID (\d+)`).FindStringSubmatch(shared)[1]
	if number == "1" || !strings.Contains(own, "X-GM-MSGID "+number) {
		t.Errorf("%s: %s", number, own)
	}
	for key, want := range map[string]string{"EMAILID M1_16": " 1 3\n", "EMAILID M1": " 2\n", "THREADID T1_16": " 1 3\n", "THREADID T1": " 2\n", "EMAILID M2": "* SEARCH\n",
		"X-GM-MSGID " + number: " 1 3\n", "X-GM-MSGID 1": " 2\n"} {
		if out := s.must(s.bela, "SEARCH "+key); !strings.Contains(out, want) {
			t.Errorf("%s: %s", key, out)
		}
	}
	if out := s.must(s.ada, "SELECT Work\r\nt FETCH 1:3 EMAILID"); !strings.Contains(out, "1 FETCH (EMAILID (M1))") || !strings.Contains(out, "(M1_17)") {
		t.Error(out)
	}
}

// TestCopyAnnotations: a copy within the owner's account has none of the private
// annotations, which are the owner's, and shared ones where the copier may make
// some; MOVE takes the owner's along (RFC 5257 §4.6).
func TestCopyAnnotations(t *testing.T) {
	const both, shared, private = `value.priv "mine" value.shared "ours"`, `value.priv NIL value.shared "ours"`, `value.priv "mine" value.shared NIL`
	for _, tc := range []struct {
		verb string
		into mail.Rights
		want string
	}{
		{"COPY", mail.AllRights, shared}, {"COPY", mail.AllRights &^ mail.RightAnnotate, `value.priv NIL value.shared NIL`},
		{"MOVE", mail.AllRights, both}, {"MOVE", mail.AllRights &^ mail.RightAnnotate, private},
	} {
		s := newSharing(t, Options{})
		s.must(s.ada, "CREATE Into\r\nt SELECT Work\r\nt STORE 1 ANNOTATION (/comment (value.priv \"mine\" value.shared \"ours\"))\r\nt COPY 1 Archive")
		s.grant("Work", mail.AllRights)
		s.grant("Into", tc.into)
		s.must(s.bela, `SELECT "Other Users/ada@localhost/Work"`+"\r\nt "+tc.verb+` 1 "Other Users/ada@localhost/Into"`)
		for box, want := range map[string]string{"Into": tc.want, "Archive": both} {
			if out := s.must(s.ada, "SELECT "+box+"\r\nt FETCH 1 (ANNOTATION (/comment value))"); !strings.Contains(out, want) {
				t.Errorf("%s with %s, %s: %s", tc.verb, tc.into, box, out)
			}
		}
	}
}
