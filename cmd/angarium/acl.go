package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
)

func newACL() *cobra.Command {
	c := &cobra.Command{Use: "acl", Short: "Say who may use whose mailboxes, and show it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newACLList(), newACLSet())
	return c
}

func newACLList() *cobra.Command {
	var f userFlags
	var with string
	c := &cobra.Command{
		Use:   "list [NAME [MAILBOX]]",
		Short: "Show who may use an account's mailboxes, or what others share with a user",
		Args:  cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := adminserver.ACLList{With: with}
			if (len(args) == 0) == (with == "") {
				return usageError{errors.New("name an account, or a user with --with")}
			}
			if len(args) > 0 {
				request.Name = args[0]
			}
			if len(args) > 1 {
				request.Mailbox = args[1]
			}
			var all []adminserver.MailboxACL
			if err := administrate(cmd.Context(), &f.settings, "acl list", request, &all); err != nil {
				return fmt.Errorf("%s: %w", request.Name+with, err)
			}
			return f.print(cmd, all, func(w io.Writer) error {
				for i := range all {
					if err := printACL(w, &all[i]); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.addFlags(c, false)
	c.Flags().StringVar(&with, "with", "", "show what others share with this user")
	return c
}

func newACLSet() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "set NAME MAILBOX USER RIGHTS",
		Short: "Give a user rights for a mailbox of an account, or take them",
		Long: `Give a user rights for a mailbox of an account, or take them.

RIGHTS are letters of RFC 4314: l sees the mailbox, r reads it, s keeps \Seen, w
changes other flags, i adds messages, p posts, k makes mailboxes below it, x
deletes it, t marks messages as deleted, e expunges, n annotates, a changes
rights. Or one of none, read (lrs), post (lrps), append (lrsip), write (all but a)
and all. With + before them they are added, with - taken away; write -- before
arguments that begin with -. USER may be anyone, for all users of the owner's domain.`,
		Args: cobra.ExactArgs(4),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := adminserver.ACLSet{Name: args[0], Mailbox: args[1], Identifier: args[2], Rights: args[3], DryRun: f.dryRun}
			var done adminserver.MailboxACL
			if err := administrate(cmd.Context(), &f.settings, "acl set", request, &done); err != nil {
				return fmt.Errorf("%s, %s: %w", args[0], args[1], err)
			}
			return f.print(cmd, done, func(w io.Writer) error { return printACL(w, &done) })
		},
	}
	f.addFlags(c, true)
	return c
}

func printACL(w io.Writer, m *adminserver.MailboxACL) error {
	text := fmt.Sprintf("%s, %s:", m.Owner, m.Mailbox)
	for i, g := range m.Grants {
		if i > 0 {
			text += ","
		}
		text += " " + g.Identifier + " " + g.Rights
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
