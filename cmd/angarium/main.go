// Command angarium is a mail store: it takes mail over LMTP and serves it over
// IMAP and POP3.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/angarium/angarium/internal/adminserver"
	"github.com/angarium/angarium/internal/errs"
)

// Exit codes.
const (
	exitOK        = 0
	exitFailed    = 1
	exitUsage     = 2
	exitRefused   = 3  // for safety
	exitTemporary = 75 // may work later (EX_TEMPFAIL)
)

func main() {
	runtime.LockOSThread() // main begins on the process's first thread
	root := newRoot()
	if c, _, err := root.Find(os.Args[1:]); err == nil && c.Name() == "serve" && unix.Gettid() == os.Getpid() {
		loosenTimers()
	}
	runtime.UnlockOSThread()
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "angarium:", message(err))
		os.Exit(exitCode(err))
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "angarium",
		Short:         "A mail store: LMTP in, IMAP and POP3 out",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServe(), newTry(), newUser(), newCheck(), newBackup(), newRestore(), newRepair(), newStore(), newUndelete(), newErase(), newACL(), newQuota(), newTrace(), newConfig(), newReload(), newVersion())
	usage(root)
	return root
}

// codeError is an error with an exit code of its own.
type codeError struct {
	error
	code int
}

func (e codeError) Unwrap() error { return e.error }

// usageError is a command line that makes no sense.
type usageError struct{ error }

// usage marks what cobra finds wrong with a command line.
func usage(c *cobra.Command) {
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		usage(sub)
	}
}

// message returns what a person reads: without the names of operations.
func message(err error) string {
	var classified *errs.Error
	if errors.As(err, &classified) && classified.Public != "" && err == error(classified) {
		return classified.Public
	}
	return err.Error()
}

// exitCode tells scripts what kind of failure it was.
func exitCode(err error) int {
	var wrong usageError
	var admin *adminserver.Error
	var coded codeError
	if errors.As(err, &coded) {
		return coded.code
	}
	kind := errs.KindOf(err)
	if errors.As(err, &admin) {
		kind = admin.Kind
	}
	switch {
	case errors.As(err, &wrong):
		return exitUsage
	case kind == errs.Denied:
		return exitRefused
	case kind == errs.Temporary, kind == errs.NoSpace, kind == errs.InUse, kind == errs.Conflict:
		return exitTemporary
	}
	return exitFailed
}
