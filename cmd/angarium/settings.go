package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/imapserver"
)

// settings are the flags that say which server is meant.
type settings struct {
	file   string
	data   string
	listen []string
	domain string
	level  string // of the log, over the configuration's
}

func (o *settings) addFlags(c *cobra.Command, serving bool) {
	c.Flags().StringVar(&o.file, "config", "", "configuration file (TOML)")
	c.Flags().StringVar(&o.data, "data", "", "directory of the mail store")
	c.Flags().StringVar(&o.domain, "default-domain", "", "domain of names without one (default localhost)")
	if serving {
		c.Flags().StringArrayVar(&o.listen, "listen", nil, "PROTO=ADDRESS to listen on, repeatable; "+strings.Join(config.Protocols, ", ")+"; host:port or the path of a UNIX socket")
	}
}

// load reads the configuration file, if there is one, and puts the flags on
// top of it.
func (o *settings) load() (*config.Config, error) {
	c := config.Defaults()
	if o.file != "" {
		b, err := os.ReadFile(o.file)
		if err != nil {
			return nil, err
		}
		if c, err = config.Parse(o.file, b); err != nil {
			return nil, err
		}
	}
	if o.data != "" {
		c.Data = o.data
	}
	if o.domain != "" {
		c.DefaultDomain = o.domain
	}
	if len(o.listen) > 0 {
		c.Listen = o.listen
	}
	if o.level != "" {
		c.Log.Level = o.level
	}
	if c.Hostname == "" {
		c.Hostname = hostname()
	}
	// A fifth of the descriptors is for files and for what comes up.
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		c.Limits.Connections = min(c.Limits.Connections, max(1, int(min(limit.Cur, 1<<30)*4/5)))
	}
	if err := errors.Join(c.Check(), c.CheckNames(imapNames())); err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// imapNames are what the configuration may name of IMAP.
func imapNames() config.Names {
	return config.Names{Capabilities: imapserver.Capabilities(), Optional: imapserver.Optional, Workarounds: slices.Sorted(maps.Keys(imapserver.Workarounds))}
}

func hostname() string {
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}

// newLog makes the log on standard error. level can be changed later.
func newLog(c *config.Config, level *slog.LevelVar) *slog.Logger {
	setLevel(c, level)
	o := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}

func setLevel(c *config.Config, level *slog.LevelVar) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(c.Log.Level)); err != nil {
		panic(fmt.Sprintf("level %q passed the check", c.Log.Level))
	}
	level.Set(l)
}
