package imapserver

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/telemetry"
)

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines returns the events of a name.
func (l *logBuffer) lines(t *testing.T, msg string) (all []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == msg {
			all = append(all, m)
		}
	}
	return all
}

// logged is a server whose events go to a log.
func logged(t *testing.T, o Options) (*testServer, *logBuffer) {
	log := &logBuffer{}
	o.Events = telemetry.New(slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return newTestServer(t, o), log
}

// TestCommandEvents: every command is told of once, with what it cost and what
// came of it, and with nothing that a client said.
func TestCommandEvents(t *testing.T) {
	s, log := logged(t, Options{})
	c := s.dial(t)
	c.Line()
	commands := []struct{ line, cmd, kind string }{
		{`a LOGIN ada wr0ng`, "LOGIN", "bad_credentials"},
		{`b LOGIN ada secret`, "LOGIN", "ok"},
		{`c S3CRET`, "unknown", "bad"},
		{`d SELECT Nowhere`, "SELECT", "not_found"},
		{`e EXAMINE INBOX`, "EXAMINE", "ok"},
		{`f UID SEARCH BODY S3CRET`, "SEARCH", "ok"},
		{`g STORE 1 +FLAGS (S3CRET)`, "STORE", "refused"},
		{"h APPEND INBOX {6+}\r\nS3CRET", "APPEND", "ok"},
		{"i IDLE\r\nDONE", "IDLE", "ok"},
		{`j LOGOUT`, "LOGOUT", "ok"},
	}
	for _, cmd := range commands {
		c.Send(t, cmd.line+"\r\n")
		for tag := cmd.line[:2]; !strings.HasPrefix(c.Line(), tag); {
		}
	}
	if got := c.Line(); got != "<EOF>" {
		t.Fatal(got)
	}
	lines := log.lines(t, "imap_command")
	if len(lines) != len(commands) {
		t.Fatalf("%d events of %d commands", len(lines), len(commands))
	}
	for i, cmd := range commands {
		m := lines[i]
		account := "ada@localhost"
		if i == 0 {
			account = ""
		}
		if m["cmd"] != cmd.cmd || m["kind"] != cmd.kind || m["account"] != account || m["session"] == "" || m["octets_in"] != float64(len(cmd.line)+2) ||
			m["octets_out"].(float64) < 5 || m["took"].(float64) < m["client"].(float64) {
			t.Errorf("%s: %v", cmd.line, m)
		}
	}
	for _, secret := range []string{"wr0ng", "secret", "S3CRET"} {
		if strings.Contains(log.b.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, log.b.String())
		}
	}
}

// TestFigures: the events are the figures.
func TestFigures(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	c.Line()
	for _, line := range []string{"a LOGIN ada secret", "b NOOP", "c NOOP", "d WHAT"} {
		c.Send(t, line+"\r\n")
		c.Line()
	}
	c.Send(t, "e LOGOUT\r\n")
	for c.Line() != "<EOF>" {
	}
	got := s.Figures(t)
	for _, want := range []string{
		`angarium_command_seconds_count{cmd="NOOP",kind="ok",protocol="imap"} 2`,
		`angarium_command_seconds_count{cmd="unknown",kind="bad",protocol="imap"} 1`,
		`angarium_command_seconds_count{cmd="LOGOUT",kind="ok",protocol="imap"} 1`,
		`angarium_logins_total{kind="ok",service="imap"} 1`,
		`angarium_sessions_total{protocol="imap"} 1`,
	} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestSlowCommand: the line says where and at how many messages, and not what
// was searched for.
func TestSlowCommand(t *testing.T) {
	s, log := logged(t, Options{})
	s.imap.opts.Load().Events.SetSlow(1)
	c := s.dial(t)
	c.Line()
	for _, line := range []string{"a LOGIN ada secret", "a APPEND INBOX {5+}\r\nhello", "a APPEND INBOX {5+}\r\nhello", "a SELECT INBOX",
		"a SEARCH BODY S3CRET", "a SEARCH UNSEEN", "a FETCH 1 FLAGS", "a STORE 1:2 +FLAGS (\\Seen)", "a COPY 1:2 Trash", "a MOVE 2 Trash"} {
		c.Send(t, line+"\r\n")
		for !strings.HasPrefix(c.Line(), "a ") {
		}
	}
	c.Send(t, "z LOGOUT\r\n")
	for c.Line() != "<EOF>" {
	}
	want := map[string]float64{"SEARCH": 4, "FETCH": 1, "STORE": 2, "COPY": 2, "MOVE": 1}
	got := map[string]float64{}
	for _, m := range log.lines(t, "slow_command") {
		cmd := m["cmd"].(string)
		if _, ok := want[cmd]; ok {
			got[cmd] += m["messages"].(float64)
			if m["mailbox"] != "INBOX" || (m["commit"].(float64) > 0) != (cmd == "STORE" || cmd == "COPY" || cmd == "MOVE") {
				t.Error(m)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("messages looked at: %v, want %v", got, want)
	}
	if strings.Contains(log.b.String(), "S3CRET") {
		t.Error("the log says what was searched for")
	}
}

// BenchmarkEvents is a round trip without and with events: what they cost.
func BenchmarkEvents(b *testing.B) {
	for _, command := range []string{"NOOP", "FETCH 1 (FLAGS UID)"} {
		for name, sink := range map[string]*telemetry.Sink{"without": nil, "with": telemetry.New(slog.New(slog.DiscardHandler))} {
			b.Run(strings.Fields(command)[0]+"/"+name, func(b *testing.B) {
				s := newTestServer(b, Options{})
				s.imap.opts.Load().Events = sink
				c := s.dial(b)
				c.Line()
				setUp(b, c)
				for b.Loop() {
					c.Send(b, "x "+command+"\r\n")
					for !strings.HasPrefix(c.Line(), "x ") {
					}
				}
			})
		}
	}
}

func setUp(b *testing.B, c *servertest.Client) {
	for _, line := range []string{"a LOGIN ada secret", "a APPEND INBOX {5+}\r\nhello", "a SELECT INBOX"} {
		c.Send(b, line+"\r\n")
		for !strings.HasPrefix(c.Line(), "a ") {
		}
	}
}
