package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/angarium/angarium/test/harness"
)

// injections are the system calls that fail, and how.
var injections = []struct {
	call   string
	errors []string
}{
	{"fdatasync", []string{"EIO", "ENOSPC"}},
	{"fsync", []string{"EIO"}},
	{"pwrite64", []string{"EIO", "ENOSPC"}},
	{"pread64", []string{"EIO"}},
	{"openat", []string{"EMFILE", "EIO", "ENOSPC"}},
	{"ftruncate", []string{"EIO"}},
	{"renameat", []string{"EIO"}},
	{"unlinkat", []string{"EIO", "EROFS"}},
	{"mmap", []string{"ENOMEM"}},
}

// Syscalls runs the server with system calls that fail once, or from then on,
// and looks whether all that it acknowledged is there.
func Syscalls(ctx context.Context, cases int, seed uint64) (*Result, error) {
	r := &Result{Tier: "syscall", Planned: cases}
	strace, err := exec.LookPath("strace")
	if err != nil {
		r.Planned, r.NotRun = 0, err.Error()
		return r, nil
	}
	dir, err := workDir()
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	bin, err := harness.Build(dir)
	if err != nil {
		return r, err
	}
	rng := rand.New(rand.NewPCG(seed, 3))
	noticed := 0
	for n := range cases {
		i := injections[n%len(injections)]
		when := fmt.Sprint(1 + rng.IntN(25))
		if rng.IntN(2) == 0 {
			when += "+"
		}
		inject := fmt.Sprintf("%s:error=%s:when=%s", i.call, i.errors[rng.IntN(len(i.errors))], when)
		violations, hit, err := syscallCase(ctx, filepath.Join(dir, fmt.Sprint(n)), bin, strace, i.call, inject, seed+uint64(n))
		if err != nil {
			return r, fmt.Errorf("%s: %w", inject, err)
		}
		if hit {
			noticed++
		}
		r.add(violations, "%s", inject)
	}
	r.Tier += fmt.Sprintf(" (noticed by the server in %d cases)", noticed)
	if noticed < cases/5 {
		return r, fmt.Errorf("only %d of %d failures reached the server: the tier shows nothing", noticed, cases)
	}
	return r, nil
}

func syscallCase(ctx context.Context, dir, bin, strace, call, inject string, seed uint64) (violations []string, hit bool, err error) {
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, false, err
	}
	srv, err := harness.New(bin, data)
	if err != nil {
		return nil, false, err
	}
	if err := srv.Import(loadLines()...); err != nil {
		return nil, false, err
	}
	srv.Under = []string{strace, "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e", "inject=" + inject}
	led := newLedger(func() int { return 1 })
	if err := srv.Start(); err == nil { // else it did not come up, which is an answer
		led.run(srv, "s", 3, 600*time.Millisecond, seed)
		srv.Kill()
	}
	for _, text := range []string{"input/output error", "no space left", "too many open files", "cannot allocate", "read-only"} {
		hit = hit || strings.Contains(strings.ToLower(srv.Log()), text)
	}
	violations, err = led.judgeAll(ctx, filepath.Join(data, "store"))
	if err != nil {
		violations = append(violations, err.Error())
	}
	return violations, hit, nil
}

func runSyscalls(ctx context.Context, p plan) ([]*Result, error) {
	if p.cases == 0 {
		p.cases = 40
	}
	r, err := Syscalls(ctx, p.cases, p.seed)
	if err != nil {
		return []*Result{r}, err
	}
	return []*Result{r}, verdict(r)
}
