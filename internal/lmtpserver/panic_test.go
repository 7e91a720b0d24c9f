package lmtpserver

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/netserver"
	"github.com/angarium/angarium/internal/servertest"
)

// poisoned is an engine whose space of one account panics when told to.
type poisoned struct {
	engine.Engine
	space atomic.Uint64
}

type poisonedSpace struct {
	engine.Space
	e  *poisoned
	id engine.SpaceID
}

func (e *poisoned) Space(ctx context.Context, id engine.SpaceID) (engine.Space, error) {
	s, err := e.Engine.Space(ctx, id)
	return poisonedSpace{s, e, id}, err
}

func (s poisonedSpace) Commit(ctx context.Context, expect engine.Version, b *engine.Batch) (engine.Version, error) {
	if s.e.space.Load() == uint64(s.id) {
		panic("poison")
	}
	return s.Space.Commit(ctx, expect, b)
}

// TestPanic: where one of the deliveries panics, the MTA learns which were done, and
// the session ends.
func TestPanic(t *testing.T) {
	e := &poisoned{Engine: mem.New()}
	s := &testServer{Server: servertest.NewOn(t, e)}
	s.Panics = 1
	s.addr = s.Listen(t, netserver.ListenerOptions{Protocol: "lmtp", Handler: New(s.Store, s.Dir, Options{Events: s.Events, Hostname: "mail.example"}).Handle})
	e.space.Store(uint64(s.Account(t, "bela@localhost").ID()))
	c := s.dial(t)
	c.Send(t, "LHLO mta.example\r\nMAIL FROM:<>\r\nRCPT TO:<ada@localhost>\r\nRCPT TO:<bela@localhost>\r\nDATA\r\n")
	for !strings.HasPrefix(c.Line(), "354 ") {
	}
	c.Send(t, "Subject: x\r\n\r\n.\r\n")
	for _, want := range []string{"250 2.0.0 <ada@localhost> ", "451 4.3.0 <bela@localhost> ", "<"} {
		if got := c.Line(); !strings.HasPrefix(got, want) {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if n := len(s.messages(t, "ada@localhost", "INBOX")); n != 1 {
		t.Errorf("%d messages were delivered", n)
	}
}
