package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/angarium/angarium/internal/config"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// repaired is what repair did, or would do.
type repaired struct {
	Format   string      `json:"format,omitempty"`   // what was wrong with the file FORMAT
	Segments []string    `json:"segments,omitempty"` // damaged files, which go into the folder quarantine
	Fixes    []store.Fix `json:"fixes,omitempty"`
}

func (r *repaired) count() int {
	n := len(r.Segments) + len(r.Fixes)
	if r.Format != "" {
		n++
	}
	return n
}

func newRepair() *cobra.Command {
	var f userFlags
	yes := false
	c := &cobra.Command{
		Use:   "repair",
		Short: "Make a damaged store whole again: says what it would do, and does it with --yes",
		Long: "The server must not run. Nothing is deleted: damaged files move into store/quarantine, what is known of lost\n" +
			"messages stays within the account. What can be read is served again, and a second run finds nothing.\n" +
			"Copy the data directory first, if there is room, and look whether a backup has what is lost.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load()
			if err != nil {
				return err
			}
			dir := filepath.Join(c.Data, "store")
			progress, done := showProgress()
			plan, err := planRepair(cmd.Context(), dir, progress)
			if err == nil && yes && plan.count() > 0 {
				plan, err = repair(cmd.Context(), c, dir, progress)
			}
			done()
			if err != nil {
				return err
			}
			if err := f.print(cmd, plan, func(w io.Writer) error { return printRepaired(w, plan) }); err != nil || plan.count() == 0 {
				return err
			}
			if !yes {
				return codeError{fmt.Errorf("%d things are to be repaired; nothing was changed. Say --yes to do it", plan.count()), exitFailed}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Done. What is lost may be in a backup: angarium restore account.\n")
			return err
		},
	}
	f.addFlags(c, false)
	c.Flags().BoolVar(&yes, "yes", false, "do it")
	return c
}

// planRepair looks at the files, which it does not change.
func planRepair(ctx context.Context, dir string, progress func(string)) (r *repaired, err error) {
	r = &repaired{}
	if r.Format, err = local.RepairFormat(vfs.Disk{ReadOnly: true}, dir, true); err != nil {
		return r, err
	}
	m, _, err := openFiles(ctx, dir, time.Time{})
	if err != nil {
		return r, err
	}
	defer m.Close()
	return r, m.repair(ctx, r, true, progress)
}

// repair repairs the store.
func repair(ctx context.Context, c *config.Config, dir string, progress func(string)) (r *repaired, err error) {
	r = &repaired{}
	if r.Format, err = local.RepairFormat(vfs.Disk{}, dir, false); err != nil {
		return r, err
	}
	m, err := openStore(ctx, c, quietLog(c), nil)
	if err != nil {
		return r, err
	}
	if err = m.repair(ctx, r, false, progress); err != nil {
		m.Close()
		return r, err
	}
	return r, m.Close()
}

// repair repairs accounts, then takes damaged segments out.
func (m *mailStore) repair(ctx context.Context, r *repaired, dryRun bool, progress func(string)) (err error) {
	r.Fixes, err = m.Repair(ctx, dryRun, func(accounts, of int) { progress(fmt.Sprintf("%d of %d accounts", accounts, of)) })
	if err != nil {
		return err
	}
	octets := int64(0)
	found, err := m.engine.Damaged(ctx, func(n int64) error {
		octets += n
		progress(fmt.Sprintf("reading the log: %d MiB", octets>>20))
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	var numbers []uint32
	for _, f := range found {
		numbers = append(numbers, f.Segment)
		r.Segments = append(r.Segments, f.String())
	}
	if dryRun {
		return nil
	}
	return m.engine.Quarantine(ctx, numbers)
}

func printRepaired(w io.Writer, r *repaired) error {
	if r.Format != "" {
		fmt.Fprintf(w, "%s: it is made again\n", r.Format)
	}
	for _, s := range r.Segments {
		fmt.Fprintf(w, "%s: what can be read is copied, the file moves to quarantine\n", s)
	}
	for _, f := range r.Fixes {
		fmt.Fprintln(w, f)
	}
	_, err := fmt.Fprintf(w, "%d repairs.\n", r.count())
	return err
}
