package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/doubling"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	threads = 1000 // messages of the smallest mailbox of a shape
	// perMessage is the processor time that the largest message may take (S3). A
	// command has 2 s until it yields, which test/fair is about.
	perMessage = 250 * time.Millisecond
	perCommand = time.Hour
)

// cpu is the processor time that the server took until now.
func (b *bench) cpu() (all time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", b.srv.PID()))
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			return 0, err
		}
		all += time.Duration(ns)
	}
	if len(files) == 0 || all == 0 {
		return 0, errors.New("the system does not tell of the server's processor time")
	}
	return all, nil
}

// grow adds the rows of one shape: how the time grows, and the longest.
func (b *bench) grow(kind, name string, n int, most time.Duration, run func(n int) error) error {
	g, err := doubling.Measure(n, func(n int) (time.Duration, error) {
		before, err := b.cpu()
		if err != nil {
			return 0, err
		}
		if err := run(n); err != nil {
			return 0, fmt.Errorf("%s, %s of %d: %w", kind, name, n, err)
		}
		after, err := b.cpu()
		return after - before, err
	})
	if err != nil {
		return err
	}
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }
	b.add(row{"S3", kind, name, g.Ratio(), doubling.Max, "times", fmt.Sprintf("n %d: %s, %s, %s ms", n, ms(g.Took[0]), ms(g.Took[1]), ms(g.Took[2]))})
	if g.Took[2] > most {
		b.add(row{"S3", kind, name + ", the largest", g.Took[2].Seconds(), most.Seconds(), "s", ""})
	}
	return nil
}

