package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/export"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// world is a store on some engine, and a clock that moves with each operation:
// the same operations lead to the same state on every engine.
type world struct {
	ctx context.Context
	e   engine.Engine
	s   *store.Store
	now time.Time
}

// accountNames are the accounts that operations work on, in turn.
var accountNames = []string{"a@crash.example", "b@crash.example"}

func openWorld(ctx context.Context, e engine.Engine, done int) (*world, error) {
	w := &world{ctx: ctx, e: e}
	w.setClock(done)
	s, err := store.Open(ctx, e, store.Options{Now: func() time.Time { return w.now }, PurgeEvery: -1, ScrubEvery: -1})
	w.s = s
	return w, err
}

// setClock sets the time after some operations.
func (w *world) setClock(done int) { w.now = time.Unix(1_800_000_000+int64(done)*60, 0) }

// setUp makes the accounts with two messages each.
func (w *world) setUp() error {
	for _, name := range accountNames {
		if _, err := w.s.CreateAccount(w.ctx, name, "x"); err != nil {
			return err
		}
		for i := range 2 {
			if err := w.append(name, mail.Inbox, fmt.Sprintf("set up %d", i), mail.Flags{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) account(name string) (*store.Account, error) {
	info, err := w.s.AccountInfo(w.ctx, name)
	if err != nil {
		return nil, err
	}
	return w.s.Account(w.ctx, info.ID)
}

func (w *world) append(account, mailbox, text string, flags mail.Flags) error {
	st, err := w.s.Stage(w.ctx)
	if err != nil {
		return err
	}
	defer st.Discard()
	if _, err := fmt.Fprintf(st, "Subject: %s\r\nMessage-ID: <%s@crash.example>\r\n\r\n%s\r\n", text[:min(20, len(text))], strings.ReplaceAll(text[:min(20, len(text))], " ", "-"), text); err != nil {
		return err
	}
	staged, err := st.Seal()
	if err != nil {
		return err
	}
	return w.update(account, func(tx *store.Tx) error {
		box, err := tx.Snapshot().Mailbox(mailbox)
		if err == nil {
			_, err = tx.Append(box.ID, staged, store.AppendOptions{Flags: flags})
		}
		return err
	})
}

func (w *world) update(account string, fn func(*store.Tx) error) error {
	a, err := w.account(account)
	if err == nil {
		_, err = a.Update(w.ctx, fn)
	}
	return err
}

// inBox runs fn with a mailbox's id and messages.
func (w *world) inBox(account, mailbox string, fn func(tx *store.Tx, box *store.Mailbox, l *store.MessageList) error) error {
	return w.update(account, func(tx *store.Tx) error {
		v := tx.Snapshot()
		box, err := v.Mailbox(mailbox)
		if err != nil {
			return err
		}
		l, err := v.Messages(w.ctx, box.ID)
		if err != nil {
			return err
		}
		return fn(tx, box, l)
	})
}

// uids returns some messages of a list, by their places; -1 is the last.
func uids(l *store.MessageList, places ...int) (s mail.UIDSet) {
	for _, i := range places {
		if i < 0 {
			i += l.Len()
		}
		if i >= 0 && i < l.Len() {
			s = s.Append(l.At(i).UID)
		}
	}
	return s
}

// operation is one thing that can be acknowledged.
type operation struct {
	name string
	// several: it is more than one commit, each of which may survive alone.
	several bool
	run     func(w *world, account string, n int) error
}

func (o operation) String() string { return o.name }

// operations is the alphabet of workloads. n numbers the operation in its
// workload.
var operations = []operation{
	{"append", false, func(w *world, a string, n int) error {
		return w.append(a, mail.Inbox, fmt.Sprintf("operation %d", n), mail.NewFlags(mail.Flagged, "kw"))
	}},
	{"append large", false, func(w *world, a string, n int) error {
		return w.append(a, "Archive", fmt.Sprintf("large %d ", n)+strings.Repeat("0123456789abcde\n", 68<<10), mail.Flags{})
	}},
	{"flags", false, func(w *world, a string, n int) error {
		return w.inBox(a, mail.Inbox, func(tx *store.Tx, box *store.Mailbox, l *store.MessageList) error {
			_, err := tx.SetFlags(box.ID, uids(l, 0, -1), store.FlagChange{Op: store.FlagOp(n % 3), Flags: mail.NewFlags(mail.Seen, fmt.Sprintf("k%d", n%4))})
			return err
		})
	}},
	{"copy", false, func(w *world, a string, n int) error {
		return w.inBox(a, mail.Inbox, func(tx *store.Tx, box *store.Mailbox, l *store.MessageList) error {
			to, err := tx.Snapshot().Mailbox("Archive")
			if err == nil {
				_, err = tx.Copy(box.ID, uids(l, 0, 1), to.ID, store.ByOwner)
			}
			return err
		})
	}},
	{"move", false, func(w *world, a string, n int) error {
		return w.inBox(a, mail.Inbox, func(tx *store.Tx, box *store.Mailbox, l *store.MessageList) error {
			to, err := tx.Snapshot().Mailbox("Archive")
			if err == nil {
				_, err = tx.Move(box.ID, uids(l, -1), to.ID, store.ByOwner)
			}
			return err
		})
	}},
	{"expunge", false, func(w *world, a string, n int) error {
		return w.inBox(a, mail.Inbox, func(tx *store.Tx, box *store.Mailbox, l *store.MessageList) error {
			_, err := tx.Expunge(box.ID, uids(l, -1))
			return err
		})
	}},
	{"create mailbox", false, func(w *world, a string, n int) error {
		return w.update(a, func(tx *store.Tx) error {
			if _, err := tx.CreateMailbox("P/q", store.CreateOptions{}); err != nil {
				return err
			}
			return tx.Subscribe("P/q")
		})
	}},
	{"rename mailbox", false, func(w *world, a string, n int) error {
		return w.inBox(a, "Archive", func(tx *store.Tx, box *store.Mailbox, _ *store.MessageList) error {
			return tx.RenameMailbox(box.ID, fmt.Sprintf("Old/%d", n))
		})
	}},
	{"delete mailbox", false, func(w *world, a string, n int) error {
		return w.inBox(a, "Archive", func(tx *store.Tx, box *store.Mailbox, _ *store.MessageList) error { return tx.DeleteMailbox(box.ID) })
	}},
	{"undelete", true, func(w *world, a string, n int) error {
		acct, err := w.account(a)
		if err == nil {
			_, err = acct.Restore(w.ctx, store.Selection{})
		}
		return err
	}},
	{"erase", true, func(w *world, a string, n int) error {
		acct, err := w.account(a)
		if err == nil {
			_, err = acct.Erase(w.ctx, store.Selection{})
		}
		return err
	}},
	{"delete account", false, func(w *world, a string, n int) error { return w.s.DeleteAccount(w.ctx, a) }},
	{"restore account", false, func(w *world, a string, n int) error {
		_, err := w.s.RestoreAccount(w.ctx, a, a)
		return err
	}},
	{"password", false, func(w *world, a string, n int) error { return w.s.SetPassword(w.ctx, a, fmt.Sprint(n)) }},
	{"reclaim", false, func(w *world, a string, n int) error { return w.s.Reclaim(w.ctx) }},
}

// workload is indexes of operations.
type workload []int

func (wl workload) String() string {
	var names []string
	for _, i := range wl {
		names = append(names, operations[i].name)
	}
	return strings.Join(names, ", ")
}

// step runs the n-th operation of a workload. A refusal for the sake of mail's
// meaning (no such mailbox) is an answer too.
func (w *world) step(wl workload, n int) error {
	w.setClock(n + 1)
	err := operations[wl[n]].run(w, accountNames[n%len(accountNames)], n)
	if err == nil || !failed(err) {
		return nil
	}
	return err
}

// failed reports whether the engine could not do what it was asked for.
func failed(err error) bool {
	for _, k := range []errs.Kind{errs.NotFound, errs.Exists, errs.Invalid, errs.Limit} {
		if errs.Is(err, k) {
			return false
		}
	}
	return err != nil
}

// dump is everything that clients and administrators can see.
func (w *world) dump() (string, error) {
	var b strings.Builder
	var r export.Result
	for info := range w.s.AccountInfos(w.ctx) {
		fmt.Fprintf(&b, "%s %d %s\n", info.Name, info.ID, info.Password)
		if err := export.Dump(w.ctx, w.s, info, &b, &r, func(*export.Result) {}); err != nil {
			return "", err
		}
	}
	gone, err := w.s.GoneAccounts()
	for _, g := range gone {
		fmt.Fprintf(&b, "deleted %s %d %s\n", g.Name, g.ID, g.Deleted)
	}
	if r.Damaged > 0 {
		err = errors.Join(err, fmt.Errorf("%d messages cannot be read", r.Damaged))
	}
	return b.String(), err
}

// references are the states before and after each operation of a workload, as
// an engine has them that cannot fail.
func references(ctx context.Context, wl workload) ([]string, error) {
	w, err := openWorld(ctx, mem.New(), 0)
	if err != nil {
		return nil, err
	}
	defer w.s.Close()
	if err := w.setUp(); err != nil {
		return nil, err
	}
	var all []string
	for n := 0; ; n++ {
		d, err := w.dump()
		if err != nil {
			return nil, err
		}
		if all = append(all, d); n == len(wl) {
			return all, nil
		}
		if err := w.step(wl, n); err != nil {
			return nil, fmt.Errorf("%s: %w", operations[wl[n]].name, err)
		}
	}
}
