package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/flood"
)

const (
	kib    = 1 << 10
	mib    = 1 << 20
	atOnce = 100 // floods that are begun: they wait for the server
)

// protocol is where floods of it go.
type protocol struct{ name, plain, implicit string }

func (b *bench) protocols() []protocol {
	return []protocol{{"imap", b.srv.IMAP, b.srv.IMAPS}, {"pop3", b.srv.POP3, b.srv.POP3S}, {"lmtp", b.srv.LMTP, ""}}
}

func (p *protocol) addr(f *flood.Flood) string {
	if f.TLS == flood.NoTLS {
		return p.plain
	}
	return p.implicit
}

// anonymous is S1 for each kind of flood.
func (b *bench) anonymous() error {
	for _, p := range b.protocols() {
		for _, f := range flood.Known[p.name] {
			if b.named != "" && f.Name != b.named {
				continue
			}
			limit := 32.
			if f.TLS != flood.NoTLS || strings.Contains(f.Name, "handshake") {
				limit += 32
			}
			begin := func(int) (net.Conn, error) { return f.Begin(p.addr(&f)) }
			// On a server of its own: what the one before held is not this one's.
			if err := b.with(true, func() error { return b.hold("S1", p.name, f.Name, b.connections, limit, begin) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// hold measures what connections cost that somebody holds, in KiB each.
func (b *bench) hold(goal, kind, name string, n int, limit float64, begin func(i int) (net.Conn, error)) error {
	before, err := b.lives()
	if err != nil {
		return err
	}
	conns := make([]net.Conn, n)
	if err := each(n, func(i int) (err error) { conns[i], err = begin(i); return err }); err != nil {
		return fmt.Errorf("%s, %s: %w", kind, name, err)
	}
	after, err := b.lives()
	for _, c := range conns {
		c.Close()
	}
	if err != nil {
		return err
	}
	per := func(a, b int64) float64 { return max(0, float64(a-b)) / kib / float64(n) }
	b.add(row{goal, kind, name, per(after.heap, before.heap), limit, "KiB of heap", fmt.Sprintf("%.1f KiB of stack, %d connections", per(after.stacks, before.stacks), n)})
	return nil
}

// each calls fn for 0 <= i < n, many at a time.
func each(n int, fn func(i int) error) error {
	failed := make([]error, min(n, atOnce))
	var wg sync.WaitGroup
	for k := range failed {
		wg.Go(func() {
			for i := k; i < n && failed[k] == nil; i += atOnce {
				failed[k] = fn(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// crowd is S1 for all kinds at once, with a client among them that logs in. A
// server lets a quarter of its connections be nobody's: the oldest ones end.
func (b *bench) crowd(n int) error {
	type kind struct {
		f    flood.Flood
		addr string
	}
	var kinds []kind
	for _, p := range b.protocols() {
		for _, f := range flood.Known[p.name] {
			if f.TLS != flood.InsideTLS && p.name != "lmtp" {
				kinds = append(kinds, kind{f, p.addr(&f)})
			}
		}
	}
	conns := make([]net.Conn, n)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	if err := each(n, func(i int) (err error) {
		k := kinds[i%len(kinds)]
		conns[i], err = k.f.Begin(k.addr)
		return err
	}); err != nil {
		return err
	}
	begun := time.Now()
	c, err := harness.DialIMAP(b.srv.IMAP)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Login(user, password); err != nil {
		return err
	}
	took := time.Since(begun)
	peak, err := b.srv.PeakRSS()
	if err != nil {
		return err
	}
	b.add(row{"S1", "all", fmt.Sprintf("%d floods", n), float64(peak) / mib, 700, "MiB resident", "the most it was"})
	b.add(row{"S1", "all", "a login among them", took.Seconds(), 1, "s", ""})
	return nil
}

// loggedIn begins a session that sends a text.
func (b *bench) loggedIn(text string) func(int) (net.Conn, error) {
	f := flood.Flood{Before: fmt.Sprintf("l LOGIN %q %q\r\ns SELECT INBOX\r\n", user, password), Ready: "\r\ns OK", Text: text}
	return func(int) (net.Conn, error) { return f.Begin(b.srv.IMAP) }
}

// sessions is S2: idle sessions, commands that are begun and not ended, answers
// that are not read, and commands on a mailbox.
func (b *bench) sessions() error {
	c, err := b.loggedIn("")(0) // what the account takes is not the sessions'
	if err != nil {
		return err
	}
	defer c.Close()
	word := strings.Repeat("x", 120<<10)
	for _, held := range []struct {
		name  string
		limit float64 // KiB
		n     int
		text  string
	}{
		{"idle", 64, b.connections, ""},
		{"in IDLE", 64, b.connections, "a IDLE\r\n"},
		{"half a command", 64, b.connections, "a NOOP "},
		{"a line of 2 MiB without end", 8 << 10, 10, "a SEARCH " + strings.Repeat("1,", 1<<20-10)},
		{"literals, one of them half", 8 << 10, 10, "a SEARCH " + strings.Repeat("SUBJECT {122880+}\r\n"+word+" ", 15) + "SUBJECT {122880+}\r\n" + word[:100<<10]},
		{"strings with literals behind", 8 << 10, 10, "a SEARCH " + strings.Repeat("SUBJECT \""+strings.Repeat("x", 1<<20)+"\" SUBJECT {1+}\r\nx ", 6)},
		{"half a set of 2 MiB behind one", 8 << 10, 10, "a SEARCH " + strings.Repeat("1,3,", 200_000) + "5 SUBJECT {10+}\r\nx"},
		{"half a message of 1 MiB", 8 << 10, 20, "a APPEND INBOX {1048576+}\r\n" + strings.Repeat("Subject: x\r\n", 80_000)},
		{"half a message of 20 MB", 256, 20, "a APPEND INBOX {20000000+}\r\n" + strings.Repeat("Subject: x\r\n", 100_000)},
		{"answers not read", 256, 50, strings.Repeat("a UID FETCH 1:* BODY.PEEK[]\r\n", 20)},
		{"flags not read", 256, 50, strings.Repeat("a UID FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE)\r\n", 100)},
	} {
		if err := b.hold("S2", "imap", held.name, held.n, held.limit, b.loggedIn(held.text)); err != nil {
			return err
		}
	}
	transaction := "LHLO me\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<ada+"+strings.Repeat("d", 900)+"@hostile.example>\r\n", 1000)
	for name, text := range map[string]string{"1000 recipients": transaction, "half a message": transaction + "DATA\r\n" + strings.Repeat("Subject: x\r\n", 100_000)} {
		f := flood.Flood{Text: text}
		if err := b.hold("S2", "lmtp", name, 10, 8<<10, func(int) (net.Conn, error) { return f.Begin(b.srv.LMTP) }); err != nil {
			return err
		}
	}
	return b.peaks()
}

// peaks is S2 for commands that are carried out: the most that the heap grows.
func (b *bench) peaks() error {
	for _, c := range []struct{ name, command string }{
		{"a set of 2 MiB", "FETCH " + strings.Repeat("1,3,", 500_000) + "5 UID"},
		{"a set of many numbers", "FETCH " + many(290_000) + " UID"},
		{"words", "ENABLE" + strings.Repeat(" X", 90_000)},
		{"search of headers", `SEARCH HEADER X-None "nothing"`},
		{"search of texts", `SEARCH TEXT "nothing there"`},
		{"search of many keys", "SEARCH" + strings.Repeat(" UID 1:*", 9990)},
		{"sort", "SORT (SUBJECT FROM TO DATE) UTF-8 ALL"},
		{"thread", "THREAD REFERENCES UTF-8 ALL"},
		{"fetch of everything", "FETCH 1:* (FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[])"},
		{"store on all", `STORE 1:* +FLAGS (\Flagged)`},
		{"copy of all", "COPY 1:* INBOX"},
		{"patterns", `LIST "" (` + strings.TrimSpace(strings.Repeat("*a*%b ", 90)) + ")"},
	} {
		if err := b.peak(c.name, c.command); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) peak(name, command string) error {
	c, err := harness.DialBulk(b.srv.IMAP, user, password, make([]byte, 1<<20))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Do("SELECT INBOX"); err != nil {
		return err
	}
	before, err := b.lives()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	begun := time.Now()
	go func() { done <- c.Do(command) }()
	most, looks := before.heap, 0
	for ended := false; !ended; looks++ {
		select {
		case err = <-done:
			ended = true
		default:
		}
		m, failed := b.memory()
		if failed != nil {
			return failed
		}
		most = max(most, m.heap)
		time.Sleep(time.Duration(looks) * time.Millisecond) // a look takes memory itself
	}
	outcome := "OK"
	if _, refused := err.(*harness.Answer); refused {
		outcome = "refused"
	} else if err != nil && err != io.EOF {
		return err
	}
	b.add(row{"S2", "command", name, float64(most-before.heap) / mib, 8, "MiB of heap", fmt.Sprintf("%s after %.0f ms, %d looks", outcome, time.Since(begun).Seconds()*1000, looks)})
	return nil
}
