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

const (
	storeAccounts = 1000
	storeOctets   = 10_000 // of a message
)

func measureStore(b *bench, at sizes) (*axis, error) {
	a := &axis{Name: "store", What: "GB in the store"}
	srv, err := b.server("store")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(srv.Data)
	have := 0
	for _, size := range at {
		messages := int(size*1e9) / storeOctets
		if err := b.addMessages(srv.Data, have, messages); err != nil {
			return nil, err
		}
		have = messages
		if err := storeOf(a, srv, size, messages); err != nil {
			return nil, fmt.Errorf("%g GB: %w", size, err)
		}
	}
	return a, nil
}

// addMessages brings the store from some messages to more.
func (b *bench) addMessages(data string, from, to int) error {
	ctx := context.Background()
	return fill.Store(ctx, data, func(s *store.Store) (err error) {
		var infos []store.AccountInfo
		if from == 0 {
			infos, err = fill.Accounts(ctx, s, 0, storeAccounts, account, passwordHash)
			if err != nil {
				return err
			}
		} else {
			for info := range s.AccountInfos(ctx) {
				infos = append(infos, info)
			}
		}
		return fill.Spread(ctx, s, infos, to-from, func(n int) ([]byte, store.AppendOptions) {
			return fill.Text(from+n, storeOctets), store.AppendOptions{}
		})
	})
}

func storeOf(a *axis, srv *harness.Server, size float64, messages int) error {
	if err := srv.Start(); err != nil {
		return err
	}
	defer srv.Kill()
	start, err := restarted(srv)
	if err != nil {
		return err
	}
	chosen := choose(min(storeAccounts, messages/samples))
	delivery, err := delivered(srv, chosen)
	if err != nil {
		return err
	}
	srv.Kill()
	crashed, err := started(srv)
	if err != nil {
		return err
	}
	var times []time.Duration
	for _, i := range chosen {
		took, err := fetchOne(srv, i)
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	a.took("start", size, start)
	a.took("start after kill -9", size, crashed)
	a.took("delivery", size, delivery)
	a.took("FETCH of one", size, stats.Median(times))
	return nil
}

// fetchOne returns how long an account's first FETCH takes.
func fetchOne(srv *harness.Server, i int) (time.Duration, error) {
	c, err := harness.DialIMAP(srv.IMAP)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.Login(account(i), password); err != nil {
		return 0, err
	}
	if _, err := c.Do("SELECT INBOX"); err != nil {
		return 0, err
	}
	begin := time.Now()
	told, err := c.Do("FETCH * (FLAGS BODY.PEEK[])")
	if err == nil && fetched(told) != 1 {
		err = fmt.Errorf("nothing was fetched of account %d", i)
	}
	return time.Since(begin), err
}
