// Command limit is the least that any server must do for some of the load
// generator's workloads, to show what the machine allows: it reads what the client
// sends, keeps mail in memory, writes changes into a file of which every octet was
// written before, syncs it once for all who wait, and sends answers of the right
// size. It checks nothing, parses no mail and keeps nothing over its end. What does
// all that as well can hardly be faster, with this client beside it.
//
//	go build -o /tmp/limit ./bench/limit; /tmp/limit & echo $! > /tmp/limit.pid
//	loadgen -imap 127.0.0.1:15143 -pop3 127.0.0.1:15110 -lmtp 127.0.0.1:15024 -pids /tmp/limit.pid -quickack fill-work fill-pop append append-multi store-flags pop3 mixed lmtp-deliver idle
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
)

func main() {
	imap := flag.String("imap", "127.0.0.1:15143", "address for IMAP")
	pop3 := flag.String("pop3", "127.0.0.1:15110", "address for POP3")
	lmtp := flag.String("lmtp", "127.0.0.1:15024", "address for LMTP")
	dir := flag.String("dir", os.TempDir(), "directory on the disk to measure")
	flag.Parse()
	if err := run(*imap, *pop3, *lmtp, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "limit:", err)
		os.Exit(1)
	}
}

func run(imap, pop3, lmtp, dir string) error {
	l, err := newLog(dir)
	if err != nil {
		return err
	}
	s := &site{log: l, accounts: map[string]*account{}}
	ended := make(chan error)
	for address, serve := range map[string]func(net.Conn){imap: s.serveIMAP, pop3: s.servePOP3, lmtp: s.serveLMTP} {
		ln, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { ended <- accept(ln, serve) }()
	}
	return <-ended
}

func accept(ln net.Listener, serve func(net.Conn)) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			serve(conn)
		}()
	}
}
