package netserver

import (
	"context"
	"io"
	"strings"
	"testing"
)

// TestPressure: with less and less memory new connections are refused, those
// that nobody logged in on are closed, and work is.
func TestPressure(t *testing.T) {
	known := make(chan *Conn, 10)
	serve := echo(100)
	s := start(t, Options{}, ListenerOptions{Refuse: "no\r\n", Handler: func(ctx context.Context, c *Conn) {
		known <- c
		if line, err := c.ReadLine(10); err == nil && string(line) == "known" {
			serve(ctx, c)
		}
	}})
	user, fromUser := dial(t, s.addr)
	io.WriteString(user, "known\nline one\n")
	if got, _ := fromUser.ReadString('\n'); got != "false 8\n" {
		t.Fatalf("got %q", got)
	}
	mine := <-known
	_, fromAnonymous := dial(t, s.addr)
	<-known
	for _, step := range []struct {
		pressure Pressure
		new      string // what a new connection hears
		strained bool
	}{{RefuseNew, "no", false}, {DropAnonymous, "no", false}, {RefuseWork, "no", true}, {NoPressure, "false 5", false}} {
		s.SetPressure(step.pressure)
		nc, r := dial(t, s.addr)
		io.WriteString(nc, "known\nagain\n")
		if got, _ := r.ReadString('\n'); strings.TrimSpace(got) != step.new {
			t.Errorf("at pressure %d a new connection hears %q", step.pressure, got)
		}
		io.WriteString(user, "line one\n")
		if got, _ := fromUser.ReadString('\n'); got != "false 8\n" {
			t.Errorf("at pressure %d the user hears %q", step.pressure, got)
		}
		if mine.Strained() != step.strained {
			t.Errorf("at pressure %d work is refused: %v", step.pressure, mine.Strained())
		}
	}
	if _, err := fromAnonymous.ReadByte(); err != io.EOF {
		t.Errorf("the connection that nobody logged in on: %v", err)
	}
}
