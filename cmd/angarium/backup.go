package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

func newBackup() *cobra.Command {
	c := &cobra.Command{Use: "backup", Short: "Make, show, verify and prune backups of the store", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newBackupCreate(), newBackupList(), newBackupVerify(), newBackupPrune())
	return c
}

func newBackupCreate() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "create DIR",
		Short: "Copy the store as it is now into a directory: what the backups there lack",
		Long: "Works while the server runs, and holds nobody up. The directory may hold earlier backups of the same\n" +
			"store: only what is new is copied. The server's user must be able to write there.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			var r adminserver.BackedUp
			if err := administrate(cmd.Context(), &f.settings, "backup create", adminserver.BackupCreate{Dir: dir}, &r); err != nil {
				return err
			}
			return f.print(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Backup of %s: %d octets, %d of them copied now.\n", r.Created.Format(time.RFC3339), r.Octets, r.Copied)
				return err
			})
		},
	}
	f.addFlags(c, false)
	return c
}

func newBackupList() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "list DIR",
		Short: "List the backups in a directory",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := local.Manifests(vfs.Disk{ReadOnly: true}, args[0])
			if err != nil {
				return err
			}
			backups := []adminserver.BackedUp{}
			for _, m := range all {
				backups = append(backups, adminserver.BackedUp{Created: m.Created, Octets: m.Octets(), Copied: m.Copied})
			}
			return f.print(cmd, backups, func(w io.Writer) error {
				for _, b := range backups {
					fmt.Fprintf(w, "%s %12d octets %12d new\n", b.Created.Format(time.RFC3339), b.Octets, b.Copied)
				}
				_, err := fmt.Fprintf(w, "%d backups.\n", len(backups))
				return err
			})
		},
	}
	c.Flags().BoolVar(&f.json, "json", false, "answer in JSON")
	return c
}

func newBackupVerify() *cobra.Command {
	var f userFlags
	at := ""
	c := &cobra.Command{
		Use:   "verify DIR",
		Short: "Read a backup whole, as check does the store",
		Long:  "Needs no server. Exit code 0: all is well; 1: something is broken; 2: the backup could not be read.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			until, err := parseWhen(at, time.Now())
			if err != nil {
				return err
			}
			r, err := verifyFiles(cmd, args[0], until)
			if err != nil {
				return codeError{err, exitUsage}
			}
			err = f.print(cmd, r, func(w io.Writer) error { return printChecked(w, r) })
			if err == nil && r.Count > 0 {
				err = codeError{errors.New("the backup is damaged; what is not named above can be restored"), exitFailed}
			}
			return err
		},
	}
	c.Flags().StringVar(&at, "at", "", "as the store was at a time: 2h, 3d, 2026-11-23 or 2026-11-23T15:04:05Z")
	c.Flags().BoolVar(&f.json, "json", false, "answer in JSON")
	return c
}

// verifyFiles checks the files of a store that no server uses.
func verifyFiles(cmd *cobra.Command, dir string, until time.Time) (r adminserver.Checked, err error) {
	m, findings, err := openFiles(cmd.Context(), dir, until)
	if err != nil {
		return r, err
	}
	defer m.Close()
	for _, text := range findings {
		r.Findings = append(r.Findings, store.Finding{What: text})
	}
	progress, done := showProgress()
	defer done()
	told := time.Now()
	o := store.CheckOptions{Done: func(n, _ int) { r.Accounts = n }, Pace: func(n int64) error {
		if r.Octets += n; time.Since(told) > time.Second {
			told = time.Now()
			progress(fmt.Sprintf("%d accounts, %d MiB read, %d findings", r.Accounts, r.Octets>>20, len(r.Findings)))
		}
		return cmd.Context().Err()
	}}
	for f, err := range m.Check(cmd.Context(), o) {
		if err != nil {
			return r, err
		}
		r.Findings = append(r.Findings, f)
	}
	r.Count = len(r.Findings)
	return r, nil
}

func newBackupPrune() *cobra.Command {
	var f userFlags
	keep := ""
	c := &cobra.Command{
		Use:   "prune DIR --keep TIME",
		Short: "Delete backups older than a time, but never the newest",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := parseWhen(keep, time.Now())
			if err != nil {
				return err
			}
			if before.IsZero() {
				return usageError{errors.New("say how long backups are kept, like --keep 90d")}
			}
			backups, segments, err := local.PruneBackups(vfs.Disk{}, args[0], before, f.dryRun)
			if err != nil {
				return err
			}
			r := map[string]int{"backups": backups, "files": segments}
			return f.print(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Deleted %d backups and %d files that no other has.\n", backups, segments)
				return err
			})
		},
	}
	c.Flags().StringVar(&keep, "keep", "", "how long backups are kept: 12h, 90d")
	c.Flags().BoolVar(&f.json, "json", false, "answer in JSON")
	c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would happen, and change nothing")
	return c
}

