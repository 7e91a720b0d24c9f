package main

import (
	"os"
	"runtime"
)

// spreadWork lets a machine of few processors work on more goroutines at once
// than it has processors, unless GOMAXPROCS says how many. The runtime lets one
// goroutine run for 10 ms while others wait, and the garbage collector longer;
// the operating system takes turns of 3 ms. What shares the processors by their
// number, like package fair and the verification of passwords, must have counted
// them before.
func spreadWork() {
	const enough = 4
	if n := runtime.GOMAXPROCS(0); os.Getenv("GOMAXPROCS") == "" && n < enough {
		runtime.GOMAXPROCS(min(2*n, enough))
	}
}
