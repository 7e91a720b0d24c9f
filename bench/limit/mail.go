package main

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
)

// site is all accounts. Any password will do.
type site struct {
	log      *syncLog
	mu       sync.Mutex
	accounts map[string]*account
}

// account is used by one session at a time, but for what LMTP and IDLE use.
type account struct {
	mailboxes map[string]*mailbox

	mu        sync.Mutex
	delivered int // messages, which are in no mailbox but the INBOX's STATUS and EXISTS
	idling    map[net.Conn]bool
}

type mailbox struct {
	messages []message
	next     int // UID
}

type message struct {
	octets []byte
	uid    int
	flags  flags
}

// flags are those that the load changes.
type flags uint8

var flagNames = []string{`\Seen`, `\Answered`, `\Deleted`}

const deleted flags = 1 << 2

func (f flags) String() string {
	var names []string
	for i, name := range flagNames {
		if f>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// parseFlags finds flags in a list.
func parseFlags(list []byte) (f flags) {
	for i, name := range flagNames {
		if bytes.Contains(list, []byte(name)) {
			f |= 1 << i
		}
	}
	return f
}

// account is that of a name, with a domain or without.
func (s *site) account(name []byte) *account {
	name, _, _ = bytes.Cut(name, []byte("@"))
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[string(name)]
	if a == nil {
		a = &account{mailboxes: map[string]*mailbox{"INBOX": {next: 1}}, idling: map[net.Conn]bool{}}
		s.accounts[string(name)] = a
	}
	return a
}

// mailbox is made when it is first named.
func (a *account) mailbox(name []byte) *mailbox {
	name = bytes.Trim(name, `"`)
	box := a.mailboxes[string(name)]
	if box == nil {
		box = &mailbox{next: 1}
		a.mailboxes[string(name)] = box
	}
	return box
}

func (b *mailbox) add(octets []byte, f flags) {
	b.messages = append(b.messages, message{octets, b.next, f})
	b.next++
}

// index returns where the message of a UID is.
func (b *mailbox) index(uid int) int {
	i, _ := slices.BinarySearchFunc(b.messages, uid, func(m message, uid int) int { return m.uid - uid })
	return i
}
