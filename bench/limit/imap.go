package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
)

// envelope is as long as those of the load's messages are.
var envelope = `ENVELOPE ("Mon, 2 Nov 2026 10:11:12 +0000" "` + strings.Repeat("s", 400) + `")`

// session is one of IMAP. It knows the commands of the load and no others.
type session struct {
	site     *site
	conn     net.Conn
	in       *bufio.Reader
	out      []byte      // what the command is answered with
	body     net.Buffers // a message instead, not copied
	account  *account
	box      *mailbox // selected
	literals []byte   // of an APPEND, always in the same memory
}

func (s *site) serveIMAP(conn net.Conn) {
	c := &session{site: s, conn: conn, in: bufio.NewReaderSize(conn, 16<<10), box: &mailbox{}}
	conn.Write([]byte("* OK ready\r\n"))
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return
		}
		words := bytes.Split(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if len(words) < 2 {
			return
		}
		tag := string(words[0])
		c.out, c.body = c.out[:0], nil
		if err := c.command(words[1:]); err != nil {
			return
		}
		end := tag + " OK done\r\n"
		if c.body != nil {
			c.body = append(c.body, []byte(")\r\n"+end))
			_, err = c.body.WriteTo(conn)
		} else {
			_, err = conn.Write(append(c.out, end...))
		}
		if err != nil || string(words[1]) == "LOGOUT" {
			return
		}
	}
}

func (c *session) printf(format string, args ...any) { c.out = fmt.Appendf(c.out, format, args...) }

func (c *session) command(words [][]byte) error {
	name, args := string(words[0]), words[1:]
	uid := name == "UID"
	if uid {
		name, args = string(args[0]), args[1:]
	}
	switch name {
	case "CAPABILITY":
		c.printf("* CAPABILITY IMAP4rev1 LITERAL+ MULTIAPPEND\r\n")
	case "LOGIN":
		c.account = c.site.account(args[0])
	case "LIST":
		for name := range c.account.mailboxes {
			c.printf("* LIST () \"/\" %s\r\n", name)
		}
	case "STATUS":
		c.status(args[0], bytes.Join(args[1:], []byte(" ")))
	case "SELECT":
		c.box = c.account.mailbox(args[0])
		c.printf("* FLAGS (%s)\r\n* %d EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT %d] x\r\n", ^flags(0), len(c.box.messages), c.box.next)
	case "CREATE":
		c.account.mailbox(args[0])
		return c.site.log.write(change)
	case "DELETE":
		delete(c.account.mailboxes, string(bytes.Trim(args[0], `"`)))
		return c.site.log.write(change)
	case "COPY":
		to := c.account.mailbox(args[1])
		for _, m := range c.box.messages {
			to.add(m.octets, m.flags)
		}
		return c.site.log.write(change)
	case "IDLE":
		return c.idle()
	case "SEARCH":
		c.search(string(args[0]) == "ALL")
	case "FETCH":
		c.fetch(args[0], string(args[1]) == "BODY.PEEK[]")
	case "STORE":
		return c.store(uid, args[0], args[1], bytes.Join(args[2:], []byte(" ")))
	case "APPEND":
		return c.append(args[0], args[len(args)-1])
	case "EXPUNGE":
		return c.expunge()
	}
	return nil
}

// change is as long as what is written for one without mail.
var change = make([]byte, 64)

func (c *session) status(name, items []byte) {
	box := c.account.mailbox(name)
	n := len(box.messages)
	if strings.EqualFold(string(bytes.Trim(name, `"`)), "INBOX") {
		c.account.mu.Lock()
		n += c.account.delivered
		c.account.mu.Unlock()
	}
	c.printf("* STATUS %s (MESSAGES %d", name, n)
	if bytes.Contains(items, []byte("UIDNEXT")) {
		c.printf(" UNSEEN %d UIDNEXT %d", len(box.messages), box.next)
	}
	c.printf(")\r\n")
}

// search finds nothing, or all.
func (c *session) search(all bool) {
	c.printf("* SEARCH")
	for _, m := range c.box.messages {
		if all {
			c.printf(" %d", m.uid)
		}
	}
	c.printf("\r\n")
}

// set reads n, n:m or 1:* as indices from, to.
func (c *session) set(text []byte) (from, to int) {
	first, last, isRange := bytes.Cut(text, []byte(":"))
	from, _ = strconv.Atoi(string(first))
	to = from
	if isRange && string(last) == "*" {
		to = len(c.box.messages)
	} else if isRange {
		to, _ = strconv.Atoi(string(last))
	}
	return from - 1, min(to, len(c.box.messages))
}

func (c *session) fetch(set []byte, body bool) {
	from, to := c.set(set)
	for i := from; i < to; i++ {
		m := c.box.messages[i]
		if body {
			c.printf("* %d FETCH (BODY[] {%d}\r\n", i+1, len(m.octets))
			c.body = net.Buffers{c.out, m.octets}
			return
		}
		c.printf("* %d FETCH (UID %d FLAGS (%s) RFC822.SIZE %d %s)\r\n", i+1, m.uid, m.flags, len(m.octets), envelope)
	}
}

func (c *session) store(uid bool, set, how, list []byte) error {
	from, to := c.set(set)
	if uid {
		n, _ := strconv.Atoi(string(set))
		from = c.box.index(n)
		to = min(from+1, len(c.box.messages))
	}
	f := parseFlags(list)
	for i := from; i < to; i++ {
		m := &c.box.messages[i]
		if how[0] == '+' {
			m.flags |= f
		} else {
			m.flags &^= f
		}
		if !bytes.Contains(how, []byte("SILENT")) {
			c.printf("* %d FETCH (UID %d FLAGS (%s))\r\n", i+1, m.uid, m.flags)
		}
	}
	return c.site.log.write(change)
}

// append reads literal after literal. The octets are kept only where later
// workloads read them; in mailboxes of one run, a message has those of an older one.
func (c *session) append(name, last []byte) error {
	box := c.account.mailbox(name)
	keep := !bytes.Contains(name, []byte("Temp"))
	c.literals = c.literals[:0]
	for {
		n, ok := literalOctets(last)
		if !ok {
			break
		}
		start := len(c.literals)
		c.literals = slices.Grow(c.literals, n)[:start+n]
		if _, err := io.ReadFull(c.in, c.literals[start:]); err != nil {
			return err
		}
		var octets []byte
		if keep {
			octets = bytes.Clone(c.literals[start:])
		} else if n := len(box.messages); n > 0 {
			octets = box.messages[box.next%n].octets
		}
		box.add(octets, 0)
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		last = bytes.TrimRight(line, "\r\n")
	}
	if box == c.box {
		c.printf("* %d EXISTS\r\n", len(box.messages))
	}
	return c.site.log.write(c.literals)
}

// literalOctets reads the end of a line, {n+}.
func literalOctets(line []byte) (int, bool) {
	rest, ok := bytes.CutSuffix(line, []byte("+}"))
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(string(rest[bytes.LastIndexByte(rest, '{')+1:]))
	return n, err == nil
}

func (c *session) expunge() error {
	kept := c.box.messages[:0]
	for _, m := range c.box.messages {
		if m.flags&deleted != 0 {
			c.printf("* %d EXPUNGE\r\n", len(kept)+1)
		} else {
			kept = append(kept, m)
		}
	}
	c.box.messages = kept
	return c.site.log.write(change)
}
