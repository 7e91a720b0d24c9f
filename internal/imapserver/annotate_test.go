package imapserver

import (
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/servertest"
	"github.com/angarium/angarium/internal/store"
)

// talk sends a command and returns its tagged line, and the untagged ones.
func talk(t *testing.T, c *servertest.Client, command string) (tagged string, untagged []string) {
	t.Helper()
	c.Send(t, "a "+command+"\r\n")
	for {
		line := c.Line()
		if !strings.HasPrefix(line, "* ") {
			return line, untagged
		}
		untagged = append(untagged, line)
	}
}

// TestAnnotationLimits: RFC 5257 §4.1 and §4.5, at each limit and beyond. What is
// refused changes nothing, and the session goes on.
func TestAnnotationLimits(t *testing.T) {
	s := newTestServer(t, Options{})
	c := s.dial(t)
	c.Line()
	do := func(command, want string) {
		t.Helper()
		if got, _ := talk(t, c, command); !strings.HasPrefix(got, want) {
			t.Errorf("%.60q: %s, want %s", command, got, want)
		}
	}
	value := func(n int) string { return fmt.Sprintf("{%d+}\r\n%s", n, strings.Repeat("x", n)) }
	entries := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " /vendor/x/%d (value.priv \"v\" value.shared \"w\")", i)
		}
		return "(" + b.String()[1:] + ")"
	}
	do("LOGIN ada secret", "a OK")
	do("APPEND INBOX {1+}\r\nx {1+}\r\ny", "a OK")
	do("SELECT INBOX", "a OK")
	do("STORE 1 ANNOTATION (/comment (value.priv "+value(store.AnnotationMax)+"))", "a OK")
	do("STORE 1 ANNOTATION (/comment (value.priv "+value(store.AnnotationMax+1)+"))", "a NO [ANNOTATE TOOBIG]")
	do("STORE 1 ANNOTATION "+entries(store.AnnotationEntriesMax), "a NO [ANNOTATE TOOMANY]") // there is a comment
	do("STORE 2 ANNOTATION "+entries(store.AnnotationEntriesMax), "a OK")
	do("STORE 2 ANNOTATION "+entries(store.AnnotationEntriesMax+1), "a NO [ANNOTATE TOOMANY]")
	do(`STORE 2 ANNOTATION (/comment (value.priv "x"))`, "a NO [ANNOTATE TOOMANY]")
	do(`STORE 1:2 ANNOTATION (/altsubject (value.priv "x"))`, "a NO [ANNOTATE TOOMANY]")
	if _, lines := talk(t, c, "FETCH 1 (ANNOTATION (/* size.priv))"); len(lines) != 1 || lines[0] != fmt.Sprintf(`* 1 FETCH (ANNOTATION (/comment (size.priv "%d")))`, store.AnnotationMax) {
		t.Errorf("a refused change was made: %.200q", lines)
	}
	// APPEND, of several messages too; a synchronising literal is not asked for.
	do("APPEND INBOX ANNOTATION (/comment (value.priv "+value(store.AnnotationMax)+")) {1+}\r\nx", "a OK")
	do("APPEND INBOX ANNOTATION (/comment (value.priv "+value(store.AnnotationMax+1)+")) {1+}\r\nx", "a NO [ANNOTATE TOOBIG]")
	do("APPEND INBOX ANNOTATION (/comment (value.priv "+value(store.AnnotationMax+1)+")) {1}", "a NO [ANNOTATE TOOBIG]")
	do("APPEND INBOX {1+}\r\nx ANNOTATION "+entries(store.AnnotationEntriesMax+1)+" {1+}\r\nx", "a NO [ANNOTATE TOOMANY]")
	do("REPLACE 1 INBOX ANNOTATION (/comment (value.priv "+value(store.AnnotationMax+1)+")) {1+}\r\nx", "a NO [ANNOTATE TOOBIG]")
	do(`REPLACE 3 INBOX ANNOTATION (/comment (value.shared "new")) {1+}`+"\r\nx", "a OK")
	if _, lines := talk(t, c, "FETCH 1:* (ANNOTATION (/comment value.shared))"); len(lines) != 3 || lines[2] != `* 3 FETCH (ANNOTATION (/comment (value.shared "new")))` {
		t.Errorf("after REPLACE: %.300q", lines)
	}
	// Any octets come back as they were.
	do("STORE 1 ANNOTATION (/comment (value.priv ~{3+}\r\n\x00\r\n value.shared {4+}\r\n\"\\\xff\"))", "a OK")
	if _, lines := talk(t, c, "FETCH 1 (ANNOTATION (/comment value))"); len(lines) != 1 || lines[0] != "* 1 FETCH (ANNOTATION (/comment (value.priv ~{3}\r\n\x00\r\n value.shared {4}\r\n\"\\\xff\")))" {
		t.Errorf("octets: %q", lines)
	}
}

// TestAnnotationChangeCut: the event goes with the capability (RFC 5465 §3.1).
func TestAnnotationChangeCut(t *testing.T) {
	for want, cut := range map[string][]Cut{"a OK": nil, "a NO [BADEVENT (": {{Capabilities: []string{capAnnotate}}}} {
		c := newTestServer(t, Options{Cuts: cut}).dial(t)
		c.Line()
		talk(t, c, "LOGIN ada secret")
		got, _ := talk(t, c, "NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))")
		if !strings.HasPrefix(got, want) || strings.Contains(got, "AnnotationChange") {
			t.Errorf("with %v: %s", cut, got)
		}
		if _, lines := talk(t, c, "SELECT INBOX"); strings.Contains(strings.Join(lines, ""), "[ANNOTATIONS 16384]") != (cut == nil) {
			t.Errorf("with %v: %q", cut, lines)
		}
		for _, command := range []string{"SELECT INBOX (ANNOTATE)", "SEARCH ANNOTATION * value \"x\"", "SORT (ANNOTATION /comment value.priv) UTF-8 ALL",
			`UID STORE 1 ANNOTATION (/comment (value.priv "x"))`, "APPEND INBOX ANNOTATION (/comment (value.priv NIL)) {1+}\r\nx"} {
			want := "a OK"
			if cut != nil {
				want = "a BAD " + capAnnotate + " is not available"
			}
			if got, _ := talk(t, c, command); !strings.HasPrefix(got, want) {
				t.Errorf("with %v: %s: %s", cut, command, got)
			}
		}
	}
}