func newRestore() *cobra.Command {
	c := &cobra.Command{Use: "restore", Short: "Bring mail back from a backup", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newRestoreStore(), newRestoreAccount())
	return c
}

func newRestoreStore() *cobra.Command {
	var f userFlags
	at, to := "", ""
	c := &cobra.Command{
		Use:   "store DIR --to DATA",
		Short: "Make a new data directory's store from a backup, as it was at a time",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			until, err := parseWhen(at, time.Now())
			if err != nil {
				return err
			}
			if to == "" {
				return usageError{errors.New("say where to, like --to /var/lib/angarium-restored")}
			}
			target := filepath.Join(to, "store")
			if _, err := os.Stat(target); err == nil {
				return codeError{fmt.Errorf("%s exists; nothing was restored. Move it away, or name another directory", target), exitRefused}
			}
			m, findings, err := openFiles(cmd.Context(), args[0], until)
			if err != nil {
				return err
			}
			defer m.Close()
			for _, text := range findings {
				fmt.Fprintln(cmd.ErrOrStderr(), "damaged:", text)
			}
			progress, done := showProgress()
			r, err := m.backup(cmd.Context(), target, progress)
			done()
			if err != nil {
				return err
			}
			if err := dropManifests(target); err != nil {
				return err
			}
			return f.print(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Restored %d octets into %s. Start the server with --data %s.\n", r.Octets, target, to)
				return err
			})
		},
	}
	c.Flags().StringVar(&at, "at", "", "as the store was at a time: 2h, 3d, 2026-11-23 or 2026-11-23T15:04:05Z (default: in the last backup)")
	c.Flags().StringVar(&to, "to", "", "the new data directory")
	c.Flags().BoolVar(&f.json, "json", false, "answer in JSON")
	return c
}

// dropManifests makes a store of a directory of backups.
func dropManifests(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "backup-*.json"))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func newRestoreAccount() *cobra.Command {
	var f userFlags
	var a adminserver.RestoreAccount
	at, since, until := "", "", ""
	c := &cobra.Command{
		Use:   "account DIR NAME",
		Short: "Add what a backup holds of an account to what is there",
		Long: "Adds messages with their flags and dates, under new UIDs. A message that its mailbox holds already is\n" +
			"left out, so that a second call finds nothing to do. An account that is missing is made, with its password.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			now := time.Now()
			for _, x := range []struct {
				text string
				to   *time.Time
			}{{at, &a.At}, {since, &a.Since}, {until, &a.Until}} {
				if *x.to, err = parseWhen(x.text, now); err != nil {
					return err
				}
			}
			if a.Dir, err = filepath.Abs(args[0]); err != nil {
				return err
			}
			a.Name, a.DryRun = args[1], f.dryRun
			var r adminserver.AccountRestored
			if err := administrate(cmd.Context(), &f.settings, "restore account", a, &r); err != nil {
				return fmt.Errorf("%s: %w", a.Name, err)
			}
			return f.print(cmd, r, func(w io.Writer) error { return printRestored(w, r) })
		},
	}
	f.addFlags(c, true)
	c.Flags().StringVar(&at, "at", "", "as the store was at a time: 2h, 3d, 2026-11-23 or 2026-11-23T15:04:05Z (default: in the last backup)")
	c.Flags().StringVar(&a.As, "as", "", "into this account (default: the one of the same name)")
	c.Flags().StringVar(&a.Mailbox, "mailbox", "", "only this mailbox and those below it")
	c.Flags().StringVar(&a.MessageID, "message-id", "", "only messages with this Message-ID")
	c.Flags().StringVar(&since, "since", "", "only messages that came since")
	c.Flags().StringVar(&until, "until", "", "only messages that came until then")
	c.Flags().StringVar(&a.Into, "into", "", "put all messages into this mailbox (default: where they were)")
	return c
}

func printRestored(w io.Writer, r adminserver.AccountRestored) error {
	if r.Made {
		fmt.Fprintf(w, "Made account %s.\n", r.Account)
	}
	for _, m := range r.Mailboxes {
		fmt.Fprintf(w, "Made mailbox %s.\n", m)
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(w, "Damaged in the backup, not restored: %s\n", d)
	}
	_, err := fmt.Fprintf(w, "Restored %d messages with %d octets to %s; %d were there already.\n", r.Messages, r.Octets, r.Account, r.Present)
	return err
}
