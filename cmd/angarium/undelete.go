package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
)

func newUndelete() *cobra.Command {
	c := &cobra.Command{Use: "undelete", Short: "Show and restore expunged mail, deleted mailboxes and deleted accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newUndeleteList(), newUndeleteRestore(), newUndeleteAccount())
	return c
}

// selectionFlags say which expunged messages are meant.
type selectionFlags struct {
	adminserver.Selection
	since, until string
}

func (s *selectionFlags) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&s.Mailbox, "mailbox", "", "only this mailbox and those below it")
	c.Flags().StringVar(&s.UIDs, "uid", "", "only these UIDs of it, like 3,7:9")
	c.Flags().StringVar(&s.since, "since", "", "only what was expunged since: 2h, 3d, 2026-11-23 or 2026-11-23T15:04:05Z")
	c.Flags().StringVar(&s.until, "until", "", "only what was expunged until then")
}

// read returns the selection of an account.
func (s *selectionFlags) read(name string) (_ adminserver.Selection, err error) {
	s.Name = name
	if s.Since, err = parseWhen(s.since, time.Now()); err == nil {
		s.Until, err = parseWhen(s.until, time.Now())
	}
	return s.Selection, err
}

// parseWhen reads a point in time: how long ago, a day, or RFC 3339.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 {
			return now.AddDate(0, 0, -n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("%q is no time: say 2h, 3d, 2026-11-23, \"2026-11-23 15:04:05\" or 2026-11-23T15:04:05Z", s)}
}

func newUndeleteList() *cobra.Command {
	var f userFlags
	var s selectionFlags
	c := &cobra.Command{
		Use:   "list [NAME]",
		Short: "Show what can be restored of an account, or which deleted accounts can be",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selection, err := s.read(strings.Join(args, ""))
			if err != nil {
				return err
			}
			var b adminserver.Buried
			if err := administrate(cmd.Context(), &f.settings, "undelete list", selection, &b); err != nil {
				return err
			}
			return f.print(cmd, b, func(w io.Writer) error { return printBuried(w, b, len(args) == 0) })
		},
	}
	f.addFlags(c, false)
	s.addFlags(c)
	return c
}

func printBuried(w io.Writer, b adminserver.Buried, accounts bool) error {
	const when = "2006-01-02 15:04:05"
	for _, a := range b.Accounts {
		fmt.Fprintf(w, "%s  account %s\n", a.Deleted.Format(when), a.Name)
	}
	if accounts {
		_, err := fmt.Fprintf(w, "%d deleted accounts can be restored.\n", len(b.Accounts))
		return err
	}
	for _, m := range b.Mailboxes {
		fmt.Fprintf(w, "%s  mailbox %s\n", m.Deleted.Format(when), m.Name)
	}
	for _, m := range b.Messages {
		fmt.Fprintf(w, "%s  %s UID %d, %d octets, of %s from %s: %s\n", m.Expunged.Format(when), m.Mailbox, m.UID, m.Octets,
			m.Date.Format("2006-01-02"), cmp.Or(m.From, "?"), m.Subject)
	}
	_, err := fmt.Fprintf(w, "%d messages with %d octets and %d mailboxes can be restored.\n", len(b.Messages), b.Octets, len(b.Mailboxes))
	if b.Damaged > 0 {
		_, err = fmt.Fprintf(w, "%d records of expunged messages cannot be read; see angarium check.\n", b.Damaged)
	}
	return err
}

func newUndeleteRestore() *cobra.Command {
	var f userFlags
	var s selectionFlags
	into := ""
	c := &cobra.Command{
		Use:   "restore NAME",
		Short: "Bring expunged messages and deleted mailboxes of an account back",
		Long: "Brings messages back with their flags and dates, under new UIDs, beside what is there; a second call\n" +
			"finds nothing more to do. Without flags all that can be restored is.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selection, err := s.read(args[0])
			if err != nil {
				return err
			}
			var r adminserver.Restored
			request := adminserver.UndeleteRestore{Selection: selection, Into: into, DryRun: f.dryRun}
			if err := administrate(cmd.Context(), &f.settings, "undelete restore", request, &r); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, r, func(w io.Writer) error {
				for _, m := range r.Mailboxes {
					fmt.Fprintf(w, "Made mailbox %s.\n", m)
				}
				_, err := fmt.Fprintf(w, "Restored %d messages with %d octets.\n", r.Messages, r.Octets)
				return err
			})
		},
	}
	f.addFlags(c, true)
	s.addFlags(c)
	c.Flags().StringVar(&into, "into", "", "put all messages into this mailbox (default: where they were)")
	return c
}

func newUndeleteAccount() *cobra.Command {
	var f userFlags
	var a adminserver.UndeleteAccount
	c := &cobra.Command{
		Use:   "account NAME",
		Short: "Bring a deleted account back with all it held and its password",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Name = args[0]
			var d adminserver.UserDetails
			if err := administrate(cmd.Context(), &f.settings, "undelete account", a, &d); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, d, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Restored %s with %d messages.\n", d.Name, d.Messages)
				return err
			})
		},
	}
	f.addFlags(c, false)
	c.Flags().StringVar(&a.As, "as", "", "the account's new name (default: the old one)")
	return c
}

func newErase() *cobra.Command {
	var f userFlags
	var s selectionFlags
	var a adminserver.Erase
	c := &cobra.Command{
		Use:   "erase NAME",
		Short: "Destroy expunged mail of an account for ever, before its time",
		Long: "Destroys what undelete could restore, and removes its octets from the files. Mail that is still in\n" +
			"mailboxes is not touched. With --account: a deleted account with all it held.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			a.DryRun = f.dryRun
			if a.Selection, err = s.read(args[0]); err != nil {
				return err
			}
			var r adminserver.Restored
			if err := administrate(cmd.Context(), &f.settings, "erase", a, &r); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, r, func(w io.Writer) error {
				if a.Account {
					_, err := fmt.Fprintf(w, "Erased the deleted account %s.\n", args[0])
					return err
				}
				_, err := fmt.Fprintf(w, "Erased %d messages with %d octets.\n", r.Messages, r.Octets)
				return err
			})
		},
	}
	f.addFlags(c, true)
	s.addFlags(c)
	c.Flags().BoolVar(&a.Account, "account", false, "a deleted account with all it held")
	c.Flags().BoolVar(&a.Yes, "yes", false, "it is meant")
	return c
}
