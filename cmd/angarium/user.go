package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/angarium/angarium/internal/adminserver"
)

func newUser() *cobra.Command {
	c := &cobra.Command{Use: "user", Short: "Make, change and show accounts", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newUserPassword("add", "Make an account with INBOX and the usual mailboxes", "Made %s.\n"),
		newUserPassword("passwd", "Replace an account's password", "Changed the password of %s.\n"),
		newUserList(), newUserShow(), newUserDelete(), newUserImport(), newUserRetention())
	return c
}

// userFlags are what all user commands take.
type userFlags struct {
	settings
	json, dryRun bool
}

func (f *userFlags) addFlags(c *cobra.Command, changes bool) {
	f.settings.addFlags(c, false)
	c.Flags().BoolVar(&f.json, "json", false, "answer in JSON")
	if changes {
		c.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would happen, and change nothing")
	}
}

// print writes a result as JSON, or as text made by human.
func (f *userFlags) print(cmd *cobra.Command, result any, human func(w io.Writer) error) error {
	if f.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(result)
	}
	if f.dryRun {
		fmt.Fprint(cmd.OutOrStdout(), "Dry run, nothing was changed. Otherwise: ")
	}
	return human(cmd.OutOrStdout())
}

// newUserPassword makes "user add" and "user passwd", which take the same.
func newUserPassword(verb, short, done string) *cobra.Command {
	var f userFlags
	stdin := false
	c := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := readPassword(cmd, stdin)
			if err != nil {
				return err
			}
			var r adminserver.UserName
			err = administrate(cmd.Context(), &f.settings, "user "+verb, adminserver.UserAdd{Name: args[0], Password: password, DryRun: f.dryRun}, &r)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, r, func(w io.Writer) error { _, err := fmt.Fprintf(w, done, r.Name); return err })
		},
	}
	f.addFlags(c, true)
	c.Flags().BoolVar(&stdin, "password-stdin", false, "read the password from the first line of standard input")
	return c
}

// readPassword asks for a password twice, or takes a line of standard input.
func readPassword(cmd *cobra.Command, stdin bool) (string, error) {
	if stdin {
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && err != io.EOF {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	fd := int(os.Stdin.Fd())
	if !term.IsTerminal(fd) {
		return "", usageError{errors.New("there is no terminal to ask for the password: use --password-stdin")}
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprint(cmd.ErrOrStderr(), prompt)
		b, err := term.ReadPassword(fd)
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(b), err
	}
	first, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	second, err := ask("Again: ")
	if err == nil && first != second {
		err = errors.New("the passwords differ; nothing was changed")
	}
	return first, err
}

func newUserList() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the accounts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var users []adminserver.User
			if err := administrate(cmd.Context(), &f.settings, "user list", struct{}{}, &users); err != nil {
				return err
			}
			return f.print(cmd, users, func(w io.Writer) error {
				for _, u := range users {
					if _, err := fmt.Fprintln(w, u.Name); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.addFlags(c, false)
	return c
}

func newUserShow() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show what an account holds",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d adminserver.UserDetails
			if err := administrate(cmd.Context(), &f.settings, "user show", adminserver.UserName{Name: args[0]}, &d); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, d, func(w io.Writer) error {
				fmt.Fprintf(w, "%s, made %s: %d messages, %d octets\n", d.Name, d.Created.Format("2006-01-02"), d.Messages, d.Octets)
				for _, b := range d.Mailboxes {
					fmt.Fprintf(w, "  %-20s %8d messages %8d unseen %12d octets\n", b.Name, b.Messages, b.Unseen, b.Octets)
				}
				for _, p := range d.Devices {
					fmt.Fprintf(w, "  device %s, registered %s, is told of new messages in %s\n", p.Device, p.Renewed.Format(time.DateTime), strings.Join(p.Mailboxes, ", "))
				}
				return nil
			})
		},
	}
	f.addFlags(c, false)
	return c
}

func newUserDelete() *cobra.Command {
	var f userFlags
	yes := false
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete an account; one with mail in it needs --yes",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var d adminserver.UserDetails
			err := administrate(cmd.Context(), &f.settings, "user delete", adminserver.UserDelete{Name: args[0], Yes: yes, DryRun: f.dryRun}, &d)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, d, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Deleted %s with %d messages.\n", d.Name, d.Messages)
				return err
			})
		},
	}
	f.addFlags(c, true)
	c.Flags().BoolVar(&yes, "yes", false, "delete the mail too")
	return c
}

func newUserImport() *cobra.Command {
	var f userFlags
	update := false
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Make accounts from lines of name:password or name:{SCHEME}hash; - is standard input",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readFile(cmd, args[0])
			if err != nil {
				return err
			}
			var r adminserver.UserImported
			request := adminserver.UserImport{Lines: strings.Split(string(b), "\n"), Update: update, DryRun: f.dryRun}
			if err := administrate(cmd.Context(), &f.settings, "user import", request, &r); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%d accounts made, %d passwords replaced, %d that exist left alone.\n", len(r.Added), len(r.Updated), len(r.Kept))
				return err
			})
		},
	}
	f.addFlags(c, true)
	c.Flags().BoolVar(&update, "update", false, "replace the passwords of accounts that exist")
	return c
}

func newUserRetention() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "retention NAME TIME",
		Short: "Say how long an account's expunged mail is kept: 30d, 12h, 0 or default",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := adminserver.UserRetention{Name: args[0]}
			if args[1] != "default" {
				now := time.Now()
				then, err := parseWhen(args[1], now)
				if err != nil || then.After(now) {
					return usageError{fmt.Errorf("%q is no time span like 30d or 12h, nor 0 or default", args[1])}
				}
				seconds := int64(now.Sub(then) / time.Second)
				request.Seconds = &seconds
			}
			var r adminserver.UserName
			if err := administrate(cmd.Context(), &f.settings, "user retention", request, &r); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, r, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Expunged mail of %s is kept: %s.\n", r.Name, args[1])
				return err
			})
		},
	}
	f.addFlags(c, false)
	return c
}

func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(name)
}
