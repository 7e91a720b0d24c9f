package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/export"
	"github.com/angarium/angarium/internal/store"
)

func newStore() *cobra.Command {
	c := &cobra.Command{Use: "store", Short: "Look at the store, and take mail out of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newStoreStat(), newStoreDump(), newStoreExport())
	return c
}

func newStoreStat() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "stat",
		Short: "Count what the store holds",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r adminserver.StoreStat
			if err := administrate(cmd.Context(), &f.settings, "store stat", struct{}{}, &r); err != nil {
				return err
			}
			return f.print(cmd, r, func(w io.Writer) error {
				fmt.Fprintf(w, "accounts %d\ndeleted accounts %d\nmessages %d\noctets %d\n", r.Accounts, r.Deleted, r.Messages, r.Octets)
				engine, _ := r.Engine.(map[string]any)
				for _, k := range []string{"Segments", "Octets", "Live"} {
					fmt.Fprintf(w, "log %s %.0f\n", strings.ToLower(k), engine[k])
				}
				return nil
			})
		},
	}
	f.addFlags(c, false)
	return c
}

// filesFlags say which files are read: those of the data directory, or others.
type filesFlags struct {
	settings
	files, at, account string
}

func (f *filesFlags) addFlags(c *cobra.Command) {
	f.settings.addFlags(c, false)
	c.Flags().StringVar(&f.files, "files", "", "directory with the files of a store, also a backup's (default: store in the data directory)")
	c.Flags().StringVar(&f.at, "at", "", "as the store was at a time: 2h, 3d, 2026-11-23 or 2026-11-23T15:04:05Z")
	c.Flags().StringVar(&f.account, "account", "", "only this account")
}

// each opens the files and calls fn for each account.
func (f *filesFlags) each(cmd *cobra.Command, fn func(ctx context.Context, s *store.Store, info store.AccountInfo) error) error {
	dir := f.files
	if dir == "" {
		c, err := f.load()
		if err != nil {
			return err
		}
		dir = filepath.Join(c.Data, "store")
	}
	until, err := parseWhen(f.at, time.Now())
	if err != nil {
		return err
	}
	m, findings, err := openFiles(cmd.Context(), dir, until)
	for _, text := range findings {
		fmt.Fprintln(cmd.ErrOrStderr(), "damaged:", text)
	}
	if err != nil {
		return err
	}
	defer m.Close()
	for info := range m.AccountInfos(cmd.Context()) {
		if f.account != "" && info.Name != f.account {
			continue
		}
		if err := fn(cmd.Context(), m.Store, info); err != nil {
			return fmt.Errorf("%s: %w", info.Name, err)
		}
	}
	return nil
}

func newStoreDump() *cobra.Command {
	var f filesFlags
	c := &cobra.Command{
		Use:   "dump",
		Short: "Print all accounts, mailboxes and messages as lines of JSON, with a digest of each message",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			progress, done := showProgress()
			defer done()
			var r export.Result
			err := f.each(cmd, func(ctx context.Context, s *store.Store, info store.AccountInfo) error {
				return export.Dump(ctx, s, info, cmd.OutOrStdout(), &r, told(progress))
			})
			return damaged(&r, err)
		},
	}
	f.addFlags(c)
	return c
}

// told shows the progress of an export once a second.
func told(progress func(string)) func(*export.Result) {
	last := time.Now()
	return func(r *export.Result) {
		if time.Since(last) > time.Second {
			last = time.Now()
			progress(fmt.Sprintf("%d accounts, %d messages, %d MiB", r.Accounts, r.Messages, r.Octets>>20))
		}
	}
}

func damaged(r *export.Result, err error) error {
	if err == nil && r.Damaged > 0 {
		err = fmt.Errorf("%d messages or mailboxes cannot be read; all others were written", r.Damaged)
	}
	return err
}

func newStoreExport() *cobra.Command {
	var f filesFlags
	format := ""
	c := &cobra.Command{
		Use:   "export OUT",
		Short: "Write the mail of all accounts into a new directory, as Maildir++ or mbox",
		Long: "Writes OUT/ACCOUNT for each account, with UIDs, flags, keywords and dates. It reads the files only, so\n" +
			"that it works with a store that does not start, and with a backup. Stop the server first, or take a backup.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write := map[string]func(context.Context, *store.Store, store.AccountInfo, string, *export.Result, func(*export.Result)) error{
				"maildir": export.Maildir, "mbox": export.Mbox}[format]
			if write == nil {
				return usageError{errors.New("--format is maildir or mbox")}
			}
			if err := os.MkdirAll(args[0], 0o700); err != nil {
				return err
			}
			progress, done := showProgress()
			var r export.Result
			err := f.each(cmd, func(ctx context.Context, s *store.Store, info store.AccountInfo) error {
				return write(ctx, s, info, filepath.Join(args[0], url.PathEscape(info.Name)), &r, told(progress))
			})
			done()
			fmt.Fprintf(cmd.OutOrStdout(), "Wrote %d messages of %d accounts, %d octets, into %s.\n", r.Messages, r.Accounts, r.Octets, args[0])
			return damaged(&r, err)
		},
	}
	f.addFlags(c)
	c.Flags().StringVar(&format, "format", "maildir", "maildir (Maildir++) or mbox (mboxrd)")
	return c
}
