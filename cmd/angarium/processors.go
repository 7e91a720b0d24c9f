package main

import (
	"os"
	"runtime"
)

// spreadWork lets a machine of few processors work on more goroutines at once
// than it has processors, unless GOMAXPROCS says how many. The runtime lets one
// run for 10 ms while others wait, and one of two for the garbage collector; the
// operating system takes turns of 3 ms and lets who waited for the network go
// first. What shares processors by their number (package fair, the verification
// of passwords) has counted them before.
func spreadWork() {
	const enough = 4
	if n := runtime.GOMAXPROCS(0); os.Getenv("GOMAXPROCS") == "" && n < enough {
		runtime.GOMAXPROCS(min(2*n, enough))
	}
}
