package imapserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sessionSeeds are conversations to begin with, besides the transcripts.
var sessionSeeds = []string{
	"a STARTTLS\r\n",
	"a LOGIN ada secret\r\nb SELECT INBOX\r\nc FETCH 1:* (FLAGS BODY[1.2.HEADER.FIELDS (a b)]<1.2>)\r\n",
	"a LOGIN ada secret\r\nb APPEND INBOX (\\Seen) {3+}\r\nabc\r\nc IDLE\r\nDONE\r\n",
	"a LOGIN {3+}\r\nada {6+}\r\nsecret\r\nb LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% *) RETURN (STATUS (MESSAGES))\r\n",
	"a LOGIN ada secret\r\nb SELECT INBOX\r\nc UID SEARCH CHARSET UTF-8 OR (FROM a) NOT KEYWORD b\r\nd UID STORE 1:* +FLAGS.SILENT (a \\Seen)\r\ne MOVE 1 Trash\r\n",
	"a LOGIN ada secret\r\nb SELECT INBOX\r\nc UID SORT RETURN (UPDATE (UID) CONTEXT) (REVERSE DATE) UTF-8 OR 1:* UID *\r\nd APPEND INBOX {1+}\r\nx\r\ne CANCELUPDATE \"c\"\r\n",
	"a AUTHENTICATE PLAIN\r\n*\r\n",
	"a LOGIN ada secret\r\nb SELECT INBOX\r\nc UIDBATCHES 500\r\nd UIDBATCHES 500 1:2\r\n",
	"a LOGIN ada secret\r\nb XLIST \"\" *\r\nc SELECT INBOX\r\nd STORE 1:* +X-GM-LABELS (\\Starred a)\r\ne SEARCH X-GM-RAW \"from:(a OR b)\" X-GM-LABELS a\r\n",
}

// transcriptSeeds returns what the clients of the transcripts send, as if it
// were one client, logged in.
func transcriptSeeds(t testing.TB) (seeds []string) {
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".txt") {
			return err
		}
		b, err := os.ReadFile(path)
		seeds = append(seeds, clientText(strings.Split(string(b), "\n")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return seeds
}

var clientLine = regexp.MustCompile(`^C\d?: ?(.*)$`)

func clientText(lines []string) string {
	var b strings.Builder
	if strings.Contains(lines[0], "login") {
		b.WriteString("l LOGIN ada secret\r\n")
	}
	for i, line := range lines {
		m := clientLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text, _, literal := strings.Cut(strings.ReplaceAll(m[1], `\r\n`, "\r\n"), "{*")
		b.WriteString(text)
		if literal {
			var octets string
			for _, l := range lines[i+1:] {
				if !strings.HasPrefix(l, "M:") {
					break
				}
				octets += strings.TrimPrefix(strings.TrimPrefix(l, "M:"), " ") + "\r\n"
			}
			fmt.Fprintf(&b, "{%d+}\r\n%s", len(octets), octets)
		}
		b.WriteString("\r\n")
	}
	return b.String()
}

// TestSeedsReachAll: the seeds of FuzzSession hold every command of the table.
func TestSeedsReachAll(t *testing.T) {
	all := strings.ToUpper(strings.Join(append(transcriptSeeds(t), sessionSeeds...), "\r\n"))
	for _, row := range commands {
		if !regexp.MustCompile(`(?m)^\S+ (UID )?` + row.name + `\b`).MatchString(all) {
			t.Errorf("no seed has %s", row.name)
		}
	}
}

// FuzzSession sends anything to a session, in pieces of any size. It must
// answer lines or close, never panic (netserver counts), and never number a
// message that it has not told of.
func FuzzSession(f *testing.F) {
	for i, text := range append(transcriptSeeds(f), sessionSeeds...) {
		f.Add([]byte(text), uint64(i))
	}
	s := newTestServer(f, Options{SessionsMax: 1 << 20, Offer: Optional, ApplePush: pushTopic})
	f.Fuzz(func(t *testing.T, in []byte, split uint64) {
		nc, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Skip(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		go func() {
			rng := rand.New(rand.NewPCG(split, 0))
			for len(in) > 0 {
				n := 1 + rng.IntN(min(len(in), 1<<rng.IntN(10)))
				nc.Write(in[:n])
				in = in[n:]
			}
			nc.(*net.TCPConn).CloseWrite()
		}()
		out, err := io.ReadAll(nc)
		if err != nil && !isReset(err) {
			t.Fatalf("the session hung: %v", err)
		}
		if err := numbered(out); err != nil {
			t.Errorf("%v in %q", err, out)
		}
	})
}

var numberedLine = regexp.MustCompile(`^\* (\d+) (EXISTS|EXPUNGE|FETCH)\b`)

// numbered keeps the books of RFC 3501 §7.3.1 and §7.4.1 over the answers of
// one session: EXISTS does not shrink within a mailbox, and no number is above
// it.
func numbered(out []byte) error {
	exists := 0
	for _, line := range strings.Split(string(withoutLiterals(out)), "\r\n") {
		m := numberedLine.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "* FLAGS "), strings.HasPrefix(line, "* VANISHED "):
			exists = -1 // another mailbox, perhaps, or as many fewer as the set has
			continue
		case m == nil:
			continue
		}
		n, err := strconv.Atoi(m[1])
		switch {
		case err != nil || n == 0 && m[2] != "EXISTS":
			return errors.New(line)
		case m[2] == "EXISTS" && n < exists:
			return fmt.Errorf("%s after %d", line, exists)
		case m[2] == "EXISTS":
			exists = n
		case exists >= 0 && n > exists:
			return fmt.Errorf("%s of %d", line, exists)
		case m[2] == "EXPUNGE" && exists > 0:
			exists--
		}
	}
	return nil
}

var literalEnd = regexp.MustCompile(`\{(\d+)\}$`)

func withoutLiterals(out []byte) (rest []byte) {
	for len(out) > 0 {
		i := bytes.Index(out, []byte("\r\n"))
		if i < 0 {
			return append(rest, out...)
		}
		line := out[:i]
		rest, out = append(append(rest, line...), "\r\n"...), out[i+2:]
		if m := literalEnd.FindSubmatch(line); m != nil {
			n, _ := strconv.Atoi(string(m[1]))
			out = out[min(n, len(out)):]
			rest = rest[:len(rest)-2]
		}
	}
	return rest
}
