package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/trace"
)

func newTrace() *cobra.Command {
	c := &cobra.Command{Use: "trace", Short: "Write what a user's sessions say and are told", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(newTraceStart(), newTraceStop(), newTraceList())
	return c
}

func newTraceStart() *cobra.Command {
	var f userFlags
	var span time.Duration
	request := adminserver.TraceStart{}
	c := &cobra.Command{
		Use:   "start USER",
		Short: "Begin a trace, with secrets masked and messages left out",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if span < time.Second || span > trace.TimeMax {
				return usageError{errors.New("--for is from 1s to 168h")}
			}
			request.Name, request.Seconds = args[0], int64(span/time.Second)
			var info trace.Info
			if err := administrate(cmd.Context(), &f.settings, "trace start", request, &info); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, info, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Sessions of %s are traced until %s, into %s\n", info.User, info.Until.Format(time.DateTime), info.Dir)
				return err
			})
		},
	}
	f.addFlags(c, false)
	c.Flags().DurationVar(&span, "for", trace.TimeDefault, "when the trace ends by itself")
	c.Flags().StringVar(&request.Protocol, "protocol", trace.All, "imap, pop3, lmtp or all")
	c.Flags().BoolVar(&request.Bodies, "bodies", false, "write messages too")
	return c
}

func newTraceStop() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "stop USER",
		Short: "End a trace; what was written stays",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var info trace.Info
			if err := administrate(cmd.Context(), &f.settings, "trace stop", adminserver.UserName{Name: args[0]}, &info); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return f.print(cmd, info, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "Stopped: %d sessions of %s, %d octets, are in %s\n", info.Sessions, info.User, info.Octets, info.Dir)
				return err
			})
		},
	}
	f.addFlags(c, false)
	return c
}

func newTraceList() *cobra.Command {
	var f userFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the traces that run",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var infos []trace.Info
			if err := administrate(cmd.Context(), &f.settings, "trace list", struct{}{}, &infos); err != nil {
				return err
			}
			return f.print(cmd, infos, func(w io.Writer) error {
				for _, i := range infos {
					if _, err := fmt.Fprintf(w, "%s %s until %s: %d sessions, %d octets, in %s\n", i.User, i.Protocol, i.Until.Format(time.DateTime), i.Sessions, i.Octets, i.Dir); err != nil {
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
