package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"

	"github.com/angarium/angarium/internal/errs"
)

func someEvents(t testing.TB) (*Sink, *bytes.Buffer) {
	log := &bytes.Buffer{}
	s := New(slog.New(slog.NewTextHandler(log, nil)))
	s.Began("imap")
	s.Began("pop3")
	s.Login("imap", nil)
	s.Login("pop3", errs.New("x", errs.BadAuth, ""))
	s.Command(t.Context(), &Command{Protocol: "imap", Name: "NOOP", Kind: OK, Took: time.Millisecond, In: 6, Out: 20})
	s.Recipient(&Recipient{Session: "S", Account: "ada@localhost", In: 100, Took: time.Millisecond})
	s.Recipient(&Recipient{Session: "S", Account: "ada@localhost", In: 100, Took: time.Millisecond, Err: errs.As("x", errs.NoSpace, "full", errors.New("why"))})
	s.Store(StoreFinding)
	s.ApplePush(PushSent)
	s.Ended(&Session{Protocol: "imap", Session: "S", Panicked: true})
	return s, log
}

// TestFigures: the text is what Prometheus' own linter likes, and every event
// is in it.
func TestFigures(t *testing.T) {
	s, _ := someEvents(t)
	families, err := s.Figures().Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	enc := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{
		`angarium_command_seconds_count{cmd="NOOP",kind="ok",protocol="imap"} 1`,
		`angarium_octets_total{direction="out",protocol="imap"} 20`,
		`angarium_delivery_seconds_count{kind="no_space"} 1`,
		`angarium_delivery_seconds_count{kind="ok"} 1`,
		`angarium_logins_total{kind="bad_credentials",service="pop3"} 1`,
		`angarium_sessions{protocol="imap"} 0`,
		`angarium_sessions{protocol="pop3"} 1`,
		`angarium_sessions_total{protocol="imap"} 1`,
		`angarium_panics_total 1`,
		`angarium_store_events_total{event="finding"} 1`,
		`angarium_apple_pushes_total{result="sent"} 1`,
	} {
		if !strings.Contains(text.String(), "\n"+want+"\n") {
			t.Errorf("%s is not there", want)
		}
	}
	problems, err := promlint.New(&text).Lint()
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// TestLevels: at info the log has what an operator counts, and not each
// command.
func TestLevels(t *testing.T) {
	_, log := someEvents(t)
	got := log.String()
	for _, want := range []string{
		"level=INFO msg=lmtp_recipient session=S account=ada@localhost kind=ok took=1ms octets_in=100\n",
		`level=WARN msg="lmtp_recipient: the message was not taken" session=S account=ada@localhost kind=no_space took=1ms octets_in=100 error="x: no space: full: why"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "_command") || strings.Contains(got, "_session") {
		t.Error(got)
	}
}

// TestSlow: a command is slow by the time that the server took.
func TestSlow(t *testing.T) {
	for _, tc := range []struct {
		slow, took, client time.Duration
		kind               string
		want               bool
	}{
		{2 * time.Second, 2 * time.Second, 0, OK, true},
		{2 * time.Second, 2*time.Second - 1, 0, OK, false},
		{2 * time.Second, 9 * time.Second, 8 * time.Second, OK, false},
		{2 * time.Second, 9 * time.Second, 7 * time.Second, Refused, true},
		{2 * time.Second, 9 * time.Second, 0, "bad_credentials", false},
		{0, time.Hour, 0, OK, false},
	} {
		log := &bytes.Buffer{}
		s := New(slog.New(slog.NewTextHandler(log, nil)))
		s.SetSlow(tc.slow)
		s.Command(t.Context(), &Command{Protocol: "imap", Session: "S", Account: "a@b", Name: "COPY", Kind: tc.kind, Took: tc.took, Client: tc.client,
			Mailbox: "INBOX", Messages: 7, Turn: 3 * time.Millisecond, Commit: time.Second})
		want := ""
		if tc.want {
			want = " level=WARN msg=slow_command session=S account=a@b cmd=COPY kind=" + tc.kind + " took=" + tc.took.String() + " client=" + tc.client.String() +
				" octets_in=0 octets_out=0 protocol=imap mailbox=INBOX messages=7 turn=3ms commit=1s\n"
		}
		_, got, _ := strings.Cut(log.String(), " ")
		if " "+got != want && got != want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
}

// TestNobody: a nil Sink is told in vain.
func TestNobody(t *testing.T) {
	var s *Sink
	s.Began("imap")
	s.Command(t.Context(), &Command{})
	s.Recipient(&Recipient{})
	s.Login("imap", nil)
	s.Store(StoreStopped)
	s.Ended(&Session{})
}

func BenchmarkCommand(b *testing.B) {
	s := New(slog.New(slog.NewTextHandler(&bytes.Buffer{}, nil)))
	b.ReportAllocs()
	for b.Loop() {
		s.Command(b.Context(), &Command{Protocol: "imap", Name: "FETCH", Kind: OK, Took: time.Millisecond, In: 6, Out: 20})
	}
}
