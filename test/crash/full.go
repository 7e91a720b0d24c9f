package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// resumeTime is how soon mail is taken again when there is room again
// (reliability goal R5).
const resumeTime = 10 * time.Second

// Full runs the server on a small disk that others fill up to the last octet,
// and give free again, some times.
func Full(ctx context.Context, rounds int, fsType string) (r *Result, err error) {
	r = &Result{Tier: "full", Planned: rounds}
	if r.NotRun = canMount(fsType); r.NotRun != "" {
		r.Planned = 0
		return r, nil
	}
	dir, err := workDir()
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Build(dir)
	if err != nil {
		return r, err
	}
	image, err := makeImage(dir, fsType, 768<<20)
	if err != nil {
		return r, err
	}
	return r, withImage(dir, fsType, image, func(mnt string) error {
		srv, err := harness.New(bin, filepath.Join(mnt, "data"))
		if err != nil {
			return err
		}
		if err := srv.Import(loadLines()...); err != nil {
			return err
		}
		if err := srv.Start(); err != nil {
			return err
		}
		defer srv.Kill()
		f := &fullRun{srv: srv, ballast: filepath.Join(mnt, "ballast")}
		for n := range rounds {
			violations, err := f.round(n)
			if err != nil {
				return err
			}
			r.add(violations, "round %d", n)
		}
		srv.Kill()
		led := newLedger(func() int { return 1 })
		for tok := range f.there {
			led.arriving(tok, loadAccount(0), 10)
			led.ack(tok, arrive)
		}
		violations, err := led.judgeAll(ctx, filepath.Join(mnt, "data", "store"))
		for _, v := range violations {
			r.Violations = append(r.Violations, "in the end: "+v)
		}
		return err
	})
}

// fullRun is a server on a disk that fills up.
type fullRun struct {
	srv     *harness.Server
	ballast string
	there   map[string]bool // acknowledged and not expunged
}

func (f *fullRun) round(n int) (violations []string, err error) {
	if f.there == nil {
		f.there = map[string]bool{}
	}
	c, err := harness.DialIMAP(f.srv.IMAP)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Login(loadAccount(0), loadPassword); err != nil {
		return nil, err
	}
	tok := fmt.Sprintf("before-%d", n)
	if reply := f.deliver(tok); !strings.HasPrefix(reply, "250") {
		return append(violations, "before: "+reply), nil
	}
	if err := f.fill(); err != nil {
		return nil, err
	}
	if reply := f.deliverUntilRefused(n); !strings.HasPrefix(reply, "452") {
		violations = append(violations, "deliveries on a full disk: "+reply)
	}
	for _, command := range []string{"SELECT INBOX", "UID FETCH * BODY[HEADER.FIELDS (SUBJECT)]", `UID STORE * +FLAGS.SILENT (\Deleted)`, "EXPUNGE"} {
		lines, err := c.Do(command)
		if err != nil {
			violations = append(violations, "on a full disk: "+err.Error())
		}
		if _, rest, ok := strings.Cut(strings.Join(lines, "\n"), "Subject: "); ok {
			tok, _, _ := strings.Cut(rest, "\r\n")
			delete(f.there, tok) // the one that is expunged
		}
	}
	if err := os.Remove(f.ballast); err != nil {
		return nil, err
	}
	for end := time.Now().Add(resumeTime); ; time.Sleep(100 * time.Millisecond) {
		reply := f.deliver(fmt.Sprintf("after-%d-%d", n, time.Now().UnixNano()))
		if strings.HasPrefix(reply, "250") {
			return violations, nil
		}
		if time.Now().After(end) {
			return append(violations, "10 s after there was room again: "+reply), nil
		}
	}
}

// deliverUntilRefused delivers as long as the store has room of its own.
func (f *fullRun) deliverUntilRefused(n int) (reply string) {
	for i := range 20_000 {
		if reply = f.deliver(fmt.Sprintf("full-%d-%d", n, i)); !strings.HasPrefix(reply, "250") {
			return reply
		}
	}
	return reply
}

// deliver returns the reply to one delivery.
func (f *fullRun) deliver(tok string) string {
	c, err := harness.DialLMTP(f.srv.LMTP)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	replies, err := c.Deliver("a@crash.example", []string{loadAccount(0)}, text(tok, 10))
	if err != nil {
		return err.Error()
	}
	if strings.HasPrefix(replies[0], "250") {
		f.there[tok] = true
	}
	return replies[0]
}

// fill takes all room of the disk.
func (f *fullRun) fill() error {
	b, err := os.OpenFile(f.ballast, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer b.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := b.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			return err
		}
	}
	return b.Sync()
}

func runFull(ctx context.Context, p plan) ([]*Result, error) {
	if p.cases == 0 {
		p.cases = 5
	}
	r, err := Full(ctx, p.cases, p.fs)
	return []*Result{r}, errors.Join(err, verdict(r))
}
