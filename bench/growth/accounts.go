package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/angarium/angarium/bench/stats"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/test/harness"
	"github.com/angarium/angarium/test/harness/fill"
)

func measureAccounts(b *bench, at sizes) (*axis, error) {
	a := &axis{Name: "accounts", What: "accounts"}
	srv, err := b.server("accounts")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(srv.Data)
	made := 0
	for _, size := range at {
		if err := b.addAccounts(srv.Data, made, int(size)); err != nil {
			return nil, err
		}
		made = int(size)
		if err := accountsOf(a, srv, made); err != nil {
			return nil, fmt.Errorf("%d accounts: %w", made, err)
		}
	}
	return a, nil
}

func (b *bench) addAccounts(data string, from, to int) error {
	ctx := context.Background()
	return fill.Store(ctx, data, func(s *store.Store) error {
		_, err := fill.Accounts(ctx, s, from, to, account, passwordHash)
		return err
	})
}

func accountsOf(a *axis, srv *harness.Server, accounts int) error {
	if err := srv.Start(); err != nil {
		return err
	}
	defer srv.Kill()
	start, err := restarted(srv)
	if err != nil {
		return err
	}
	chosen := choose(accounts)
	var logins, selects []time.Duration
	for _, i := range chosen {
		login, selected, err := enter(srv, i)
		if err != nil {
			return err
		}
		logins, selects = append(logins, login), append(selects, selected)
	}
	delivery, err := delivered(srv, chosen)
	if err != nil {
		return err
	}
	n := float64(accounts)
	a.took("start", n, start)
	a.took("LOGIN, first of the account", n, stats.Median(logins))
	a.took("SELECT, first of the account", n, stats.Median(selects))
	a.took("delivery", n, delivery)
	return nil
}

// enter connects, logs in and selects INBOX.
func enter(srv *harness.Server, i int) (login, selected time.Duration, err error) {
	begin := time.Now()
	c, err := harness.DialIMAP(srv.IMAP)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if err := c.Login(account(i), password); err != nil {
		return 0, 0, err
	}
	login = time.Since(begin)
	begin = time.Now()
	_, err = c.Do("SELECT INBOX")
	return login, time.Since(begin), err
}
