package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/store"
)

func newQuota() *cobra.Command {
	c := &cobra.Command{Use: "quota", Short: "Limit what accounts may hold, and show what they do", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newQuotaList(), newQuotaSet())
	return c
}

func newQuotaList() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "Show what all accounts hold and may hold, the largest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []adminserver.Quota
			if err := administrate(cmd.Context(), &f.settings, "quota list", struct{}{}, &all); err != nil {
				return err
			}
			return f.print(cmd, all, func(w io.Writer) error {
				for _, q := range all {
					if err := printQuota(w, q); err != nil {
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

func newQuotaSet() *cobra.Command {
	var f userFlags
	var storage, messages string
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Change an account's own limits; what is not named stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			request := adminserver.QuotaSet{Name: args[0], DryRun: f.dryRun}
			for _, l := range []struct {
				resource store.Resource
				text     string
				parse    func(text string) (int64, error)
			}{{store.Storage, storage, parseOctets}, {store.MessageCount, messages, parseCount}} {
				if l.text == "" {
					continue
				}
				set := adminserver.QuotaLimit{Resource: l.resource}
				if l.text != "default" {
					limit, err := l.parse(l.text)
					if err != nil {
						return usageError{fmt.Errorf("%w, nor default", err)}
					}
					set.Limit = &limit
				}
				request.Limits = append(request.Limits, set)
			}
			if len(request.Limits) == 0 {
				return usageError{errors.New("name a limit with --storage or --messages; nothing was changed")}
			}
			var q adminserver.Quota
			if err := administrate(cmd.Context(), &f.settings, "quota set", request, &q); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, q, func(w io.Writer) error { return printQuota(w, q) })
		},
	}
	f.addFlags(c, true)
	c.Flags().StringVar(&storage, "storage", "", "octets of all messages: 500MiB, 10GiB, none or default")
	c.Flags().StringVar(&messages, "messages", "", "number of messages, none or default")
	return c
}

func parseOctets(text string) (int64, error) {
	var a config.Amount
	err := a.UnmarshalText([]byte(text))
	return int64(a), err
}

func parseCount(text string) (int64, error) {
	var n config.Count
	err := n.UnmarshalText([]byte(text))
	return int64(n), err
}

func printQuota(w io.Writer, q adminserver.Quota) error {
	own := func(u adminserver.Use) string {
		if u.Own {
			return ", its own"
		}
		return ""
	}
	_, err := fmt.Fprintf(w, "%s: %d octets (limit %s%s), %d messages (limit %s%s)\n", q.Name,
		q.Storage.Used, config.Amount(q.Storage.Limit), own(q.Storage), q.Messages.Used, config.Count(q.Messages.Limit), own(q.Messages))
	return err
}
