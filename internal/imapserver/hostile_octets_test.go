package imapserver

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/angarium/angarium/internal/servertest"
)

// The names of these tests are those of the attacks in the reliability paper.

// answerTo sends a command with the tag a and returns the answer to it, with
// untagged lines.
func answerTo(t *testing.T, c *servertest.Client, command string) (all string) {
	t.Helper()
	c.Send(t, command+"\r\nz NOOP\r\n")
	for {
		line := c.Line()
		if strings.HasPrefix(line, "z OK") {
			return all
		}
		if all += line + "\n"; strings.HasPrefix(line, "<") {
			return all
		}
	}
}

// TestA13: NUL at each offset of each class of tokens is BAD: no string ends at
// it (RFC 9051 §9: CHAR, CHAR8).
func TestA13(t *testing.T) {
	s := filled(t, 1, "")
	c := s.dial(t)
	c.Line()
	c.Send(t, string(withInbox("")))
	for !strings.HasPrefix(c.Line(), "m OK") {
	}
	for class, command := range map[string]string{
		"tag, atom":      "a NOOP",
		"quoted":         `a CREATE "one"`,
		"escaped":        `a CREATE "o\"n\\e"`,
		"astring":        "a CREATE two]",
		"pattern":        "a LIST one %*",
		"number":         "a FETCH 1 BODY[]<10.20>",
		"set":            "a UID FETCH 1:*,4 FLAGS",
		"section":        "a FETCH 1 BODY[1.2.HEADER.FIELDS (To)]",
		"flags":          `a STORE 1 +FLAGS (\Seen word)`,
		"date":           "a SEARCH SINCE 1-Jan-2026",
		"quoted date":    `a SEARCH BEFORE " 1-Jan-2026"`,
		"date and time":  `a APPEND INBOX " 1-Jan-2026 10:00:00 +0000" x`,
		"keys":           `a SEARCH CHARSET UTF-8 OR SUBJECT a NOT TEXT "b"`,
		"NIL":            "a SETMETADATA INBOX (/private/comment NIL)",
		"entry":          `a SETMETADATA INBOX (/private/comment "x")`,
		"identification": `a ID ("name" "x")`,
		"URL":            `a URLFETCH "imap://ada@h/INBOX/;uid=1;urlauth=authuser:internal:01ff"`,
		"mod-sequence":   "a FETCH 1 FLAGS (CHANGEDSINCE 12)",
		"events":         "a NOTIFY SET (mailboxes INBOX (MessageNew MessageExpunge))",
		"return options": "a SEARCH RETURN (MIN COUNT) ALL",
	} {
		for at := range len(command) + 1 {
			answer := answerTo(t, c, command[:at]+"\x00"+command[at:])
			if strings.Contains(answer, "BAD ") && !strings.Contains(answer, "OK ") && !strings.Contains(answer, "NO ") {
				continue
			}
			t.Errorf("%s: %q: %s", class, command[:at]+"\x00"+command[at:], answer)
			if strings.Contains(answer, "<") {
				t.FailNow()
			}
		}
	}
	for at := range 4 {
		literal := "abc"[:at] + "\x00" + "abc"[at:]
		for _, command := range []string{"a CREATE {4+}\r\n", "a SEARCH SUBJECT {4+}\r\n", "a SETMETADATA INBOX (/private/comment {4+}\r\n"} {
			end := ""
			if strings.Contains(command, "(") {
				end = ")"
			}
			if answer := answerTo(t, c, command+literal+end); !strings.HasPrefix(answer, "a BAD ") {
				t.Errorf("%q: %s", command+literal, answer)
			}
		}
	}
	if answer := answerTo(t, c, "a LIST \"\" (o* t*)"); strings.Contains(answer, "* LIST") {
		t.Errorf("mailboxes were made: %s", answer)
	}
}

// TestA13Login: the same before login, where it is nobody's name or password
// either.
func TestA13Login(t *testing.T) {
	s := newHostileServer(t, Options{})
	for _, command := range []string{"a LOGIN ada secret", `a LOGIN "ada" "secret"`, "a AUTHENTICATE PLAIN AGFkYQBzZWNyZXQ=", "a AUTHENTICATE PLAIN\r\nAGFkYQBzZWNyZXQ="} {
		for at := range len(command) + 1 {
			text := command[:at] + "\x00" + command[at:]
			if out := s.talk(t, []byte(text+"\r\n")); !strings.Contains(out, " BAD ") || strings.Contains(out, "a OK") {
				t.Errorf("%q: %s", text, out)
			}
		}
	}
	for _, response := range []string{"AABhZGEAc2VjcmV0", "AGFkYQBzZWNyZXQA", "AGEAZGEAc2VjcmV0", "AGFkYQBzZWMAcmV0"} { // NUL in each of the fields
		if out := s.talk(t, []byte("a AUTHENTICATE PLAIN "+response+"\r\n")); !strings.Contains(out, "a BAD ") {
			t.Errorf("%s: %s", response, out)
		}
	}
}

// TestA13Edges: a character that a string cuts short, at the edges of buffers,
// takes nothing with it of what follows, and never comes back as text.
func TestA13Edges(t *testing.T) {
	s := filled(t, 1, "")
	c := s.dial(t)
	c.Line()
	c.Send(t, string(withInbox("")))
	for !strings.HasPrefix(c.Line(), "m OK") {
	}
	for _, size := range []int{4095, 4096, 8191, 8192, 16383, 16384} {
		for _, short := range []string{"\xc3", "\xe2\x82", "\xf0\x9f\x98", "\x80", "\xff"} {
			for _, command := range []string{"a CREATE ", "a SELECT ", `a LIST "" `, "a SEARCH CHARSET UTF-8 SUBJECT ", "a SEARCH TEXT ", "a SUBSCRIBE ", "a STATUS "} {
				for _, form := range []string{"%s", `"%s"`, "{%d+}\r\n%s"} {
					// The last octet of the short character is the size'th of the line, or of the literal.
					end, before := "", len(command)+strings.Count(form[:1], `"`)
					if command == "a STATUS " {
						end = " (MESSAGES)"
					}
					if form[0] == '{' {
						before = 0
					}
					word := strings.Repeat("x", size-before-len(short)) + short
					text := fmt.Sprintf(form, word)
					if form[0] == '{' {
						text = fmt.Sprintf(form, len(word), word)
					}
					answer := answerTo(t, c, command+text+end)
					if !strings.HasPrefix(answer, "a ") && !strings.HasPrefix(answer, "* ") || !strings.Contains(answer, "\na ") && !strings.HasPrefix(answer, "a ") || !utf8.ValidString(answer) {
						t.Fatalf("%s%.3s, %x at %d: %.300q", command, form, short, size, answer)
					}
				}
			}
		}
	}
	if answer := answerTo(t, c, `a LIST "" x*`); strings.Contains(answer, "* LIST") {
		t.Errorf("mailboxes were made: %.300s", answer)
	}
}
