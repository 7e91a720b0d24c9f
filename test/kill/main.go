// Command kill shows that acknowledged mail survives kill -9. It runs the real
// binary, puts a load of deliveries, APPEND, STORE, MOVE and EXPUNGE on it,
// kills it at a random instant, starts it again without any help, and compares
// everything that every account holds with what was acknowledged; and so on
// for many rounds on the same store.
//
//	go run ./test/kill --rounds 100
//
// It prints the rounds planned and checked, and ends with 1 when anything
// acknowledged is missing, doubled or altered, when a UID names another message
// than before, when a UIDVALIDITY changed, or UIDNEXT or HIGHESTMODSEQ went back.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/angarium/angarium/test/harness"
)

func main() {
	rounds := flag.Int("rounds", 100, "how many times to kill the server")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random choices")
	dir := flag.String("dir", "", "directory for the store (default: a temporary one, deleted afterwards)")
	flag.Parse()
	if err := run(*rounds, *seed, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "kill:", err)
		os.Exit(1)
	}
}

func run(rounds int, seed uint64, dir string) error {
	if dir == "" {
		tmp, err := os.MkdirTemp("", "angarium-kill-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	bin, err := harness.Build(dir)
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, %d rounds planned\n", seed, rounds)
	result, err := Run(bin, dir+"/data", rounds, seed, func(r Round) {
		fmt.Printf("round %3d: killed after %4d ms, up again in %4d ms, %6d messages acknowledged so far, %6d found, %d violations\n",
			r.Number, r.Killed.Milliseconds(), r.Started.Milliseconds(), r.Acknowledged, r.Found, len(r.Violations))
	})
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds checked of %d planned, %d operations acknowledged, %d violations\n",
		result.Rounds, rounds, result.Operations, len(result.Violations))
	for i, v := range result.Violations {
		if i == 20 {
			fmt.Printf("… and %d more\n", len(result.Violations)-i)
			break
		}
		fmt.Println(v)
	}
	if len(result.Violations) > 0 || result.Rounds != rounds {
		return fmt.Errorf("failed with seed %d", seed)
	}
	return nil
}
