package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
)

// servePOP3 is one session. No line of the load's messages begins with a dot.
func (s *site) servePOP3(conn net.Conn) {
	in := bufio.NewReader(conn)
	box := &mailbox{}
	conn.Write([]byte("+OK\r\n"))
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		word, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		answer := net.Buffers{[]byte("+OK\r\n")}
		switch string(word) {
		case "USER":
			box = s.account(rest).mailbox([]byte("INBOX"))
		case "STAT":
			answer[0] = box.stat()
		case "UIDL":
			answer = append(answer, box.uidl())
		case "RETR":
			if n, _ := strconv.Atoi(string(rest)); n > 0 && n <= len(box.messages) {
				answer = append(answer, box.messages[n-1].octets, []byte(".\r\n"))
			}
		}
		if _, err := answer.WriteTo(conn); err != nil || string(word) == "QUIT" {
			return
		}
	}
}

func (b *mailbox) stat() []byte {
	octets := 0
	for _, m := range b.messages {
		octets += len(m.octets)
	}
	return fmt.Appendf(nil, "+OK %d %d\r\n", len(b.messages), octets)
}

func (b *mailbox) uidl() (list []byte) {
	for i, m := range b.messages {
		list = fmt.Appendf(list, "%d 1.%d\r\n", i+1, m.uid)
	}
	return append(list, ".\r\n"...)
}
