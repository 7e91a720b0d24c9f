package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/telemetry"
)

// TestMetrics: the figures are shown where the configuration says, and moving
// them leaves the old place alone until the new one is there.
func TestMetrics(t *testing.T) {
	ev := telemetry.New(slog.New(slog.DiscardHandler))
	ev.Began("imap")
	c := config.Defaults()
	if m, err := serveMetrics(c, ev, nil); m != nil || err != nil {
		t.Fatal("something is shown by default", err)
	}
	get := func(path string) string {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}}}
		r, err := client.Get("http://localhost/metrics")
		if err != nil {
			return err.Error()
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		return string(b)
	}
	const want = "angarium_sessions{protocol=\"imap\"} 1\n"
	c.Metrics.Listen = filepath.Join(t.TempDir(), "metrics.sock")
	first, err := serveMetrics(c, ev, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if got := get(c.Metrics.Listen); !strings.Contains(got, want) {
		t.Error(got)
	}
	if same, err := serveMetrics(c, ev, first); same != first || err != nil {
		t.Error("the same address was opened again", err)
	}
	moved := *c
	moved.Metrics.Listen = filepath.Join(t.TempDir(), "nowhere", "metrics.sock")
	if _, err := serveMetrics(&moved, ev, first); err == nil {
		t.Error("a directory that is not there was listened in")
	}
	moved.Metrics.Listen = filepath.Join(t.TempDir(), "metrics.sock")
	second, err := serveMetrics(&moved, ev, first)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	for _, path := range []string{c.Metrics.Listen, moved.Metrics.Listen} {
		if got := get(path); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
}
