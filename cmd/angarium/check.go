package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/adminserver"
)

// checkRate is how fast check reads by default, in MiB a second: so that a
// server that runs meanwhile does not feel it.
const checkRate = 100

func newCheck() *cobra.Command {
	var f userFlags
	var a adminserver.Check
	c := &cobra.Command{
		Use:   "check",
		Short: "Read everything and say what is broken; changes nothing",
		Long: "Reads every message and every record, and compares them with their checksums and with each other.\n" +
			"It may run while the server does. Exit code 0: all is well; 1: something is broken; 2: the check could not run.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.Rate <<= 20
			var r adminserver.Checked
			if err := administrate(cmd.Context(), &f.settings, "check", a, &r); err != nil {
				return codeError{err, exitUsage}
			}
			err := f.print(cmd, r, func(w io.Writer) error { return printChecked(w, r) })
			if err == nil && r.Count > 0 {
				err = codeError{errors.New("the store is damaged; nothing was changed. What to do: docs/recovery.md"), exitFailed}
			}
			return err
		},
	}
	f.addFlags(c, false)
	c.Flags().StringVar(&a.Account, "account", "", "check this account only")
	c.Flags().BoolVar(&a.Quick, "quick", false, "do not read the messages themselves")
	c.Flags().Int64Var(&a.Rate, "rate", checkRate, "MiB to read in a second; 0: as fast as it goes")
	return c
}

func printChecked(w io.Writer, r adminserver.Checked) error {
	for _, finding := range r.Findings {
		fmt.Fprintln(w, finding)
	}
	if r.Count > len(r.Findings) {
		fmt.Fprintf(w, "… and %d more\n", r.Count-len(r.Findings))
	}
	_, err := fmt.Fprintf(w, "%d accounts, %d octets read, %d findings.\n", r.Accounts, r.Octets, r.Count)
	return err
}
