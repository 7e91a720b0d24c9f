// Command compare appends every message of the corpus to this server and to
// others, asks all of them for ENVELOPE and BODYSTRUCTURE, and prints where they
// differ. What is printed is explained in docs/differences.md.
//
//	go run ./test/compare --peer dovecot=127.0.0.1:11143 --peer cyrus=127.0.0.1:12143 --user user0001 --password secret
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/angarium/angarium/test/harness"
)

type peers []string

func (p *peers) String() string     { return strings.Join(*p, " ") }
func (p *peers) Set(s string) error { *p = append(*p, s); return nil }

func main() {
	var others peers
	flag.Var(&others, "peer", "NAME=HOST:PORT of another IMAP server, repeatable")
	user := flag.String("user", "user0001", "account on the other servers")
	password := flag.String("password", "secret", "its password")
	verbose := flag.Bool("v", false, "print both values of each difference")
	flag.Parse()
	if err := run(others, *user, *password, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(others peers, user, password string, verbose bool) error {
	messages, err := harness.Corpus()
	if err != nil {
		return err
	}
	for i := range messages {
		messages[i].Octets = canonical(messages[i].Octets)
	}
	srv, stop, err := ours()
	if err != nil {
		return err
	}
	defer stop()
	mine, err := ask(srv.IMAP, "compare@localhost", "secret", messages)
	if err != nil {
		return err
	}
	for _, p := range others {
		name, addr, _ := strings.Cut(p, "=")
		theirs, err := ask(addr, user, password, messages)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		report(name, messages, mine, theirs, verbose)
	}
	return nil
}

// canonical makes all line ends CRLF and drops NUL, as the others store
// messages.
func canonical(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\x00"), nil)
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

func ours() (*harness.Server, func(), error) {
	dir, err := os.MkdirTemp("", "angarium-compare-")
	if err != nil {
		return nil, nil, err
	}
	bin, err := harness.Build(dir)
	if err != nil {
		return nil, nil, err
	}
	srv, err := harness.New(bin, dir+"/data")
	if err == nil {
		err = srv.Import("compare@localhost:secret")
	}
	if err == nil {
		err = srv.Start()
	}
	return srv, func() { srv.Kill(); os.RemoveAll(dir) }, err
}

// answer is what a server says of a message; nil when it did not take it.
type answer struct{ envelope, structure node }

func ask(addr, user, password string, messages []harness.Message) ([]*answer, error) {
	c, err := harness.DialIMAP(addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.Login(user, password); err != nil {
		return nil, err
	}
	box := "Compare"
	c.Do("DELETE " + box)
	if _, err := c.Do("CREATE " + box); err != nil {
		// Cyrus keeps everything below INBOX.
		box = "INBOX.Compare"
		c.Do("DELETE " + box)
		if _, err := c.Do("CREATE " + box); err != nil {
			return nil, err
		}
	}
	answers := make([]*answer, len(messages))
	taken := 0
	number := make([]int, len(messages))
	for i, m := range messages {
		if _, err := c.Do(fmt.Sprintf("APPEND %s {%d+}\r\n%s", box, len(m.Octets), m.Octets)); err == nil {
			taken++
			number[i] = taken
		} else if _, refused := err.(*harness.Answer); !refused {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if _, err := c.Do("EXAMINE " + box); err != nil {
		return nil, err
	}
	for i, n := range number {
		if n == 0 {
			continue
		}
		out, err := c.Do(fmt.Sprintf("FETCH %d (ENVELOPE BODYSTRUCTURE)", n))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", messages[i].Name, err)
		}
		a := &answer{}
		for _, line := range out {
			open := strings.IndexByte(line, '(')
			if !strings.HasPrefix(line, "* ") || !strings.Contains(line, "FETCH") || open < 0 {
				continue
			}
			list, _ := parse(line[open:])
			for j := 0; j+1 < len(list.list); j += 2 {
				switch list.list[j].text {
				case "ENVELOPE":
					a.envelope = list.list[j+1]
				case "BODYSTRUCTURE":
					a.structure = list.list[j+1]
				}
			}
		}
		answers[i] = a
	}
	return answers, nil
}

func report(peer string, messages []harness.Message, mine, theirs []*answer, verbose bool) {
	count := map[string]int{}
	example := map[string]string{}
	same, refused := 0, 0
	for i, m := range messages {
		if theirs[i] == nil {
			refused++
			continue
		}
		var found []difference
		compareEnvelope(mine[i].envelope, theirs[i].envelope, "ENVELOPE", &found)
		compareBody(mine[i].structure, theirs[i].structure, "", &found)
		if len(found) == 0 {
			same++
		}
		classes := map[string]bool{}
		for _, d := range found {
			if !classes[d.class] {
				classes[d.class] = true
				count[d.class]++
				if example[d.class] == "" {
					example[d.class] = m.Name
				}
			}
			if verbose {
				fmt.Printf("%s\t%s\t%s\n\tours  %.300s\n\ttheirs %.300s\n", peer, m.Name, d.class, d.ours, d.theirs)
			}
		}
	}
	fmt.Printf("%s: %d messages, %d the same, %d not taken by it\n", peer, len(messages), same, refused)
	var classes []string
	for c := range count {
		classes = append(classes, c)
	}
	slices.Sort(classes)
	for _, c := range classes {
		fmt.Printf("  %4d  %-40s e.g. %s\n", count[c], c, example[c])
	}
}
