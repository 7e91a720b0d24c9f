package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/test/harness"
)

const (
	deviceOctets = 96 << 20
	loadTime     = 1500 * time.Millisecond
	cutsPerRun   = 50
)

// Block runs the server on a disk, and cuts its power at random moments of what
// it recorded. lying: the disk ignores flushes. noSync: the server never syncs.
func Block(ctx context.Context, cuts int, seed uint64, fsType string, lying, noSync bool) (r *Result, err error) {
	r = &Result{Tier: "block", Planned: cuts}
	if r.NotRun = canMount(fsType); r.NotRun != "" {
		r.Planned = 0
		return r, nil
	}
	dir, err := workDir()
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Build(dir)
	if noSync {
		bin, err = buildWithoutSync(dir)
	}
	if err != nil {
		return r, err
	}
	for run := uint64(0); r.Checked < cuts; run++ {
		if err := blockRun(ctx, r, dir, bin, fsType, seed+run, lying); err != nil {
			return r, err
		}
		fmt.Fprintf(os.Stderr, "%d of %d cuts, %d violations\n", r.Checked, cuts, len(r.Violations))
	}
	return r, nil
}

// workDir is in memory where there is some: images are written often.
func workDir() (string, error) {
	if dir, err := os.MkdirTemp("/dev/shm", "angarium-crash-"); err == nil {
		return dir, nil
	}
	return os.MkdirTemp("", "angarium-crash-")
}

// buildWithoutSync builds a server whose syncs do nothing.
func buildWithoutSync(dir string) (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	source := filepath.Join(root, "internal/vfs/disk.go")
	code, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(dir, "disk.go")
	const old = "err := unix.Fdatasync(int(f.Fd()))"
	if strings.Count(string(code), old) != 1 {
		return "", errors.New("the sync was not found in " + source)
	}
	if err := os.WriteFile(mutated, []byte(strings.Replace(string(code), old, "var err error", 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: mutated}})
	if err != nil {
		return "", err
	}
	file, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "angarium-without-sync")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-overlay", file, "-o", bin, "./cmd/angarium")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
}

// blockRun records one load and judges cuts of it.
func blockRun(ctx context.Context, r *Result, dir, bin, fsType string, seed uint64, lying bool) (err error) {
	dir, err = os.MkdirTemp(dir, "run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m, err := mountDevice(dir, fsType, deviceOctets)
	if err != nil {
		return err
	}
	led := newLedger(m.position)
	from, err := record(m, led, bin, seed)
	if cerr := m.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 4))
	end := m.position()
	for range min(cutsPerRun, r.Planned-r.Checked) {
		k := from + 1 + rng.IntN(end-from)
		keep := []float64{0, 0.5, 1}[rng.IntN(3)]
		image := m.cut(k, keep, rng, lying, from)
		var violations []string
		err := withImage(dir, fsType, image, func(mnt string) error {
			var err error
			violations, err = led.judgeFiles(ctx, filepath.Join(mnt, "data", "store"), k)
			return err
		})
		if err != nil { // a disk that does not mount, or a store that does not open, is a loss
			violations = append(violations, err.Error())
		}
		r.add(violations, "seed %d, cut behind event %d of %d, unsynced kept with %.1f", seed, k, end, keep)
	}
	return nil
}

// record runs the server with a load until it is killed, and returns where the
// load began.
func record(m *mounted, led *ledger, bin string, seed uint64) (from int, err error) {
	srv, err := harness.New(bin, filepath.Join(m.dir, "data"))
	if err != nil {
		return 0, err
	}
	if err := srv.Import(loadLines()...); err != nil {
		return 0, err
	}
	if err := srv.Start(); err != nil {
		return 0, err
	}
	defer srv.Kill()
	if _, err := command("sync", "-f", m.dir); err != nil { // what is before is not judged
		return 0, err
	}
	from = m.position()
	led.run(srv, "b", 6, loadTime, seed)
	if led.acks == 0 {
		return 0, errors.New("nothing was acknowledged: the run shows nothing")
	}
	return from, nil
}

// judgeFiles opens the files of a store as the server would and compares what
// is there with what was acknowledged up to a time.
func (l *ledger) judgeFiles(ctx context.Context, dir string, at int) (violations []string, err error) {
	o := local.Options{Now: time.Now, CompactEvery: -1, Events: local.Events{
		Finding: func(f local.Finding) { violations = append(violations, "damage is reported: "+f.String()) }}}
	e, err := local.Open(ctx, vfs.Disk{}, dir, o)
	if err != nil {
		return violations, err
	}
	defer e.Close()
	w, err := openWorld(ctx, e, 0)
	if err != nil {
		return violations, err
	}
	defer w.s.Close()
	all, err := l.look(w)
	if err != nil {
		return violations, err
	}
	violations = append(violations, l.judge(all, at)...)
	for f, err := range w.s.Check(ctx, store.CheckOptions{}) {
		violations = append(violations, fmt.Sprint("check: ", f, " ", err))
	}
	if err := w.append(loadAccount(0), "Sent", "afterwards", store.Message{}.Flags); err != nil {
		violations = append(violations, "no mail can be added afterwards: "+err.Error())
	}
	return violations, nil
}

// judgeAll is judgeFiles for everything that was acknowledged.
func (l *ledger) judgeAll(ctx context.Context, dir string) ([]string, error) {
	return l.judgeFiles(ctx, dir, math.MaxInt)
}

func runBlock(ctx context.Context, p plan) ([]*Result, error) {
	if p.cases == 0 {
		p.cases = 200
	}
	r, err := Block(ctx, p.cases, p.seed, p.fs, false, false)
	results := []*Result{r}
	if r.NotRun != "" || err != nil {
		return results, err
	}
	err = verdict(r)
	for _, c := range []struct {
		name          string
		lying, noSync bool
	}{{"a disk that ignores flushes", true, false}, {"a server that never syncs", false, true}} {
		control, cerr := Block(ctx, 12, p.seed, p.fs, c.lying, c.noSync)
		control.Tier += ": " + c.name
		results = append(results, control)
		err = errors.Join(err, cerr, caught(control))
	}
	return results, err
}
