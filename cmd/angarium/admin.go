package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/config"
)

// administrate runs a command in the server of a data directory or, when none
// runs, here on the store itself.
func administrate(ctx context.Context, o *settings, command string, args, result any) error {
	c, err := o.load()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return err
	}
	request := adminserver.Request{Command: command, Args: raw}
	progress, done := showProgress()
	response, err := adminserver.Call(ctx, filepath.Join(c.Data, adminSocket), request, progress)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		response, err = offline(ctx, c, request, progress)
	}
	done()
	if err != nil {
		return err
	}
	if response.Result != nil {
		if err := json.Unmarshal(response.Result, result); err != nil {
			return err
		}
	}
	if response.Error != nil {
		return response.Error
	}
	return nil
}

// showProgress writes how far a long command is into one line of the terminal,
// if standard error is one.
func showProgress() (progress func(text string), done func()) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return func(string) {}, func() {}
	}
	shown := false
	return func(text string) {
			shown = true
			fmt.Fprintf(os.Stderr, "\r\x1b[K%s", text)
		}, func() {
			if shown {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
		}
}

// quietLog is the log of commands: it shows what an erasure destroyed and what
// is damaged, and not what the server would log of its daily work.
func quietLog(c *config.Config) *slog.Logger {
	quiet := *c
	quiet.Log.Level = "warn"
	return newLog(&quiet, new(slog.LevelVar))
}

func offline(ctx context.Context, c *config.Config, r adminserver.Request, progress func(string)) (adminserver.Response, error) {
	log := quietLog(c)
	m, err := openStore(ctx, c, log, nil)
	if err != nil {
		return adminserver.Response{}, err
	}
	service := m.service(log, func() string { return c.DefaultDomain })
	response := service.Do(ctx, r, fmt.Sprintf("uid %d", os.Getuid()), progress)
	return response, m.Close()
}

func newReload() *cobra.Command {
	var o settings
	c := &cobra.Command{
		Use:   "reload",
		Short: "Make the running server read its configuration again",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := administrate(cmd.Context(), &o, "reload", struct{}{}, &struct{}{}); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "The configuration was reloaded.")
			return err
		},
	}
	o.addFlags(c, false)
	return c
}

func newConfig() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	var check, show settings
	checkCmd := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with a configuration file",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := check.load()
			if err != nil {
				return err
			}
			if _, err := pushIdentity(c); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "The configuration is good.")
			return err
		},
	}
	check.addFlags(checkCmd, true)
	effective := false
	showCmd := &cobra.Command{
		Use:   "show",
		Short: "Print the configuration with what every key means",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := config.Defaults()
			if effective {
				var err error
				if c, err = show.load(); err != nil {
					return err
				}
			}
			text, err := c.Text()
			if err == nil {
				_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			}
			return err
		},
	}
	showCmd.Flags().BoolVar(&effective, "effective", false, "what the server would use, with the file and the flags; else the defaults")
	show.addFlags(showCmd, true)
	c.AddCommand(checkCmd, showCmd)
	return c
}
