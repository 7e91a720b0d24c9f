package trace

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// resumed resumes what there is below a directory, and returns the log of it.
func resumed(t *testing.T, dir string) (all []*Trace, log string) {
	t.Helper()
	var b bytes.Buffer
	all = Resume(dir, slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() {
		for _, f := range all {
			f.End("the test is over")
		}
	})
	return all, b.String()
}

// TestResume: a trace goes on when the server starts again, after a stop and
// after a crash, until its time, and with what it has written.
func TestResume(t *testing.T) {
	f := begin(t, Options{Protocol: "imap", Bodies: true})
	p := f.Tap(Session{Protocol: "imap", ID: "S"}, true)
	play(p, []string{"C a LOGIN ada hidden", "S a OK done"})
	p.Flush() // a crash keeps what was written
	before := f.Info()
	check := func(when string) *Trace {
		t.Helper()
		all, log := resumed(t, f.dir)
		if len(all) != 1 || !strings.Contains(log, "msg=trace_resumed account=ada@localhost protocol=imap bodies=true until=") {
			t.Fatalf("%s: %d traces, %s", when, len(all), log)
		}
		got := all[0].Info()
		if !got.Begun.Equal(before.Begun) || !got.Until.Equal(before.Until) || got.Dir != before.Dir || got.Sessions != before.Sessions || got.Octets < before.Octets ||
			!all[0].Has("imap") || all[0].Has("pop3") {
			t.Errorf("%s: %+v, it was %+v", when, got, before)
		}
		return all[0]
	}
	check("after a crash").Pause()
	f.Pause()
	again := check("after a stop")
	if kept, err := os.ReadFile(filepath.Join(before.Dir, runningFile)); err != nil || strings.Contains(string(kept), "hidden") {
		t.Errorf("%s, %v", kept, err)
	}
	p = again.Tap(Session{Protocol: "imap", ID: "T"}, true)
	play(p, []string{"C b NOOP"})
	again.End("it was stopped")
	if got := f.text(t, "imap-S.txt") + f.text(t, "imap-T.txt"); got != "C a LOGIN ***\nS a OK ***\nC b NOOP\n" {
		t.Error(got)
	}
	if all, log := resumed(t, f.dir); len(all) != 0 || log != "" {
		t.Errorf("after its end: %d traces, %s", len(all), log)
	}
}

// TestNotResumed: what is damaged is told and left, and keeps nobody from
// beginning; what is over is forgotten.
func TestNotResumed(t *testing.T) {
	now := time.Now()
	good := running{User: "ada@localhost", Protocol: "imap", Begun: now.Add(-time.Hour), Until: now.Add(time.Hour)}
	text := func(change func(r *running)) string {
		r := good
		change(&r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	whole := text(func(*running) {})
	for name, tc := range map[string]struct{ text, told string }{
		"empty":        {"", "trace_not_resumed"},
		"half":         {whole[:len(whole)/2], "trace_not_resumed"},
		"zeros":        {strings.Repeat("\x00", len(whole)), "trace_not_resumed"},
		"another user": {text(func(r *running) { r.User = "bela@localhost" }), "trace_not_resumed"},
		"a protocol":   {text(func(r *running) { r.Protocol = "smtp" }), "trace_not_resumed"},
		"too long":     {text(func(r *running) { r.Until = r.Begun.Add(TimeMax + 1) }), "trace_not_resumed"},
		"no time":      {text(func(r *running) { r.Until = r.Begun }), "trace_not_resumed"},
		"over":         {text(func(r *running) { r.Until = now.Add(-time.Minute) }), `msg=trace_ended account=ada@localhost why="its time is over"`},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "ada@localhost", runningFile)
		if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		for path, text := range map[string]string{file: tc.text, filepath.Join(dir, "a file"): ""} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		all, log := resumed(t, dir)
		if strings.Count(log, "msg=") != 1 || !strings.Contains(log, tc.told) {
			t.Errorf("%s: %s", name, log)
		}
		for _, f := range all {
			if !f.Over() {
				t.Errorf("%s: it goes on", name)
			}
		}
		if _, err := os.Stat(file); (err == nil) != (name != "over") {
			t.Errorf("%s: the file: %v", name, err)
		}
		f, err := Begin(dir, Options{User: "ada@localhost", Protocol: All, Time: time.Hour}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f.Pause()
		if all, log := resumed(t, dir); len(all) != 1 {
			t.Errorf("%s, begun again: %s", name, log)
		}
	}
}
