package main

import (
	"bufio"
	"net"
	"strings"
	"testing"
)

// TestConversation: the answers are those that the load generator checks.
func TestConversation(t *testing.T) {
	l, err := newLog(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := &site{log: l, accounts: map[string]*account{}}
	for _, c := range []struct {
		serve func(net.Conn)
		lines string
	}{
		{s.serveIMAP, `
S: * OK ready
C: a LOGIN u p
S: a OK done
C: b APPEND "INBOX" (\Seen) {5+}
C: one
C:  {5+}
C: two
C: 
S: b OK done
C: c SELECT "INBOX"
S: * FLAGS (\Seen \Answered \Deleted)
S: * 2 EXISTS
S: * OK [UIDVALIDITY 1] x
S: * OK [UIDNEXT 3] x
S: c OK done
C: d UID STORE 2 +FLAGS (\Answered)
S: * 2 FETCH (UID 2 FLAGS (\Answered))
S: d OK done
C: e FETCH 2 BODY.PEEK[]
S: * 2 FETCH (BODY[] {5}
S: two
S: )
S: e OK done
C: f STORE 1 +FLAGS.SILENT (\Deleted)
S: f OK done
C: g EXPUNGE
S: * 1 EXPUNGE
S: g OK done
C: h UID SEARCH ALL
S: * SEARCH 2
S: h OK done
C: i STATUS "INBOX" (MESSAGES)
S: * STATUS "INBOX" (MESSAGES 1)
S: i OK done
C: j LOGOUT
S: j OK done
`},
		{s.servePOP3, `
S: +OK
C: USER u
S: +OK
C: STAT
S: +OK 1 5
C: UIDL
S: +OK
S: 1 1.2
S: .
C: RETR 1
S: +OK
S: two
S: .
C: QUIT
S: +OK
`},
		{s.serveLMTP, `
S: 220 ready
C: LHLO c
S: 250-limit
S: 250 PIPELINING
C: MAIL FROM:<a@b>
S: 250 ok
C: RCPT TO:<u@c>
S: 250 ok
C: RCPT TO:<v@c>
S: 250 ok
C: DATA
S: 354 go on
C: text
C: .
S: 250 ok
S: 250 ok
`},
		{s.serveIMAP, `
S: * OK ready
C: a LOGIN u p
S: a OK done
C: b STATUS INBOX (MESSAGES)
S: * STATUS INBOX (MESSAGES 2)
S: b OK done
C: c IDLE
S: + idling
C: DONE
S: c OK done
`},
	} {
		here, there := net.Pipe()
		go func() { c.serve(there); there.Close() }()
		in := bufio.NewReader(here)
		for line := range strings.Lines(strings.TrimPrefix(c.lines, "\n")) {
			text := strings.TrimSuffix(line, "\n")[len("C: "):]
			if line[0] == 'C' {
				here.Write([]byte(text + "\r\n"))
				continue
			}
			if got, err := in.ReadString('\n'); err != nil || got != text+"\r\n" {
				t.Fatalf("%q, not %q, %v", got, text, err)
			}
		}
		here.Close()
	}
}
