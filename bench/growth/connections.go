package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	sessionsOfOne = 75 // IMAP sessions of one account; the server takes 100
	accountsLeast = 20
	messagesOfOne = 20
)

func measureConnections(b *bench, at sizes) (*axis, error) {
	a := &axis{Name: "connections", What: "idle connections"}
	most := int(at[len(at)-1])
	if err := enoughFiles(most); err != nil {
		return nil, err
	}
	accounts := max(accountsLeast, (most+sessionsOfOne-1)/sessionsOfOne)
	srv, err := b.server("connections")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(srv.Data)
	if err := fill.Site(context.Background(), srv.Data, accounts, account, passwordHash, accounts*messagesOfOne, smallOctets); err != nil {
		return nil, err
	}
	if err := srv.Start(); err != nil {
		return nil, err
	}
	defer srv.Kill()
	for i := range accounts { // loaded accounts are to count in no connection's memory
		if _, _, err := enter(srv, i); err != nil {
			return nil, err
		}
	}
	before, err := srv.SettledRSS(b.settle)
	if err != nil {
		return nil, err
	}
	sessions := make([]*harness.IMAP, 0, most)
	defer func() {
		for _, c := range sessions {
			if c != nil {
				c.Close()
			}
		}
	}()
	for _, size := range at {
		have := len(sessions)
		sessions = sessions[:int(size)]
		err := harness.Each(int(size)-have, func(i int) (err error) {
			sessions[have+i], err = idle(srv, (have+i)%accounts)
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := b.beside(a, srv, before, size); err != nil {
			return nil, fmt.Errorf("%.0f connections: %w", size, err)
		}
	}
	return a, nil
}

// beside measures one busy session with the idle ones beside it.
func (b *bench) beside(a *axis, srv *harness.Server, before int64, size float64) error {
	after, err := srv.SettledRSS(b.settle)
	if err != nil {
		return err
	}
	a.add("memory of a connection", kib, size, float64(after-before)/1024/size)
	c, err := harness.DialIMAP(srv.IMAP)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Login(account(0), password); err != nil {
		return err
	}
	if _, err := c.Do("SELECT INBOX"); err != nil {
		return err
	}
	for _, command := range []string{"NOOP", "FETCH 1:10 (FLAGS ENVELOPE)"} {
		took, err := timed(c, command)
		if err != nil {
			return err
		}
		a.took(command, size, took)
	}
	took, err := delivered(srv, []int{0, 1})
	a.took("delivery", size, took)
	return err
}

func idle(srv *harness.Server, i int) (*harness.IMAP, error) {
	c, err := harness.DialIMAP(srv.IMAP)
	if err != nil {
		return nil, err
	}
	if err = c.Login(account(i), password); err == nil {
		if _, err = c.Do("SELECT INBOX"); err == nil {
			_, err = c.Do("IDLE")
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// enoughFiles says whether client and server may have so many connections.
func enoughFiles(connections int) error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if need := uint64(connections+accountsLeast) * 5 / 4; limit.Cur < need {
		return fmt.Errorf("%d connections need a limit of %d open files, which is %d: ulimit -n %d", connections, need, limit.Cur, need)
	}
	return nil
}
