package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
)

// tryAccounts are the accounts of a trial.
var tryAccounts = []string{"ada@localhost", "bela@localhost"}

func newTry() *cobra.Command {
	var dir, host string
	var base int
	c := &cobra.Command{
		Use:   "try",
		Short: "Serve two accounts with some mail on loopback, to look at; Ctrl-C leaves nothing behind",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return try(ctx, cmd.OutOrStdout(), dir, host, base)
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "keep the mail in this directory")
	c.Flags().StringVar(&host, "host", "127.0.0.1", "address to listen on")
	c.Flags().IntVar(&base, "base-port", 10000, "IMAP is on this port + 143, IMAPS + 993, POP3 + 110, POP3S + 995, LMTP + 24")
	return c
}

func try(ctx context.Context, out io.Writer, dir, host string, base int) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "angarium-try-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	port := func(n int) string { return net.JoinHostPort(host, strconv.Itoa(base+n)) }
	o := &settings{data: dir, level: "warn", listen: []string{"imap=" + port(143), "imaps=" + port(993), "pop3=" + port(110), "pop3s=" + port(995), "lmtp=" + port(24)}}
	a, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if e := a.stop(); err == nil {
			err = e
		}
	}()
	passwords, err := a.tryAccounts(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	for i, name := range tryAccounts {
		fmt.Fprintf(out, "account %s  password %s\n", name, passwords[i])
	}
	fmt.Fprintf(out, `
IMAP %s   IMAPS %s   POP3 %s   POP3S %s   LMTP %s

Paste one of these:
  curl -s --url 'imap://%s/INBOX;MAILINDEX=1' --user '%s:%s'
  openssl s_client -quiet -crlf -connect %s    (then: a login %s %s)
  printf 'LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: hello\r\n\r\nIt works.\r\n.\r\nQUIT\r\n' | curl -s -m 5 telnet://%s

Ctrl-C ends it.
`, port(143), port(993), port(110), port(995), port(24),
		port(143), tryAccounts[0], passwords[0], port(993), tryAccounts[0], passwords[0], tryAccounts[0], port(24))
	<-ctx.Done()
	return nil
}

// tryAccounts makes the accounts, with new passwords on each start, and
// delivers the samples to those that are new.
func (a *app) tryAccounts(ctx context.Context) ([]string, error) {
	service := &adminserver.Service{Store: a.store.Store, Domain: a.domain}
	var passwords, added []string
	for _, name := range tryAccounts {
		password := strings.ToLower(rand.Text()[:12])
		passwords = append(passwords, password)
		request := adminserver.UserImport{Lines: []string{name + ":" + password}, Update: true}
		r, err := service.UserImport(ctx, request)
		if err != nil {
			return nil, err
		}
		added = append(added, r.Added...)
	}
	for _, name := range added {
		if err := deliverSamples(strings.TrimPrefix(a.config.Listen[4], "lmtp="), name); err != nil {
			return nil, fmt.Errorf("delivering the samples: %w", err)
		}
	}
	return passwords, nil
}

// deliverSamples hands the sample messages to the server over LMTP.
func deliverSamples(addr, to string) error {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(nc)
	say := func(text, want string) error {
		if text != "" {
			if _, err := io.WriteString(nc, text+"\r\n"); err != nil {
				return err
			}
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return err
			}
			if !strings.HasPrefix(line, want) {
				return fmt.Errorf("%q was answered %q", text, line)
			}
			if len(line) < 4 || line[3] != '-' {
				return nil
			}
		}
	}
	dialogue := [][2]string{{"", "220"}, {"LHLO try.localhost", "250"}}
	for _, m := range samples(to, time.Now()) {
		dialogue = append(dialogue, [2]string{"MAIL FROM:<bela@localhost>", "250"}, [2]string{"RCPT TO:<" + to + ">", "250"},
			[2]string{"DATA", "354"}, [2]string{m + "\r\n.", "250"})
	}
	for _, step := range append(dialogue, [2]string{"QUIT", "221"}) {
		if err := say(step[0], step[1]); err != nil {
			return err
		}
	}
	return nil
}
