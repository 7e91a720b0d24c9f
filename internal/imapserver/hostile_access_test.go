package imapserver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/store"
)

// The names of these tests are those of the attacks in the reliability paper.

// revocations are what an administrator does to end a user's access.
var revocations = map[string]func(ctx context.Context, s *store.Store, name string) error{
	"password": func(ctx context.Context, s *store.Store, name string) error {
		return s.SetPassword(ctx, name, "{PLAIN}other")
	},
	"deleted": func(ctx context.Context, s *store.Store, name string) error { return s.DeleteAccount(ctx, name) },
}

// TestA29: whose account or password was taken away is told nothing more: at
// once where the server speaks unasked, else at the next command.
func TestA29(t *testing.T) {
	for how, revoke := range revocations {
		for name, tc := range map[string]struct{ before, next string }{
			"authenticated":        {"a NOOP\r\n", "b LIST \"\" *\r\n"},
			"selected":             {"a SELECT INBOX\r\n", "b FETCH 1 BODY[]\r\n"},
			"within a pipeline":    {"a SELECT INBOX\r\n", "b NOOP\r\nc UID FETCH 1:* BODY[]\r\nd APPEND INBOX {1+}\r\nx\r\n"},
			"IDLE":                 {"a SELECT INBOX\r\ni IDLE\r\n", ""},
			"IDLE without mailbox": {"a NOOP\r\ni IDLE\r\n", ""},
			"NOTIFY":               {"n NOTIFY SET (personal (MessageNew MessageExpunge))\r\na SELECT INBOX\r\n", ""},
		} {
			s, login := urlServer(t)
			c, bela := login("ada"), login("bela")
			c.Send(t, tc.before)
			for !strings.HasPrefix(c.Line(), "a OK") {
			}
			if strings.Contains(tc.before, "IDLE") {
				c.Line()
			}
			if err := revoke(t.Context(), s.Store, "ada@localhost"); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			c.Send(t, tc.next)
			if got := c.Line(); got != "* BYE The account or its password was changed: log in again" {
				t.Errorf("%s, %s: %s", how, name, got)
			}
			if got := c.Line(); !strings.HasPrefix(got, "<") {
				t.Errorf("%s, %s: then %s", how, name, got)
			}
			if took := time.Since(begun); took > time.Second {
				t.Errorf("%s, %s: it took %v", how, name, took)
			}
			bela.do("NOOP")
		}
	}
}

// TestA29URL: with the owner, authorized URLs go; who may not be here redeems
// none.
func TestA29URL(t *testing.T) {
	s, login := urlServer(t)
	url := login("ada").authorize(part + "authuser")
	bela, other := login("bela"), login("bela")
	if got := bela.fetch(url); got != partIs {
		t.Fatal(got)
	}
	if err := revocations["password"](t.Context(), s.Store, "bela@localhost"); err != nil {
		t.Fatal(err)
	}
	bela.Send(t, `a URLFETCH "`+url+"\"\r\n")
	if got := bela.Line(); !strings.HasPrefix(got, "* BYE") {
		t.Error(got)
	}
	other.Close()
	if err := s.Store.SetPassword(t.Context(), "bela@localhost", "{PLAIN}secret"); err != nil {
		t.Fatal(err)
	}
	bela = login("bela")
	if err := s.Store.DeleteAccount(t.Context(), "ada@localhost"); err != nil {
		t.Fatal(err)
	}
	if got := bela.fetch(url); got != "NIL" {
		t.Errorf("of a deleted account: %s", got)
	}
}
