package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// TestDocument: the document is what this command prints.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs/capabilities.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != string(document(parsePeers(recorded))) {
		t.Error("docs/capabilities.md is old: go run ./test/capabilities > docs/capabilities.md")
	}
}

func allRows() []row { return slices.Concat(registered, unregistered) }

// TestKnown: the table knows each capability that is advertised, here or by a
// peer, once, and says where it is implemented and shown if it is here.
func TestKnown(t *testing.T) {
	rows, here := allRows(), ours()
	advertised := map[string]bool{}
	for _, p := range parsePeers(recorded) {
		for _, c := range p.caps {
			advertised[c] = true
		}
	}
	for c := range here {
		advertised[c] = true
	}
	for c := range advertised {
		n := 0
		for _, r := range rows {
			if r.advertisedBy(map[string]bool{c: true}) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s is in the table %d times", c, n)
		}
	}
	for _, r := range rows {
		is := r.advertisedBy(here)
		if is && (r.file == "" || r.test == "" || r.why != "") {
			t.Errorf("%s is advertised, and the table lacks its file or test", r.name)
		}
		if !is && r.file+r.test != "" {
			t.Errorf("%s is not advertised, and the table says where it is", r.name)
		}
	}
}

// TestNames: the files and tests in the table are there.
func TestNames(t *testing.T) {
	for _, r := range allRows() {
		for _, name := range strings.Fields(r.file) {
			if _, err := os.Stat(filepath.Join(root, "internal", name)); err != nil {
				t.Errorf("%s: %v", r.name, err)
			}
		}
		for _, name := range strings.Fields(r.test) {
			file, test, isTest := strings.Cut(name, ":")
			if !isTest {
				file = "imapserver/testdata/" + name
			}
			b, err := os.ReadFile(filepath.Join(root, "internal", file))
			if err != nil {
				t.Errorf("%s: %v", r.name, err)
			} else if isTest && !strings.Contains(string(b), "func "+test+"(t *testing.T)") {
				t.Errorf("%s: %s has no %s", r.name, file, test)
			}
		}
	}
}

func TestParsePeers(t *testing.T) {
	peers := parsePeers("a 1.0: IMAP4rev1 IDLE\nb: X\n")
	if len(peers) != 2 || peers[0].name != "a" || peers[0].version != "1.0" || len(peers[0].caps) != 2 || peers[1].name != "b" || peers[1].version != "" {
		t.Errorf("%+v", peers)
	}
}
