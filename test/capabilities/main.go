// Command capabilities writes docs/capabilities.md: each capability of IANA's
// registry for IMAP and each that a server here advertises, where its RFC is,
// which file implements it, which test shows it, and who else has it.
//
//	go run ./test/capabilities > docs/capabilities.md
//	go run ./test/capabilities --peer dovecot=127.0.0.1:11143 --version 2.3.19.1
//
// The second form asks a running server before and after login, and writes what
// it says into test/capabilities/peers.txt.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/imapserver"
	"github.com/angarium/angarium/internal/mail"
)

// peersFile is where peers' answers are kept, below the repository.
const peersFile = "test/capabilities/peers.txt"

//go:embed peers.txt
var recorded string

func main() {
	peer := flag.String("peer", "", "NAME=HOST:PORT of a server to ask")
	version := flag.String("version", "", "of that server")
	user := flag.String("user", "user0001", "account there")
	password := flag.String("password", "secret", "its password")
	flag.Parse()
	if err := run(*peer, *version, *user, *password); err != nil {
		fmt.Fprintln(os.Stderr, "capabilities:", err)
		os.Exit(1)
	}
}

func run(ask, version, user, password string) error {
	peers := parsePeers(recorded)
	if ask == "" {
		_, err := os.Stdout.Write(document(peers))
		return err
	}
	name, addr, ok := strings.Cut(ask, "=")
	if !ok {
		return fmt.Errorf("%q is not NAME=HOST:PORT", ask)
	}
	caps, err := askPeer(addr, user, password)
	if err != nil {
		return err
	}
	peers = slices.DeleteFunc(peers, func(p peer) bool { return p.name == name })
	peers = append(peers, peer{name, version, caps})
	slices.SortFunc(peers, func(a, b peer) int { return strings.Compare(a.name, b.name) })
	var out strings.Builder
	for _, p := range peers {
		fmt.Fprintf(&out, "%s %s: %s\n", p.name, p.version, strings.Join(p.caps, " "))
	}
	return os.WriteFile(peersFile, []byte(out.String()), 0o644)
}

// peer is another server, with what it advertised before or after login.
type peer struct {
	name, version string
	caps          []string
}

// parsePeers reads lines like "dovecot 2.3: IMAP4rev1 IDLE".
func parsePeers(text string) (peers []peer) {
	for line := range strings.Lines(text) {
		head, caps, _ := strings.Cut(line, ":")
		name, version, _ := strings.Cut(head, " ")
		peers = append(peers, peer{name, version, strings.Fields(caps)})
	}
	return peers
}

// askPeer asks a server for its capabilities before and after login.
func askPeer(addr, user, password string) ([]string, error) {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(nc)
	if _, err := r.ReadString('\n'); err != nil {
		return nil, err
	}
	var caps []string
	for _, command := range []string{"CAPABILITY", "LOGIN " + user + " " + password, "CAPABILITY"} {
		fmt.Fprintf(nc, "a %s\r\n", command)
		for line := ""; !strings.HasPrefix(line, "a "); {
			if line, err = r.ReadString('\n'); err != nil {
				return nil, err
			}
			if said, ok := strings.CutPrefix(line, "* CAPABILITY "); ok {
				caps = append(caps, strings.Fields(said)...)
			}
			if strings.HasPrefix(line, "a ") && !strings.HasPrefix(line, "a OK") {
				return nil, fmt.Errorf("%s: %s", command, strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(caps)
	return slices.Compact(caps), nil
}

// ours returns what the server here advertises, by name.
func ours() map[string]bool {
	names := map[string]bool{"IMAP4rev1": true, "LOGINDISABLED": true, "RIGHTS=" + mail.ExtraRights: true}
	for _, c := range imapserver.Capabilities() {
		names[c] = true
	}
	for _, r := range registered {
		if r.key != "" {
			names[r.name] = true
		}
	}
	return names
}

// document returns docs/capabilities.md.
func document(peers []peer) []byte {
	var b bytes.Buffer
	b.WriteString(`# Capabilities of IMAP

Every capability in IANA's registry, and those of others that have no place there: what is here, which file does it and which
test shows it, and what three other servers advertise, before login and after it. Written by ` + "`go run ./test/capabilities`" + `; do
not edit it. "offered" is what is there only when [imap.offer](configuration.md) names it; a key is what turns it on. Everything
else can be [cut](configuration.md#take-capabilities-away).
`)
	section(&b, "In the registry", registered, peers)
	section(&b, "Not in the registry", unregistered, peers)
	b.WriteString("\nFiles are below `internal`, tests beside them; a transcript is in `internal/imapserver/testdata`.\n")
	return b.Bytes()
}

func section(b *bytes.Buffer, title string, rows []row, peers []peer) {
	fmt.Fprintf(b, "\n## %s\n\n| Capability | Where it is written | Here | Implemented in | Shown by |", title)
	for _, p := range peers {
		fmt.Fprintf(b, " %s |", strings.TrimSpace(p.name+" "+p.version))
	}
	b.WriteString("\n|---|---|---|---|---|" + strings.Repeat("---|", len(peers)) + "\n")
	here := ours()
	for _, r := range rows {
		state, file, test := "no", "", r.why
		if r.advertisedBy(here) {
			state, file, test = "yes", code(r.file), code(r.test)
		}
		switch {
		case slices.Contains(imapserver.Optional, r.name):
			state = "offered"
		case r.key != "":
			state = code(r.key)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s |", r.name, r.source, state, file, test)
		for _, p := range peers {
			if r.advertisedBy(set(p.caps)) {
				b.WriteString(" yes |")
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteByte('\n')
	}
}

// code sets names in type, separated by commas.
func code(names string) string {
	if names == "" {
		return ""
	}
	return "`" + strings.ReplaceAll(names, " ", "`, `") + "`"
}

func set(names []string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}
