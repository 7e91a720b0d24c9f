// Command large fills one mailbox with many messages and tells what IMAP
// commands on it cost: the time, the octets that the server allocates for
// them, and what many sessions on one mailbox take.
//
//	go run ./test/large --messages 1000000
//
// Server and client are in one process; the client allocates nothing while it
// reads, so that what is allocated is the server's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"time"

	"golang.org/x/sys/unix"

	"github.com/angarium/angarium/internal/auth"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/test/harness/fill"
)

const (
	user     = "large@large.example"
	password = "large-test"
)

func main() {
	messages := flag.Int("messages", 100_000, "messages in the mailbox")
	sessions := flag.Int("sessions", 1000, "sessions that have it selected at once")
	profile := flag.String("cpuprofile", "", "file for a profile of the commands")
	flag.Parse()
	if err := run(*messages, *sessions, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "large:", err)
		os.Exit(1)
	}
}

func run(messages, sessions int, profile string) error {
	dir, err := os.MkdirTemp("", "angarium-large-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	e, err := local.Open(ctx, vfs.Disk{}, filepath.Join(dir, "store"), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		return err
	}
	defer e.Close()
	st, err := store.Open(ctx, e, store.Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		return err
	}
	defer st.Close()
	begin := time.Now()
	if err := makeAccount(ctx, st, messages); err != nil {
		return err
	}
	took := time.Since(begin)
	fmt.Printf("%d messages in one mailbox, written in %.0f s (%.0f a second)\n", messages, took.Seconds(), float64(messages)/took.Seconds())
	srv, err := serve(ctx, st, sessions)
	if err != nil {
		return err
	}
	defer srv.stop()
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := commands(srv.addr, messages); err != nil {
		return err
	}
	return many(srv.addr, sessions)
}

// makeAccount makes the account and fills its INBOX; every second message is seen.
func makeAccount(ctx context.Context, st *store.Store, messages int) error {
	hash, err := auth.Hash(password)
	if err != nil {
		return err
	}
	info, err := st.CreateAccount(ctx, user, hash)
	if err != nil {
		return err
	}
	a, err := st.Account(ctx, info.ID)
	if err != nil {
		return err
	}
	return fill.Inbox(ctx, st, a, 0, messages, func(n int) ([]byte, store.AppendOptions) {
		o := store.AppendOptions{}
		if n%2 == 1 {
			o.Flags = mail.NewFlags(mail.Seen)
		}
		return fmt.Appendf(nil, "Subject: %d\r\nFrom: a@large.example\r\n\r\nx\r\n", n), o
	})
}

// cpu is the processor time that the process took until now.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory is what the process has allocated since it began, and what lives.
func memory(collect bool) (allocated, heap, stacks uint64) {
	if collect {
		runtime.GC()
		runtime.GC() // what pools held goes with the second
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc, m.HeapAlloc, m.StackInuse
}
