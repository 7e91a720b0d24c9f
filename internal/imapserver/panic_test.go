package imapserver

import (
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/search"
)

// TestSearchPanic: a search that panics does so in the session, which it ends, and not
// in a goroutine of its own, where it would end the server.
func TestSearchPanic(t *testing.T) {
	s := newTestServer(t, Options{})
	s.selected(t, "Subject: x\r\n\r\ntext")
	list := s.inbox(t)
	key, _ := imapwire.ParseSearch("RECENT")
	session := &session{opts: &Options{ProgressEvery: time.Hour}}
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "poison") {
			t.Errorf("recovered %q", text)
		}
	}()
	session.search(t.Context(), &search.Query{Store: s.Store, List: list, Key: key, Recent: func(mail.UID) bool { panic("poison") }})
	t.Error("no panic")
}
