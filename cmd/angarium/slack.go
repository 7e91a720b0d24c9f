package main

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How much later than it asked for Linux may wake a thread that sleeps (prctl(2),
// PR_SET_TIMERSLACK): what it is by itself, and what a server has.
const (
	defaultSlack = 50 * time.Microsecond
	serverSlack  = time.Millisecond
)

// startedOver is in the environment of a program that loosenTimers started, so that it
// does so once also where the slack is not what was set.
const startedOver = "ANGARIUM_STARTED_OVER"

// loosenTimers lets the threads of the program sleep for up to serverSlack longer, by
// starting it over: a thread has the slack of the one that made it, and the runtime's
// monitor, for which this is, is there before main. While a server is neither idle nor
// busy, that one sleeps for 20 µs at a time, which takes a tenth of the processor time of
// all else on a virtual machine (decision 24). A slack that somebody chose is left alone,
// and where the program cannot be started over, it goes on as it is.
//
// What is set is of the calling thread and goes with its exec, as does what the starter set
// (PR_SET_PDEATHSIG): only on the process's first thread nothing is lost.
func loosenTimers() {
	if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || time.Duration(slack) != defaultSlack || os.Getenv(startedOver) != "" {
		return
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(serverSlack), 0, 0, 0) != nil {
		return
	}
	if program, err := os.Executable(); err == nil { // by its own name, which ps shows
		syscall.Exec(program, os.Args, append(os.Environ(), startedOver+"=1"))
	}
	unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(defaultSlack), 0, 0, 0)
}