// deliveries is S3 for messages.
func (b *bench) deliveries(n int) error {
	c, err := harness.DialLMTP(b.srv.LMTP)
	if err != nil {
		return err
	}
	defer c.Close()
	shapes := maps.Clone(doubling.Messages)
	for name, words := range doubling.Words {
		shapes["words: "+name] = func(n int) string { return "Subject: " + words(min(n, 200<<10)) + "\r\n\r\n" + words(n) }
	}
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		texts := map[int]string{n: shapes[name](n), 2 * n: shapes[name](2 * n), 4 * n: shapes[name](4 * n)}
		if err := b.grow("message", name, n, perMessage, func(n int) error {
			r, err := c.Deliver("", []string{user}, texts[n])
			if err == nil && !strings.HasPrefix(r[0], "250") {
				err = errors.New(r[0])
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// commands is S3 for what the command parser reads and what it asks for.
func (b *bench) commands() error {
	c, err := harness.DialBulk(b.srv.IMAP, user, password, make([]byte, 1<<20))
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Do("SELECT INBOX"); err != nil {
		return err
	}
	for i := range 200 {
		if err := c.Do(fmt.Sprintf("CREATE %s/%s%d", strings.Repeat("a", 250), strings.Repeat("ab", 100), i)); err != nil {
			return err
		}
	}
	for _, shape := range []struct {
		kind, name string
		n          int
		text       func(n int) string
	}{
		{"parser", "words", 20_000, func(n int) string { return "ENABLE" + strings.Repeat(" X", n) }},
		{"parser", "a quoted string", 400_000, func(n int) string { return `SEARCH SUBJECT "` + strings.Repeat("x", n) + `"` }},
		{"parser", "escapes", 200_000, func(n int) string { return `SEARCH SUBJECT "` + strings.Repeat(`\"`, n) + `"` }},
		{"parser", "literals", 200, func(n int) string { return "SEARCH" + strings.Repeat(" SUBJECT {1+}\r\nx", n) }},
		{"parser", "a literal", 30_000, func(n int) string { return fmt.Sprintf("SEARCH SUBJECT {%d+}\r\n%s", n, strings.Repeat("x", n)) }},
		{"parser", "brackets", 400_000, func(n int) string { return "SEARCH " + strings.Repeat("(", n) }},
		{"parser", "flags", 20_000, func(n int) string { return `STORE 1 FLAGS (\Seen` + strings.Repeat(` \Seen`, n) + ")" }},
		{"parser", "field names", 240, func(n int) string { return "FETCH 1:100 BODY.PEEK[HEADER.FIELDS (" + strings.Repeat("To ", n) + "To)]" }},
		{"set", "one number", 200_000, func(n int) string { return "FETCH " + strings.Repeat("1,", n) + "1 UID" }},
		{"set", "ranges", 80_000, func(n int) string { return "FETCH " + strings.Repeat("1:*,", n) + "1 UID" }},
		{"set", "descending", 60_000, func(n int) string { return "UID FETCH " + many(n) + " UID" }},
		{"search", "keys", 2400, func(n int) string { return "SEARCH" + strings.Repeat(" SEEN", n) }},
		{"search", "sets", 2400, func(n int) string { return "SEARCH" + strings.Repeat(" UID 1:*", n) }},
		{"search", "alternatives", 12, func(n int) string { return "SEARCH" + strings.Repeat(" OR SEEN", n) + " ALL" }},
		{"search", "headers", 20, func(n int) string { return "SEARCH" + strings.Repeat(" NOT HEADER X-None y", n) }},
		{"search", "a needle", 30_000, func(n int) string { return fmt.Sprintf("SEARCH TEXT {%d+}\r\n%sb", n+1, strings.Repeat("a", n)) }},
		{"list", "wildcards", 220, func(n int) string { return `LIST "" "` + strings.Repeat("*%", n) + `x"` }},
		{"list", "wildcards, text", 220, func(n int) string { return `LIST "" "` + strings.Repeat("*a", n) + `x"` }},
		{"list", "levels", 220, func(n int) string { return `LIST "" "` + strings.Repeat("%/", n) + `x"` }},
	} {
		texts := map[int]string{}
		for n := shape.n; n <= 4*shape.n; n *= 2 {
			texts[n] = shape.text(n)
		}
		if err := b.grow(shape.kind, shape.name, shape.n, perCommand, func(n int) error { return answered(c.Do(texts[n])) }); err != nil {
			return err
		}
	}
	return nil
}

// many is a set of n numbers, no two of which are neighbours, the highest first.
func many(n int) string {
	var s strings.Builder
	for i := n; i > 1; i-- {
		fmt.Fprintf(&s, "%d,", 2*i)
	}
	return s.String() + "1"
}

// answered is nil for a command that was refused: that takes time too.
func answered(err error) error {
	if refused := (*harness.Answer)(nil); errors.As(err, &refused) {
		return nil
	}
	return err
}

func threaded(shape string, n int) string {
	return fmt.Sprintf("%s-%d@hostile.example", strings.ReplaceAll(shape, " ", "-"), n)
}

// fillThreads makes an account for each shape of threads and number of messages.
func fillThreads(ctx context.Context, s *store.Store, hash string) error {
	for name, shape := range doubling.Threads {
		for n := threads; n <= 4*threads; n *= 2 {
			infos, err := fill.Accounts(ctx, s, 0, 1, func(int) string { return threaded(name, n) }, hash)
			if err != nil {
				return err
			}
			a, err := s.Account(ctx, infos[0].ID)
			if err != nil {
				return err
			}
			if err := fill.Inbox(ctx, s, a, 0, n, func(i int) ([]byte, store.AppendOptions) { return inThread(shape(i, n)), store.AppendOptions{} }); err != nil {
				return err
			}
		}
	}
	return nil
}

func inThread(m doubling.Threaded) []byte {
	var b strings.Builder
	if m.ID != "" {
		b.WriteString("Message-ID: <" + m.ID + "@x>\r\n")
	}
	if len(m.Refs) > 0 {
		b.WriteString("References:")
		for _, id := range m.Refs {
			b.WriteString("\r\n <" + id + "@x>")
		}
		b.WriteString("\r\n")
	}
	if m.Reply {
		m.Subject = "Re: " + m.Subject
	}
	return []byte(b.String() + "Subject: " + m.Subject + "\r\n\r\nx\r\n")
}

// mailboxes is S3 for what grows with the mailbox.
func (b *bench) mailboxes() error {
	for _, name := range slices.Sorted(maps.Keys(doubling.Threads)) {
		sessions := map[int]*harness.Bulk{}
		buffer := make([]byte, 1<<20)
		for n := threads; n <= 4*threads; n *= 2 {
			c, err := harness.DialBulk(b.srv.IMAP, threaded(name, n), password, buffer)
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Do("SELECT INBOX"); err != nil {
				return err
			}
			sessions[n] = c
		}
		for kind, command := range map[string]string{
			"thread": "THREAD REFERENCES UTF-8 ALL",
			"sort":   "SORT (SUBJECT DATE FROM) UTF-8 ALL",
			"search": "SEARCH HEADER References nothing",
		} {
			if err := b.grow(kind, name, threads, perCommand, func(n int) error { return sessions[n].Do(command) }); err != nil {
				return err
			}
		}
	}
	return nil
}
